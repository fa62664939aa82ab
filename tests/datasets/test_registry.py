"""A dataset is one Python file and one YAML, and its name is its own."""

import csv
from pathlib import Path

import pytest

from lpips_repro.config import DatasetConfig, parse
from lpips_repro.config.choices import SETTINGS
from lpips_repro.datasets.commands import fetch_dataset, verify_dataset
from lpips_repro.datasets.prepare import prepare
from lpips_repro.datasets.registry import DATASETS, Dataset, register_dataset
from lpips_repro.errors import UserError
from lpips_repro.evaluation.run import evaluate
from lpips_repro.report.statistics import write_statistics
from tests.compose import settings

STUDY = '''
"""Gray levels that were judged by one rule: the second image is closer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpips_repro.config import DataSettings
from lpips_repro.datasets.packed import open_split, read_card, write_split
from lpips_repro.datasets.registry import Dataset, register_dataset


@dataclass
class StudySettings(DataSettings):
    count: int
    size: int


@register_dataset("study", StudySettings)
class Study(Dataset):
    settings: StudySettings

    def prepare(self, phases):
        count, size = self.settings.count, self.settings.size
        path = Path(self.settings.root) / f"{size}/2afc-val-gray"
        if "val" in phases and read_card(path) is None:
            images = {"ref": 100, "p0": 150, "p1": 110}
            arrays = {name: np.full((count, size, size, 3), level, np.uint8) for name, level in images.items()}
            arrays["judge"] = np.ones(count, np.float32)
            card = {"kind": "2afc", "phase": "val", "split": "gray", "dataset": "study"}
            write_split(path, arrays, {**card, "resize": "none", "observers": "simulated"})
        return [open_split(path, size)] if "val" in phases else []
'''


@pytest.fixture
def study(tmp_path) -> list[str]:
    """Overrides that choose a dataset that is two files in a folder."""
    (tmp_path / "mine/data").mkdir(parents=True)
    (tmp_path / "mine/study.py").write_text(STUDY)
    text = f"name: study\nmodule: {tmp_path}/mine/study.py\nroot: {tmp_path}/packed\ncount: 6\nsize: 64\n"
    (tmp_path / "mine/data/study.yaml").write_text(text)
    yield [f"hydra.searchpath=[file://{tmp_path}/mine]", "data=study", f"experiments={tmp_path}/out"]
    DATASETS.pop("study", None)
    SETTINGS["data"].pop("study", None)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as content:
        return list(csv.DictReader(content))


@pytest.mark.parametrize("size", [64, 40])
def test_a_dataset_is_one_python_file_and_one_yaml(study, tmp_path, capsys, size):
    study = [*study, f"data.size={size}"]
    fetch_dataset(settings("dataset", *study))
    assert f"2afc/val/gray        6  simulated    {size}x{size}   none" in capsys.readouterr().out
    write_statistics(settings("dataset", *study))
    assert [row["split"] for row in table(tmp_path / "out/data-stats-study/stats.csv")] == ["2afc/val/gray"]
    reference = f"reference={Path(__file__).parents[2]}/experiments/reference"
    rows = (
        "metric=[l2_rgb]",
        "net=[squeeze]",
        "net.squeeze.init=gaussian",
        "variant=[off_the_shelf]",
        "download=false",
    )
    evaluate(settings("evaluate", *study, reference, *rows, "trained_on=null", "device=cpu", "bootstrap=20"))
    scores = {row["method"]: row["gray"] for row in table(tmp_path / "out/tables-study/twoafc.csv")}
    assert scores["l2-rgb"] == scores["squeeze"] == "100.00"
    with pytest.raises(UserError, match="data-verify with data=study: it has no published counts"):
        verify_dataset(settings("dataset", *study))
    with pytest.raises(UserError, match=r"data.cuont: unknown setting: .*did you mean data.count"):
        parse(settings("dataset", *study, "+data.cuont=3"), DatasetConfig)


def test_a_dataset_of_another_name_is_named_by_the_key_dataset(study, tmp_path):
    cfg = parse(settings("dataset", *study, "data.name=mine", "+data.dataset=study"), DatasetConfig)
    assert [split.name for split in prepare(cfg.data, "val")] == ["2afc/val/gray"]
    with pytest.raises(UserError, match=r"data.name='mine': expected one of .*, study.*dataset: folder"):
        parse(settings("dataset", *study, "data.name=mine"), DatasetConfig)


def test_a_file_that_is_not_there_is_named(study, tmp_path):
    (tmp_path / "mine/study.py").unlink()
    with pytest.raises(UserError, match=r"mine/study.py: no such file: set `module` of a dataset to the Python file"):
        parse(settings("dataset", *study), DatasetConfig)


def test_a_name_that_is_taken_is_refused():
    bapps = DATASETS["bapps"]
    with pytest.raises(UserError, match="dataset 'bapps' is already registered: give yours another name"):
        register_dataset("bapps", object)(Dataset)
    assert DATASETS["bapps"] is bapps


def test_every_dataset_of_the_package_has_a_yaml_of_its_name():
    folder = Path(__file__).parents[2] / "configs/data"
    assert {path.stem for path in folder.glob("*.yaml")} == set(DATASETS)
