"""`make paper`: prints the plan, runs the steps, and writes the page."""

import json
import logging
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tabulate import tabulate

from lpips_repro.config import EvaluateConfig, PaperConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.config.outputs import check_output
from lpips_repro.datasets.registry import dataset_of
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.published import missing_weights
from lpips_repro.files import read_json, write_whole
from lpips_repro.paper.comparison import compare, write_cells
from lpips_repro.paper.page import duration, reproduction_page
from lpips_repro.paper.rates import counts_of, measured_rates, seconds_of
from lpips_repro.paper.steps import Step, composed, report_name, steps_of
from lpips_repro.runs.device import choose_device
from lpips_repro.runs.run_name import flat_settings
from lpips_repro.runs.signals import ended_by_sigterm
from lpips_repro.runs.step_process import TERMINATED, step_process

log = logging.getLogger(__name__)

STEPS = "steps.json"
DONE, FAILED, LEFT, NOT_RUN = "done", "failed", "left", "not run"


def reproduce_paper(cfg_composed: DictConfig) -> None:
    """Run the remaining steps of the composed settings (`configs/paper.yaml`), and write REPRODUCTION.md.

    A step that fails does not stop the others; its reason is on the page.

    Raises:
        UserError: if settings cannot be used, or, at the end, if a step failed.
    """
    cfg = parse(cfg_composed, PaperConfig)
    folder = Path(cfg.experiments) / cfg.name
    check_output(folder, "make paper", "make eval-tables")
    check_writable("experiments", folder)
    steps = steps_of(cfg, cfg_composed.data)
    state = _read_state(folder / STEPS)
    with ended_by_sigterm(TERMINATED):
        dataset, *others = steps
        _run(dataset, folder, state)
        if state[dataset.name]["state"] == FAILED:
            raise UserError(f"{dataset.name}: {state[dataset.name]['reason']}")
        missing = _without_weights(others)
        _print_plan(cfg, others, folder, missing)
        for step in others:
            if step.is_done:
                state[step.name] = {**state.get(step.name, {}), "state": DONE}
                state[step.name].pop("reason", None)  # of an earlier command
            elif step.name in missing:
                state[step.name] = {"state": NOT_RUN, "reason": missing[step.name]}
            else:
                _run(step, folder, state)
    _write_page(cfg, folder, steps, state)
    if failed := [step.name for step in steps if state[step.name]["state"] == FAILED]:
        raise UserError(
            f"{len(failed)} of {len(steps)} steps failed ({', '.join(failed)}): their reasons are in"
            f" {folder / 'REPRODUCTION.md'}; the same command tries them again"
        )


def _without_weights(steps: Sequence[Step]) -> dict[str, str]:
    """The trainings whose initial weights are missing, by the name of the step, with the reason."""
    table = next(step for step in steps if step.script == "evaluate")
    missing = missing_weights(parse(composed("evaluate", table.overrides), EvaluateConfig))
    starts = {step.name: step.trains[0] for step in steps if step.trains and step.trains[1] != "scratch"}
    return {name: missing[net] for name, net in starts.items() if net in missing}


def _print_plan(cfg: PaperConfig, steps: Sequence[Step], folder: Path, missing: Mapping[str, str]) -> None:
    """Print the steps, with the estimated time of the remaining ones."""
    rates = measured_rates(folder / "rates.json", cfg.nets, choose_device(cfg.device))
    counts = counts_of(cfg.data)
    rows, total = [], 0.0
    for step in steps:
        state = DONE if step.is_done else NOT_RUN if step.name in missing else LEFT
        seconds = seconds_of(step, cfg, rates, counts) if state == LEFT else None
        total += seconds or 0.0
        rows.append((step.name, state, f"about {duration(seconds)}" if seconds else missing.get(step.name, "")))
    print(tabulate(rows, ("step", "state", "time"), tablefmt="simple", disable_numparse=True))
    print(f"\nleft: about {duration(total)} on this machine, by measured rates, without downloads\n", flush=True)


def _run(step: Step, folder: Path, state: dict[str, dict[str, Any]]) -> None:
    """Run a step in its own process, and record its state, its time, and the reason if it fails."""
    print(f"\n== {step.name}", flush=True)
    before, start = state.get(step.name, {}).get("seconds", 0.0), time.monotonic()
    last, status = "", None
    try:
        with step_process(step.command, step.name, stderr=subprocess.PIPE, text=True, errors="replace") as process:
            assert process.stderr is not None
            for line in process.stderr:
                print(line, end="", flush=True)
                last = line.strip() or last
            status = process.wait()
    finally:
        seconds = before + time.monotonic() - start
        state[step.name] = {"state": LEFT, "seconds": round(seconds, 1)}
        write_whole(folder / STEPS, json.dumps(state, indent=2) + "\n")
    state[step.name]["state"] = FAILED if status else DONE
    if status:
        state[step.name]["reason"] = last.removeprefix("error: ") or f"exit status {status}"
    write_whole(folder / STEPS, json.dumps(state, indent=2) + "\n")


def _read_state(file: Path) -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = read_json(file)
        states = {name: dict(of_step) for name, of_step in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {name: one for name, one in states.items() if _is_state(one)}


def _is_state(found: Mapping[str, Any]) -> bool:
    return isinstance(found.get("state"), str) and isinstance(found.get("seconds", 0.0), int | float)


def _write_page(cfg: PaperConfig, folder: Path, steps: Sequence[Step], state: Mapping[str, Mapping[str, Any]]) -> None:
    sparsity = Path(cfg.experiments) / f"{cfg.name}-sparsity"
    tables = composed("evaluate", next(step.overrides for step in steps if step.script == "evaluate"))
    groups: Any = OmegaConf.to_container(OmegaConf.create({**tables.metric, **tables.net}), resolve=False)
    names = {name: row["paper"] for name, row in groups.items() if row.get("paper")} | {"human": "human"}
    cells = compare(folder, sparsity, Path(cfg.reference), names, cfg.version)
    trained: Any = composed("train", next(step.overrides for step in steps if step.trains))
    settings: Any = OmegaConf.to_container(trained, resolve=True)
    observers = dataset_of(cfg.data).prepare(("val",))[0].card["observers"]
    in_order = {step.name: state.get(step.name, {"state": LEFT}) for step in steps}
    write_cells(folder / "reproduction.csv", cells)
    page = folder / "REPRODUCTION.md"
    report = Path(cfg.experiments) / report_name(cfg) / "index.html"
    link = f"../{report.parent.name}/{report.name}" if report.is_file() else ""
    write_whole(page, reproduction_page(cells, cfg.data.name, observers, flat_settings(settings), in_order, link))
    print(f"\nwritten: {page}, {folder / 'reproduction.csv'}")
