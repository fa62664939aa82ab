"""`evaluate`: one method on one split, from Python."""

import contextlib
import csv
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import lpips_repro.metrics
from lpips_repro import LPIPS
from lpips_repro.backbones import gaussian_state
from lpips_repro.datasets.find import find_split
from lpips_repro.errors import UserError
from lpips_repro.evaluation import evaluate, jnd_map, one_method, twoafc_score
from lpips_repro.evaluation import run as run_module
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.metrics import METRICS
from tests.compose import CONFIGS, settings
from tests.datasets.folders import make_split, noise_split

COUNT = 12


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """What is packed goes into `data/packed` of the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def triplets(tmp_path):
    """The folder of a split, its images in [-1, 1] by field, (N, H, W, 3), and the votes."""
    folder, images, votes = make_split(tmp_path / "data", split="noise", count=COUNT)
    return folder, {name: image / 127.5 - 1 for name, image in images.items()}, votes


def mean_difference(x, y):
    return (x - y).abs().mean(dim=(1, 2, 3))


def by_hand(images):
    return [np.abs(images["ref"] - images[name]).mean(axis=(1, 2, 3)) for name in ("p0", "p1")]


def test_a_function_of_images_from_minus_one_to_one_is_scored(triplets):
    folder, images, votes = triplets
    result = evaluate(mean_difference, folder)
    d0, d1 = by_hand(images)
    np.testing.assert_allclose(result.distances["d0"], d0, rtol=1e-5)
    np.testing.assert_allclose(result.distances["d1"], d1, rtol=1e-5)
    assert result.score == pytest.approx(twoafc_score(d0, d1, votes))
    assert result.score == pytest.approx(result.credits.mean())
    low, high = result.interval
    assert 0 < low < result.score < high < 1
    assert result.n == len(result.votes) == COUNT
    assert repr(result) == (
        f"mean_difference on 2afc/val/noise: 2AFC score (%) {100 * result.score:.2f},"
        f" 95 % interval {100 * low:.2f} to {100 * high:.2f}, {COUNT} examples, unknown observers"
    )


@pytest.mark.parametrize("input_range", [(-1, 1), (0, 1), (0, 255)])
def test_images_are_given_in_the_range_that_is_asked_for(triplets, input_range):
    seen = []

    def watching(x, y):
        seen.extend((x.min().item(), x.max().item()))
        assert x.dtype == torch.float32 and x.shape[1:] == (3, 64, 64)
        return mean_difference(x, y)

    evaluate(watching, triplets[0], input_range=input_range)
    assert (min(seen), max(seen)) == pytest.approx(input_range)


@pytest.mark.parametrize(
    ("number", "what"),
    [
        ({"batch_size": 0}, "batch_size=0: expected an integer of at least 1"),
        ({"batch_size": -3}, "batch_size=-3"),
        ({"bootstrap": 0}, "bootstrap=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_a_number_that_is_too_small_is_refused(triplets, number, what):
    with pytest.raises(UserError, match=what):
        evaluate(mean_difference, triplets[0], **number)


def test_a_module_in_training_mode_is_a_warning_if_that_changes_its_distances(triplets, caplog):
    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.dropout = torch.nn.Dropout()

        def forward(self, x, y):
            return mean_difference(self.dropout(x), y)

    for module in (Noisy().eval(), torch.nn.PairwiseDistance()):
        with contextlib.suppress(UserError):  # the second is of vectors
            evaluate(module, triplets[0])
    assert not caplog.messages
    evaluate(Noisy(), triplets[0])
    (message,) = caplog.messages
    assert message.startswith("Noisy: in training mode") and "call .eval()" in message


def test_a_range_upside_down_is_refused(triplets):
    with pytest.raises(UserError, match=r"input_range=\(1, 0\): expected the smallest and the largest value"):
        evaluate(mean_difference, triplets[0], input_range=(1, 0))


@pytest.mark.parametrize(
    "shaped",
    [
        lambda values: values.reshape(-1, 1, 1, 1),  # as of the released package
        lambda values: values.numpy(),
        lambda values: values.tolist(),
        lambda values: values.double(),
    ],
)
def test_values_may_have_any_shape_and_type_that_holds_one_per_image(triplets, shaped):
    expected = evaluate(mean_difference, triplets[0])
    found = evaluate(lambda x, y: shaped(mean_difference(x, y)), triplets[0])
    np.testing.assert_allclose(found.distances["d1"], expected.distances["d1"], rtol=1e-6)
    assert (found.score, found.interval) == (expected.score, expected.interval)


def test_a_mean_over_the_batch_is_refused(triplets):
    with pytest.raises(UserError, match=r"the metric returned \(\): expected a tensor of 2 values"):
        evaluate(lambda x, y: (x - y).abs().mean(), triplets[0])


def test_a_function_that_forgets_to_return_is_reported(triplets):
    with pytest.raises(UserError, match="forgetful: returned a NoneType: expected a tensor or array of 2 values"):

        def forgetful(x, y):
            (x - y).abs().mean(dim=(1, 2, 3))

        evaluate(forgetful, triplets[0])


def test_a_metric_of_another_library_is_its_row_in_the_tables(triplets):
    pytest.importorskip("piq")
    result, row = (evaluate(name, triplets[0]) for name in ("piq/haarpsi", "haarpsi"))
    assert result.label == "piq/haarpsi"
    np.testing.assert_array_equal(result.distances["d0"], row.distances["d0"])


def test_an_error_of_the_function_is_raised_as_it_is(triplets):
    with pytest.raises(ZeroDivisionError):
        evaluate(lambda x, y: 1 / 0, triplets[0])


def test_a_distance_that_is_no_number_is_named(triplets):
    with pytest.raises(UserError, match="<lambda> on 2afc/val/noise: the distance of example 000000 is NaN"):
        evaluate(lambda x, y: mean_difference(x, y) * float("nan"), triplets[0])


def test_a_function_that_changes_its_images_changes_only_its_own(triplets):
    def changing(x, y):
        values = mean_difference(x, y)
        x.zero_()
        y.zero_()
        return values

    assert evaluate(changing, triplets[0]).score == evaluate(mean_difference, triplets[0]).score


@pytest.mark.parametrize(
    ("device", "what"),
    [
        ("quantum", "no such device: expected"),
        ("cuda", "no driver: fix this"),
        ("cuda:9", "no driver"),
        ("mps", "the evaluation does not run on it: expected cpu or cuda"),
    ],
)
def test_a_device_that_does_not_exist_or_work_is_refused(triplets, monkeypatch, device, what):
    monkeypatch.setattr(one_method, "why_no_cuda", lambda device: "no driver")
    with pytest.raises(UserError, match=f"^device={device}: {what}"):
        evaluate(mean_difference, triplets[0], device=device)


def test_a_module_on_a_device_without_evaluation_is_refused(triplets):
    with pytest.raises(UserError, match=r"^device=meta: the evaluation does not run"):
        evaluate(torch.nn.Linear(1, 1, device="meta"), triplets[0])


@pytest.mark.parametrize(("method", "what"), [(LPIPS, "the class LPIPS"), (3, "3"), (None, "None")])
def test_what_is_no_method_is_refused(triplets, method, what):
    with pytest.raises(UserError, match=f"^{what}: expected a function of two batches of images"):
        evaluate(method, triplets[0])


def test_a_metric_of_the_package_has_its_own_range_and_direction(triplets):
    """A similarity counts as in the tables, in images from 0 to 1."""
    folder, images, votes = triplets
    maps = {name: torch.from_numpy((image + 1) / 2).permute(0, 3, 1, 2).float() for name, image in images.items()}
    d0, d1 = (1 - lpips_repro.metrics.ssim(maps["ref"], maps[name]) for name in ("p0", "p1"))
    result = evaluate(lpips_repro.metrics.ssim, folder)
    assert result.label == "ssim"
    assert result.score == pytest.approx(twoafc_score(d0, d1, votes))
    assert evaluate("ssim", folder, device="cpu").score == result.score


def test_a_network_is_scored_as_the_function_that_it_is(triplets):
    metric = LPIPS("alex", "off_the_shelf", weights=gaussian_state("alex", 0))
    found = evaluate(metric, triplets[0])
    expected = evaluate(lambda x, y: metric(x, y), triplets[0])
    assert found.label == "alex-off_the_shelf-v0.1"
    for name in ("d0", "d1"):
        np.testing.assert_allclose(found.distances[name], expected.distances[name], rtol=1e-5)
    assert metric.validate  # as it was


def test_a_label_is_the_row_of_the_tables(triplets):
    folder, *_ = triplets
    result = evaluate("alex-gaussian-off_the_shelf-v0.0", folder, device="cpu")
    assert result.label == "alex-gaussian-off_the_shelf-v0.0"
    row = tables(folder, "metric=[]", "net=[alex_gaussian]")[result.label]
    assert row == pytest.approx(100 * result.score, abs=0.005)  # two decimals
    with pytest.raises(UserError, match=r"ssmi: no such method: expected one of .*did you mean ssim"):
        evaluate("ssmi", folder)


def test_a_method_of_another_program_is_read(triplets, tmp_path):
    lines = [f"{index},{index},{COUNT - index}" for index in range(COUNT)]
    (tmp_path / "2afc-val-noise.csv").write_text("\n".join(["index,d0,d1", *lines]))
    result = evaluate(Method("low-level", "theirs", lambda engine: PrecomputedDistances(tmp_path)), triplets[0])
    assert result.distances["d1"].tolist() == [float(COUNT - index) for index in range(COUNT)]


def tables(folder, *overrides):
    """The scores of rows in percent, from the tables of a dataset."""
    root = folder.parents[2]
    places = [f"data.root={root}", "experiments=out", f"reference={CONFIGS.parent}/experiments/reference"]
    run_module.evaluate(settings("evaluate", "data=folder", "device=cpu", "trained_on=null", *places, *overrides))
    with Path("out/tables-folder/twoafc.csv").open(newline="") as file:
        return {row["label"]: float(row["noise"]) for row in csv.DictReader(file) if row["noise"]}


OWN = """
from lpips_repro.metrics import register_metric


