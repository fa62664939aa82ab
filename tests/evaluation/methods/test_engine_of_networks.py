"""What a network runs on in the evaluation, and the weights that are looked for before anything is fetched."""

import pytest
import torch

from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods import published as methods
from lpips_repro.metrics.lpips import LPIPS
from tests.compose import settings
from tests.evaluation.methods.test_identity import BACKBONE

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("engine", "made"),
    [
        (Engine(CPU), [(torch.float32, False)]),
        (Engine(CPU, torch.bfloat16), [(torch.bfloat16, False)]),
        (Engine(CPU, compiled=True), [(torch.float32, True)]),
        (Engine(CPU, torch.bfloat16, True), [(torch.bfloat16, True)]),
    ],
)
def test_a_network_is_optimized_as_the_engine_says(monkeypatch, engine, made):
    found, optimized = [], LPIPS.optimized

    def noted(metric, dtype, *, compiled):
        found.append((dtype, compiled))
        return optimized(metric, dtype, compiled=False)

    monkeypatch.setattr(LPIPS, "optimized", noted)
    methods.lpips_distance(LPIPS("squeeze", "off_the_shelf", weights=BACKBONE), engine)
    assert found == made


@pytest.mark.parametrize(
    ("overrides", "versions"),
    [
        (("variant=[lin]",), ["0.0", "0.1"]),
        (("variant=[lin]", "variant.lin.versions=['0.1']"), ["0.1"]),
        (("variant=[off_the_shelf]",), []),
        (("variant=[lin]", "net.squeeze.official_lin=false"), []),
    ],
)
def test_the_official_lin_weights_that_rows_need_are_looked_for(monkeypatch, overrides, versions):
    found = []
    monkeypatch.setattr(methods, "backbone_state", lambda *_: None)
    monkeypatch.setattr(methods, "official_lin_state", lambda net, version, download: found.append((net, version)))
    cfg = parse(settings("evaluate", "net=[squeeze]", *overrides), EvaluateConfig)
    assert methods.missing_weights(cfg) == {}
    assert found == [("squeeze", version) for version in versions]
