"""A training step on a GPU, seen without one: see `tests.fake_cuda`."""

import copy
import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lpips_repro.backbones import BACKBONES, check_backbone, gaussian_state
from lpips_repro.devices import one_thread
from lpips_repro.features.patches import to_images
from lpips_repro.runs.optimizer import make_optimizer
from lpips_repro.training import validation
from lpips_repro.training.differences import _ChannelMeans
from lpips_repro.training.dropout import Dropout
from lpips_repro.training.model import RankingModel
from lpips_repro.training.step import TrainingStep
from lpips_repro.training.step_sums import StepSums
from lpips_repro.training.triplets import FeatureTriplets, ImageTriplets, SplitFeatures
from tests.fake_cuda import CUDA, asynchronous_copies, fake_gpu, no_host_read, note_host_reads
from tests.training.tiny import trainer

NETS = ("alex", "squeeze", "caffenet", "timm/test_resnet")
CASES = [(net, kind) for net in NETS for kind in ("lin on features", "tune", "scratch")] + [("alex", "lin on images")]


@functools.cache
def made(net, variant):
    """A model, to be copied."""
    check_backbone(net)
    return RankingModel(net, variant, "0.1", gaussian_state(net, 0))


def make_triplets(net, kind, splits, device, resident):
    if kind != "lin on features":
        return ImageTriplets(splits, device, resident=resident)
    rng, channels = np.random.default_rng(0), sum(BACKBONES[net].channels)
    sizes = [(len(split), 2, channels) for split in splits]
    features = [SplitFeatures(*rng.random((2, *size), np.float32), 1.0) for size in sizes]
    return FeatureTriplets(splits, device, features, resident=resident)


def model_of(net, kind):
    return copy.deepcopy(made(net, kind.split()[0]))


def take_steps(model, net, kind, splits, *overrides, resident=False):
    """Two whole steps as the loop takes them, the second of fewer triplets; the sums that counted them."""
    device = model.lin.device
    triplets = make_triplets(net, kind, splits["train"], device, resident)
    step, used = TrainingStep(model, make_optimizer(model, 1e-4), trainer(*overrides), 0), []
    model.ranking.register_forward_hook(lambda *_: used.append(torch.backends.cudnn.benchmark))
    with asynchronous_copies() if device == CUDA else no_host_read():
        sums = StepSums(device)
        for number, count in enumerate((3, 2)):
            sums.add(number, *step(triplets, np.arange(count), number))
    assert used == 2 * [device == CUDA]  # algorithms are timed, which pays for batches of one shape
    assert not torch.backends.cudnn.benchmark
    return sums


@pytest.mark.parametrize(("net", "kind"), CASES)
def test_a_step_on_a_gpu_waits_for_no_copy_and_reads_nothing(splits, net, kind):
    model = model_of(net, kind)
    with fake_gpu():
        sums = take_steps(model.to(CUDA), net, kind, splits)
    assert sums.values.device == CUDA


@pytest.mark.parametrize("kind", ["lin on features", "tune"])
def test_nor_does_a_step_on_triplets_that_are_kept_there(splits, kind):
    model = model_of("alex", kind)
    with fake_gpu():
        take_steps(model.to(CUDA), "alex", kind, splits, resident=True)


@pytest.mark.parametrize(("net", "kind"), CASES)
def test_backward_reads_nothing_either(splits, net, kind):
    with one_thread():
        sums = take_steps(model_of(net, kind), net, kind, splits)
    assert sums.means()["loss"] > 0


@pytest.mark.parametrize("net", NETS)
def test_a_step_in_bfloat16_reads_nothing_either(splits, net):
    with one_thread():
        sums = take_steps(model_of(net, "tune"), net, "tune", splits, "precision=bfloat16")
    assert sums.means()["loss"] > 0


def test_images_for_features_go_to_a_gpu_as_bytes_without_waiting(splits):
    patches = splits["train"][0].arrays["ref"]
    with fake_gpu(), asynchronous_copies() as copies:
        images = to_images(patches, CUDA)
    assert (images.device, images.shape) == (CUDA, (len(patches), 3, 64, 64))
    assert copies.sent == [torch.uint8]


def test_our_own_backward_waits_for_nothing_on_a_gpu():
    with fake_gpu(), asynchronous_copies():
        maps = torch.rand(6, 8, 5, 5, device=CUDA)
        (words,) = Dropout(torch.Generator(CUDA)).words(2, [(25, 8)])
        context = SimpleNamespace(saved_tensors=(maps, words))
        gradient, _ = _ChannelMeans.backward(context, torch.rand(2, 2, 8, device=CUDA))
    assert (gradient.device, gradient.shape) == (CUDA, maps.shape)


def test_validation_reads_nothing_before_the_last_batch_is_begun(splits, monkeypatch):
    monkeypatch.setattr(validation, "BATCH", 5)
    done, model = [], model_of("alex", "tune")
    model.metric.backbone.register_forward_hook(lambda *_: done.append(torch.backends.cudnn.benchmark))
    note_host_reads(monkeypatch, done)
    with fake_gpu(), pytest.raises(RuntimeError, match="numpy"):  # there are no values
        validation.validate(model.to(CUDA), {"val": ImageTriplets(splits["val"][:1], CUDA)}, lambda: None)
    assert done == [True, True, True, "to the host"]
    assert not torch.backends.cudnn.benchmark