@register_metric(to_distance=lambda value: -value)
def closeness(x, y):
    return -(x - y).abs().mean(dim=(1, 2, 3))


def distance(x, y):
    return (x - y).abs().mean(dim=(1, 2, 3))
"""


def test_a_function_of_a_file_outside_the_repository_is_a_row_by_one_yaml_and_by_evaluate(triplets, tmp_path):
    (tmp_path / "own/metric").mkdir(parents=True)
    file = tmp_path / "own/closeness.py"
    file.write_text(OWN)
    (tmp_path / "own/metric/mine.yaml").write_text(f"mine:\n  function: closeness\n  module: {file}\n")
    try:
        row = tables(triplets[0], f"hydra.searchpath=[file://{tmp_path}/own]", "metric=[mine]", "net=[]")["mine"]
        by_name = evaluate(METRICS["closeness"].function, triplets[0])
    finally:
        METRICS.pop("closeness", None)
    spec = importlib.util.spec_from_file_location("own_metric", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    METRICS.pop("closeness", None)
    by_function = evaluate(module.distance, triplets[0])
    assert row == pytest.approx(100 * by_function.score, abs=0.005)  # two decimals
    assert by_name.score == by_function.score
    assert by_name.interval == by_function.interval


def test_other_protocols(tmp_path):
    folder, images, same = make_split(tmp_path / "data", kind="jnd", count=COUNT)
    result = evaluate(mean_difference, folder, "jnd")
    distance = np.abs(images["p0"] / 127.5 - images["p1"] / 127.5).mean(axis=(1, 2, 3))
    assert result.score == pytest.approx(jnd_map(distance, same))
    assert result.credits is None
    with pytest.raises(UserError, match="protocol='afc': expected one of 2afc"):
        evaluate(mean_difference, folder, "afc")


def test_the_likelihood_is_in_its_own_unit(triplets):
    result = evaluate(mean_difference, triplets[0], "2afc-likelihood")
    assert 0.1 < result.score < 3
    assert f"(nats, lower is better) {result.score:.4f}" in repr(result)


def test_a_split_of_another_kind_is_named_with_its_protocol(tmp_path):
    split = noise_split(tmp_path / "split", 3, (64, 64))
    with pytest.raises(UserError, match="protocol=jnd: 2afc/val/noise has other judgments: use protocol=2afc"):
        evaluate(mean_difference, split, "jnd")


def test_votes_without_a_score_are_named(tmp_path):
    folder, *_ = make_split(tmp_path / "data", kind="jnd", count=3)
    for file in (folder / "same").iterdir():
        np.save(file, np.zeros(1, np.float32))
    with pytest.raises(UserError, match="nobody answered 'same' to any pair, so its mAP is undefined"):
        evaluate(mean_difference, folder, "jnd")


def test_one_example_is_enough(tmp_path):
    result = evaluate(mean_difference, noise_split(tmp_path / "split", 1, (64, 64)))
    assert result.n == 1 and result.score in (0, 1)
    assert re.search(r"95 % interval \d+\.00 to \d+\.00, 1 example, simulated observers", repr(result))


def test_the_interval_is_that_of_the_seed(triplets):
    split = find_split(triplets[0], "2afc")
    first, again, other = (evaluate(mean_difference, split, seed=seed) for seed in (0, 0, 1))
    assert first.interval == again.interval != other.interval
