import json

import pytest
import torch

from lpips_repro.config import PaperConfig, parse
from lpips_repro.paper import rates
from lpips_repro.paper.steps import steps_of
from tests.compose import settings

RATES = {"alex pass": 100.0, "alex lin step": 1000.0, "alex step": 50.0, rates.START: 7.0, rates.FIGURE: 0.5}
TRAIN, VAL = 400, 200


def seconds(**overrides):
    words = ("experiment=paper_mini", "nets=[alex]", *(f"{key}={value}" for key, value in overrides.items()))
    composed = settings("paper", *words)
    cfg = parse(composed, PaperConfig)
    return {step.name: rates.seconds_of(step, cfg, RATES, (TRAIN, VAL)) for step in steps_of(cfg, composed.data)}


def test_the_time_of_a_step_is_its_start_and_its_work_if_that_is_long():
    found = seconds(variants="[lin,tune]")
    assert found["Figure 5"] == found["Figure 10"] == 7
    assert found["train alex lin seed 0"] == pytest.approx(7 + (TRAIN + VAL) / 100 + TRAIN / 1000)  # one epoch
    assert found["train alex tune seed 0"] == pytest.approx(7 + TRAIN / 50 + VAL / 100)
    assert found["tables"] == pytest.approx(7 + 4 * VAL / 100)
    assert found["report"] == pytest.approx(7 + 20 * 0.5)


def test_stored_rates_are_used_and_missing_ones_are_measured(tmp_path, monkeypatch):
    measured = []

    def parts():
        measured.append("parts")
        return {rates.START: 7.0, rates.FIGURE: 0.5}

    def of_net(net, device):
        measured.append(net)
        return {f"{net} step": 1.0}

    monkeypatch.setattr(rates, "_seconds_of_parts", parts)
    monkeypatch.setattr(rates, "_rates_of", of_net)
    file, cpu = tmp_path / "rates.json", torch.device("cpu")
    first = rates.measured_rates(file, ["alex"], cpu)
    assert measured == ["alex", "parts"] and first[rates.START] == 7
    assert rates.measured_rates(file, ["alex", "vgg"], cpu) == first | {"vgg step": 1.0}
    stored = json.loads(file.read_text())
    del stored["rates"][rates.START]
    file.write_text(json.dumps(stored))
    assert rates.measured_rates(file, ["alex"], cpu)[rates.START] == 7
    assert measured == ["alex", "parts", "vgg", "parts"]


@pytest.mark.parametrize("content", ["[]", "[" * 100_000, "{", '{"machine": MACHINE, "rates": [1]}'])
def test_damaged_rates_are_measured_again(tmp_path, monkeypatch, content):
    cpu = torch.device("cpu")
    machine = {key: value for key, value in rates.describe(cpu).items() if key in rates.MACHINE}
    monkeypatch.setattr(rates, "_seconds_of_parts", lambda: {rates.START: 7.0, rates.FIGURE: 0.5})
    (tmp_path / "rates.json").write_text(content.replace("MACHINE", json.dumps(machine)))
    assert rates.measured_rates(tmp_path / "rates.json", [], cpu) == {rates.START: 7.0, rates.FIGURE: 0.5}


@pytest.mark.slow
def test_the_start_of_a_step_is_measured_in_its_own_process():
    found = rates._seconds_of_parts()
    assert 0.5 < found[rates.START] < 120 and 0.05 < found[rates.FIGURE] < 60
