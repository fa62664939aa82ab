import os
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lpips_repro.config import (
    CompareConfig,
    CorrelationConfig,
    DisagreementsConfig,
    EvaluateConfig,
    PaperConfig,
    ReportConfig,
    SparsityConfig,
    parse,
)
from lpips_repro.config.outputs import RESERVED_DATA, check_new_dataset, check_output, check_output_name
from lpips_repro.config.paths import CONFIGS
from lpips_repro.errors import UserError
from lpips_repro.report.run import write_report
from tests.compose import settings

SCHEMAS = {
    **{"report": ReportConfig, "evaluate": EvaluateConfig, "disagreements": DisagreementsConfig},
    **{"compare": CompareConfig, "sparsity": SparsityConfig, "paper": PaperConfig, "correlation": CorrelationConfig},
}


@pytest.mark.parametrize("script", SCHEMAS)
def test_a_folder_of_the_program_is_no_output_folder(script):
    with pytest.raises(
        UserError, match=r"^name=Weights: the folder of this name under experiments is for weights: cho"
    ):
        parse(settings(script, "name=Weights"), SCHEMAS[script])


@pytest.mark.parametrize("name", ["distances", "weights", "sweeps", "benchmarks", "reference"])
def test_each_folder_of_the_program_is_reserved(name):
    with pytest.raises(UserError, match=f"^name={name}: the folder of this name under experiments is for "):
        check_output_name(name)
    check_output_name(f"{name}2")


def test_a_report_is_not_written_into_stored_distances(tmp_path):
    with pytest.raises(UserError, match=r"^name=distances: .*is for stored distances: choose another name"):
        write_report(settings("report", "data=mini", f"experiments={tmp_path}", "name=distances"))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("last.pt", "make train"),
        ("data.json", "make eval-tables"),
        ("flips.csv", "make compare"),
        ("steps.json", "make paper"),
    ],
)
def test_results_of_another_command_are_not_mixed_with_a_report(tmp_path, file, command):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / file).touch()
    with pytest.raises(UserError, match=f"^{re.escape(str(folder))}: has results of `{command}`: choose another name"):
        write_report(settings("report", "data=mini", f"experiments={tmp_path}", "name=x"))
    assert [path.name for path in folder.iterdir()] == [file]
    check_output(folder, command)


def test_a_folder_whose_name_differs_only_in_case_is_named(tmp_path):
    (tmp_path / "Café").mkdir()
    check_output(tmp_path / "Café", "make report")
    for name in ("café", "CAFÉ", "Cafe\u0301"):
        with pytest.raises(UserError, match=f"{name}: .*/Café exists, and differs only in upper and lower case"):
            check_output(tmp_path / name, "make report")
    check_output(tmp_path / "cafe", "make report")
    check_output(tmp_path / "missing/x", "make report")


def test_a_new_dataset_is_not_made_in_a_data_folder_of_the_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in ("data/packed", "data/../data/Photographs", f"{tmp_path}/data/mini"):
        with pytest.raises(
            UserError, match=f"^out={re.escape(os.path.normpath(out))[:5]}.*: the program uses this folder"
        ):
            check_new_dataset("out", Path(out))
    check_new_dataset("out", Path("data/mine"))
    check_new_dataset("out", Path("other/packed"))


def test_all_data_folders_of_the_settings_are_known():
    files = [OmegaConf.to_container(OmegaConf.load(file)) for file in CONFIGS.rglob("*.yaml")]
    values = [value for found in files if isinstance(found, dict) for value in found.values()]
    assert {value.removeprefix("data/") for value in values if str(value).startswith("data/")} == RESERVED_DATA
