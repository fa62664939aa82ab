"""Downloading a dataset (`make data`) and checking it on disk (`make data-verify`)."""

import logging

from omegaconf import DictConfig
from tabulate import tabulate

from lpips_repro.config import DatasetConfig, Splits, parse
from lpips_repro.datasets.registry import Dataset, dataset_of
from lpips_repro.errors import UserError

log = logging.getLogger(__name__)


def fetch_dataset(composed: DictConfig) -> None:
    """Download, check and pack what is missing of a dataset, and print a table of its splits.

    Raises:
        UserError: if it cannot be downloaded.
    """
    cfg = parse(composed, DatasetConfig)
    dataset = dataset_of(cfg.data)
    print(dataset.describe(phases_of(dataset, cfg.splits)))


def phases_of(dataset: Dataset, splits: Splits) -> tuple[str, ...]:
    """The phases of a dataset that a setting names."""
    return dataset.phases() if splits is Splits.all else (splits.value,)


def verify_dataset(composed: DictConfig) -> None:
    """Check a dataset on disk and print a table of verdicts.

    Raises:
        UserError: after the table, if a verdict is bad.
    """
    cfg = parse(composed, DatasetConfig)
    dataset = dataset_of(cfg.data)
    phases = phases_of(dataset, cfg.splits)
    findings = list(dataset.verify(phases))
    headers = ("what", "count", "expected", "digest", "verdict")
    print(tabulate([finding[:5] for finding in findings], headers, tablefmt="simple", colalign=("left", "right")))
    for finding in findings:
        if finding.warning:
            log.warning("%s", finding.warning)
    if bad := [finding.what for finding in findings if finding.is_bad]:
        raise UserError(f"not good: {', '.join(bad)}: see the verdicts above")
    if not any(finding.is_there for finding in findings):
        command = "make data" if cfg.splits is Splits.all else f"make data SPLITS={cfg.splits.value}"
        raise UserError(f"no files of {dataset.title} to verify ({' and '.join(phases)}): run `{command}`")
