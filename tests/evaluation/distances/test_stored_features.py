"""Features that training stores for its validation save the tables a pass, and change no distance."""

import json

import numpy as np
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.config import EvaluateConfig, TrainConfig, parse
from lpips_repro.evaluation.distances.compute import Engine, batches_of, compute_distances
from lpips_repro.evaluation.methods.published import lpips_distance
from lpips_repro.features import card
from lpips_repro.features.stored import means_of_training, stored_features
from lpips_repro.metrics.lpips.optimized import OptimizedLPIPS
from lpips_repro.metrics.lpips.released import lin_key
from lpips_repro.weights.state_dicts import digest_state
from tests.compose import settings
from tests.features.conftest import splits  # noqa: F401 (a fixture is used by its name)
from tests.training.test_features import WEIGHTS, make_metric
from tests.training.tiny import CPU

ROWS = ("off_the_shelf", "lin")


def distances(split, features, monkeypatch, version="0.1", dtype=torch.float32):
    """The distances of two rows over AlexNet, and over how many examples a backbone ran for them."""
    passes, right = [], OptimizedLPIPS.channel_means

    def counted(metric, ref, *others, **settings):
        passes.append(len(ref))
        return right(metric, ref, *others, **settings)

    monkeypatch.setattr(OptimizedLPIPS, "channel_means", counted)
    engine = Engine(CPU, dtype, features=features)
    generator = torch.Generator().manual_seed(0)
    channels = enumerate((64, 192, 384, 256, 256))
    lin = {lin_key(layer): torch.rand(1, count, 1, 1, generator=generator) for layer, count in channels}
    rows = {"off_the_shelf": None, "lin": lin}
    built = {
        variant: lpips_distance(LPIPS("alex", variant, version, WEIGHTS["alex"], lin_weights=state), engine)
        for variant, state in rows.items()
    }
    values, faults = compute_distances(built, split, CPU, batches_of(split, CPU, 4, 3))
    assert not faults
    monkeypatch.undo()
    return values, sum(passes)


def store(split, root, dtype="float32", *, noise=False):
    return stored_features(make_metric(), split, root, dtype, CPU, noise=noise)


def test_rows_over_stored_features_run_no_pass_and_have_the_same_distances(splits, tmp_path, monkeypatch):  # noqa: F811 (the fixture)
    split = splits["val"][0]
    store(split, tmp_path)
    expected, passed = distances(split, None, monkeypatch)
    found, none = distances(split, tmp_path, monkeypatch)
    assert (passed, none) == (len(split) - 3, 0)
    for row in ROWS:
        assert found[row].shape == (2, len(split) - 3)
        np.testing.assert_allclose(found[row], expected[row], rtol=1e-6)


@pytest.mark.parametrize("other", ["version", "split", "float16", "noise", "damaged", "nothing", "altered", "earlier"])
def test_other_features_are_not_used(other, splits, tmp_path, monkeypatch):  # noqa: F811 (the fixture)
    split = splits["val"][0]
    if other != "nothing":
        stored_of = splits["val"][1] if other == "split" else split
        store(stored_of, tmp_path, "float16" if other == "float16" else "float32", noise=other == "noise")
    if other == "damaged":
        (file,) = tmp_path.rglob("mean.npy")
        np.save(file, np.load(file)[:-1])
    elif other == "altered":
        (file,) = tmp_path.rglob("mean.npy")
        means = np.load(file)
        means[3, 1, 7] += 1e-3
        np.save(file, means)
    elif other == "earlier":
        (file,) = tmp_path.rglob("card.json")
        known = json.loads(file.read_text())
        file.write_text(json.dumps({key: known[key] for key in known if key != "files"}))
    version = "0.0" if other == "version" else "0.1"
    expected, _ = distances(split, None, monkeypatch, version)
    found, passed = distances(split, tmp_path, monkeypatch, version)
    assert passed == len(split) - 3
    assert all(np.array_equal(found[row], expected[row]) for row in ROWS)


def test_features_are_checked_once_and_an_alteration_is_reported_once(splits, tmp_path, monkeypatch, caplog):  # noqa: F811 (the fixture)
    split, read = splits["val"][0], []
    store(split, tmp_path)
    digest = card._digest
    monkeypatch.setattr(card, "_digest", lambda file: read.append(file) or digest(file))
    right = make_metric().backbone
    key = (tmp_path, "alex", digest_state(right.state_dict()), "0.1", CPU, split)
    assert means_of_training(*key) is not None
    assert means_of_training(*key) is not None
    assert len(read) == 1
    np.save(read[0], np.zeros_like(np.load(read[0])))
    for _ in range(2):
        assert means_of_training(*key) is None
    assert len(read) == 2
    assert caplog.text.count("mean.npy: changed since it was stored: not used") == 1


def test_a_row_in_bfloat16_runs_its_own_pass(splits, tmp_path, monkeypatch):  # noqa: F811 (the fixture)
    store(splits["val"][0], tmp_path)
    expected, _ = distances(splits["val"][0], None, monkeypatch, dtype=torch.bfloat16)
    found, _ = distances(splits["val"][0], tmp_path, monkeypatch, dtype=torch.bfloat16)
    assert all(np.array_equal(found[row], expected[row]) for row in ROWS)


def test_the_tables_look_where_training_stores():
    assert parse(settings("evaluate"), EvaluateConfig).features == parse(settings("train"), TrainConfig).features
