import copy
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from lpips_repro import LPIPS, devices
from lpips_repro.backbones import gaussian_state
from lpips_repro.benchmark.near_pairs import shift_and_changes
from lpips_repro.datasets.packing.patches import PatchForm, load_patch
from lpips_repro.errors import UserError
from lpips_repro.metrics.lpips.optimized import rounded_up
from tests.metrics.test_lpips import WEIGHTS, images

# float32 sums in another order.
FLOAT32 = {"atol": 1e-6, "rtol": 1e-5}


@pytest.fixture(scope="module")
def compiled():
    """AlexNet and its compiled form: each shape costs seconds."""
    metric = LPIPS("alex", weights=WEIGHTS["alex"])
    return metric, metric.optimized()


def test_compiled_distances_are_those_of_the_metric(compiled):
    metric, evaluator = compiled
    triplet = images(5, 3, 64, 64)
    torch._dynamo.utils.counters.clear()
    evaluator.triplet(*triplet)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    for ours, theirs in zip(evaluator.triplet(*triplet), metric.triplet(*triplet), strict=True):
        torch.testing.assert_close(ours, theirs, **FLOAT32)
    torch.testing.assert_close(evaluator(*triplet[:2]), metric(*triplet[:2]), **FLOAT32)


def test_a_smaller_batch_is_padded_and_not_compiled_again(compiled, monkeypatch):
    metric, evaluator = compiled
    evaluator.triplet(*images(5, 3, 64, 64))
    monkeypatch.setattr(torch, "compile", None)  # it would be called
    with torch._dynamo.config.patch(error_on_recompile=True):
        for count in (1, 4):
            triplet = images(count, 3, 64, 64, seed=count)
            for ours, theirs in zip(evaluator.triplet(*triplet), metric.triplet(*triplet), strict=True):
                assert ours.shape == (count,)
                torch.testing.assert_close(ours, theirs, **FLOAT32)


def test_images_in_0_to_1_and_in_inference_mode_are_taken_too(compiled):
    metric, evaluator = compiled
    with torch.inference_mode():
        x, y, _ = ((image + 1) / 2 for image in images(5, 3, 64, 64))
        torch.testing.assert_close(evaluator(x, y, normalize=True), metric(x, y, normalize=True), **FLOAT32)


@pytest.mark.parametrize("version", ["0.0", "0.1"])
@pytest.mark.parametrize("variant", ["off_the_shelf", "lin"])
@pytest.mark.parametrize("net", ["alex", "squeeze", "vgg"])
def test_bfloat16_stays_near_float32(net, variant, version):
    metric = LPIPS(net, variant, version, weights=WEIGHTS[net])
    triplet = images(3, 3, 64, 64)
    found = metric.optimized(torch.bfloat16, compiled=False).triplet(*triplet)
    for ours, theirs in zip(found, metric.triplet(*triplet), strict=True):
        assert ours.dtype == torch.float32
        assert not torch.equal(ours, theirs)
        # 8 bits of mantissa in every map, averaged over many: measured 0.3 % on noise.
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0.02)


def test_maps_of_distances_come_out_too():
    metric = LPIPS("alex", weights=WEIGHTS["alex"], spatial=True)
    x, y, _ = images(3, 3, 64, 64)
    torch.testing.assert_close(metric.optimized(compiled=False)(x, y), metric(x, y), **FLOAT32)


def test_the_evaluator_is_a_copy():
    metric = LPIPS("alex", weights=WEIGHTS["alex"])
    evaluator = metric.optimized(torch.bfloat16, compiled=False)
    assert next(metric.parameters()).dtype == torch.float32
    x, y, _ = images(2, 3, 64, 64)
    before = evaluator(x, y)
    metric.backbone.load_state_dict(gaussian_state("alex", 2))
    assert torch.equal(evaluator(x, y), before)


def test_what_cannot_be_optimized_is_refused():
    metric = LPIPS("alex", weights=WEIGHTS["alex"])
    with pytest.raises(UserError, match=r"dtype='torch\.float16': expected one of torch\.float32, torch\.bfloat16"):
        metric.optimized(torch.float16)
    with pytest.raises(UserError, match=r"the metric is torch\.float64.*metric\.float\(\)"):
        LPIPS("alex", weights=WEIGHTS["alex"]).double().optimized()
    with pytest.raises(ValueError, match=r"images are torch\.float64 on cpu, the evaluator takes torch\.float32"):
        metric.optimized(compiled=False)(*(image.double() for image in images(1, 3, 64, 64)[:2]))


