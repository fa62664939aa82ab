"""Maps of where a network sees a difference."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lpips_repro.backbones import gaussian_state
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods.find import find_method
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.methods.published import lpips_distance
from lpips_repro.evaluation.tables.table import Row
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.report.page import maps
from lpips_repro.report.page.examples import Examples
from lpips_repro.report.page.explorer import _arguments
from lpips_repro.report.page.maps import maps_of, name_of
from lpips_repro.report.page.sprites import numbers_of, write_sheets
from tests.datasets.folders import noise_split

CHOSEN = {"2afc/val/noise": np.array([1, 4])}


@pytest.fixture(scope="module")
def metric():
    return LPIPS("alex", "off_the_shelf", "0.1", weights=gaussian_state("alex", 0))


@pytest.fixture
def examples(tmp_path, metric, monkeypatch):
    """Examples with the distances of a network, and of a metric with a better score."""
    metric.spatial = False
    split = noise_split(tmp_path / "packed", 6, (64, 64))
    ref, *others = (torch.from_numpy(np.array(split.arrays[k])).permute(0, 3, 1, 2) / 255 for k in ("ref", "p0", "p1"))
    with torch.inference_mode():
        pair = tuple(metric(ref, other, normalize=True).numpy() for other in others)
    identity = lpips_distance(metric, Engine(torch.device("cpu"))).identity
    own = Row("random", "net", settings=identity, scores={"all": 60.0})
    other = Row("low-level", "l2", scores={"all": 90.0})
    method = Method("random", "net", lambda engine: lpips_distance(metric, engine))
    monkeypatch.setattr(maps, "find_method", lambda name, download: method)
    return Examples([split], [(other, {split.name: pair}), (own, {split.name: pair})])


def test_the_mean_of_a_map_is_the_distance(examples, metric):
    metric.spatial = True
    found = maps._distances(metric, examples.splits[0], CHOSEN["2afc/val/noise"])
    wanted = [values[[1, 4]] for values in examples.methods[1][1]["2afc/val/noise"]]
    assert np.allclose(found.mean(axis=(2, 3)).T, wanted, rtol=1e-4)  # float32 sums in another order


def test_the_best_network_makes_the_maps_and_both_of_an_example_share_a_scale(examples, tmp_path):
    made = maps_of(examples, CHOSEN, tmp_path, download=False)
    assert made.row.method == "net"
    (sheet,) = made.sheets["2afc/val/noise"]
    write_sheets(tmp_path / "images", [sheet], "maps")
    cells, largest = sheet.render(sheet.indices)
    assert cells.shape == (2, 64, 128, 3)
    assert numbers_of(tmp_path / "images", sheet) == largest
    brightest = (253, 231, 37)  # of the color map viridis
    for cell in cells:
        assert np.abs(cell.astype(int) - brightest).sum(axis=2).min() <= 3


def test_maps_of_a_mean_over_seeds_are_those_of_the_first_run(examples, tmp_path, metric, monkeypatch):
    other, (row, pairs) = examples.methods
    settings = {**row.settings, "lin": [row.settings["lin"], "of the second"]}
    row = dataclasses.replace(row, run="one two", seed="0 1", settings=settings)
    method = Method("lpips", "net", lambda engine: lpips_distance(metric, engine))
    runs = [Path(name) for name in ("two", "one")]
    monkeypatch.setattr(maps, "find_runs", lambda experiments: [SimpleNamespace(folder=folder) for folder in runs])
    monkeypatch.setattr(maps, "method_of_run", lambda run, supervision: {"one": method}[run.folder.name])
    made = maps_of(Examples(examples.splits, [other, (row, pairs)]), CHOSEN, tmp_path, download=False)
    assert made.row is row
    assert _arguments(row, tmp_path).endswith(f"--weights {tmp_path / 'one' / 'weights.pth'}")


@pytest.mark.parametrize("net", ["timm/test_vit.r160_in1k", "timm/resnet18", "alex", "alex-gaussian"])
def test_the_name_of_a_rows_network_is_one_that_the_command_takes(net, tmp_path):
    method = find_method(f"{net}-off_the_shelf-v0.1")
    row = Row(method.group, method.name, method.variant, method.version, settings={"backbone": net})
    assert name_of(row) == f"{net}-off_the_shelf-v0.1"
    assert _arguments(row, tmp_path) == f"-m {net}-off_the_shelf-v0.1"


@pytest.mark.parametrize("change", ["weights", "distances", "none"])
def test_a_network_that_is_not_the_row_of_the_table_makes_no_maps(examples, tmp_path, monkeypatch, change):
    (other, one), (row, pairs) = examples.methods
    if change == "weights":
        row = dataclasses.replace(row, settings={**row.settings, "weights": "others"})
    elif change == "distances":
        pairs = {name: (1.01 * d0, d1) for name, (d0, d1) in pairs.items()}
    else:

        def missing(name, download):
            raise UserError("no such method")

        monkeypatch.setattr(maps, "find_method", missing)
    assert maps_of(Examples(examples.splits, [(other, one), (row, pairs)]), CHOSEN, Path(tmp_path), False) is None


def test_no_network_is_loaded_if_no_example_is_chosen(examples, tmp_path, monkeypatch):
    monkeypatch.setattr(maps, "_network", None)
    assert maps_of(examples, {"2afc/val/noise": np.array([], int)}, tmp_path, False) is None