def test_without_a_compiler_the_error_says_what_to_do(tmp_path):
    code = (
        "import torch; from lpips_repro.metrics import ssim; from lpips_repro.errors import UserError\n"
        "try: ssim(*torch.rand(2, 1, 3, 64, 64), compiled=True)\n"
        "except UserError as error: print(error)"
    )
    environment = {**os.environ, "CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "could not be compiled" in done.stdout
    assert "InvalidCxxCompiler" in done.stdout
    assert "install a C++ compiler such as g++" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_bfloat16_changes_at_most_two_verdicts_on_the_real_triplets(net, shared, monkeypatch):
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(shared / "weights"))
    folder = shared / "bapps_real_triplets/2afc/val/disagreements"
    batch = []
    for field in ("ref", "p0", "p1"):
        files = sorted((folder / field).glob("*.png"))
        patches = np.stack([np.asarray(Image.open(file).convert("RGB").resize((64, 64), 2)) for file in files])
        batch.append(torch.from_numpy(patches).permute(0, 3, 1, 2) / 255)
    assert len(batch[0]) == 60
    metric = LPIPS(net)
    d0, d1 = metric.triplet(*batch, normalize=True)
    for compiled in (True, False):
        b0, b1 = metric.optimized(torch.bfloat16, compiled=compiled).triplet(*batch, normalize=True)
        assert ((d0 < d1) != (b0 < b1)).sum() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_bfloat16_lengthens_the_smallest_distances_and_hardly_larger_ones(net, shared, imagenet):
    # docs/results/precision.md has the figures for more levels of noise.
    files = sorted((shared / "bapps_real_triplets/2afc/val/disagreements/ref").glob("*.png"))
    patches = np.stack([load_patch(file, PatchForm(64, "pil_bilinear"))[0] for file in files])
    rng, metric = np.random.default_rng(0), LPIPS(net)
    shift = {level: shift_and_changes(metric, patches, level, rng)[0].median().item() for level in (0.5, 8)}
    assert 0.05 < shift[0.5] < 0.3
    assert abs(shift[8]) < 0.01


def test_a_copy_compiles_again_and_a_converted_evaluator_is_refused(compiled):
    metric, evaluator = compiled
    triplet = images(5, 3, 64, 64)
    evaluator.triplet(*triplet)
    twin = copy.deepcopy(evaluator)
    torch.testing.assert_close(twin.triplet(*triplet), metric.triplet(*triplet), **FLOAT32)
    with pytest.raises(ValueError, match=r"converted to torch\.float64"):
        twin.double().triplet(*triplet)


def test_what_was_compiled_is_kept_and_the_smallest_that_fits_is_taken(monkeypatch):
    metric = LPIPS("alex", weights=WEIGHTS["alex"])
    evaluator = metric.optimized()
    compiled = []  # the sizes that blocks are run with

    def compile_nothing(block, **_):
        def run(images):
            compiled.append(len(images) // block.batches)
            return block(images)

        runs.append(run)
        return run

    runs = []
    monkeypatch.setattr(torch, "compile", compile_nothing)
    asked = [(60, 63), (2, 2), (60, 63), (55, 63), (2, 2), (16, 63), (16, 16), (15, 16), (9, 16), (60, 63), (1, 2)]
    for count, size in asked:
        triplet = images(count, 3, 64, 64, seed=count)
        compiled.clear()
        found = evaluator.triplet(*triplet)
        assert compiled == [size], count
        torch.testing.assert_close(found[0], metric(*triplet[:2]), **FLOAT32)
    assert len(runs) == 3  # 63, 2 at once, and 16 when it came again


@pytest.mark.parametrize(("count", "size"), [(1, 1), (7, 8), (9, 10), (11, 13), (50, 50), (51, 63), (1000, 1000)])
def test_sizes_to_compile_are_rounded_up(count, size):
    assert rounded_up(count) == size


def test_weights_are_not_loaded_into_an_evaluator():
    metric, other = (LPIPS("alex", weights=weights) for weights in (WEIGHTS["alex"], gaussian_state("alex", 2)))
    evaluator = metric.optimized(compiled=False)
    with pytest.raises(UserError, match=r"load them into the metric, and call metric\.optimized\(\) again"):
        evaluator.load_state_dict(other.optimized(compiled=False).state_dict())


def test_an_evaluator_of_a_metric_that_was_not_frozen_any_more_has_no_gradients():
    metric = LPIPS("alex", weights=WEIGHTS["alex"]).requires_grad_(True)
    evaluator = metric.optimized(compiled=False)
    assert not any(parameter.requires_grad for parameter in evaluator.parameters())
    assert not evaluator(*images(1, 3, 64, 64)[:2]).requires_grad


@pytest.mark.parametrize(("native", "warned"), [(False, 1), (True, 0), (None, 0)])
def test_bfloat16_on_a_cpu_without_it_is_warned_of_once_per_process(monkeypatch, native, warned):
    monkeypatch.setattr(devices, "native_bfloat16", lambda: native)
    devices.warn_of_slow_bfloat16.cache_clear()
    metric = LPIPS("alex", weights=WEIGHTS["alex"])
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(2):
            metric.optimized(torch.bfloat16, compiled=False)
        metric.optimized(compiled=False)
    devices.warn_of_slow_bfloat16.cache_clear()
    assert ["no bfloat16 instructions" in str(warning.message) for warning in found] == [True] * warned
