"""The operation under the lin weights against the formula, written plainly and differentiated by autograd."""

import pytest
import torch
from torch import Tensor

from lpips_repro.metrics.lpips.channels import NORM_EPSILON
from lpips_repro.training import differences
from lpips_repro.training.differences import channel_means
from lpips_repro.training.dropout import Dropout, factors

COUNT, CHANNELS, HEIGHT, WIDTH = 5, 7, 4, 3
PLACES, SIZE = HEIGHT * WIDTH, CHANNELS * HEIGHT * WIDTH


def make_maps(dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3 * COUNT, CHANNELS, HEIGHT, WIDTH, generator=generator, dtype=torch.float64).relu()
    return maps.to(dtype).requires_grad_()


def draw(places: int = PLACES, channels: int = CHANNELS) -> Tensor:
    (words,) = Dropout(torch.Generator().manual_seed(0)).words(COUNT, [(places, channels)])
    return words


def plainly(maps: Tensor, words: Tensor | None) -> Tensor:
    ref, *others = (maps / (torch.linalg.vector_norm(maps, dim=1, keepdim=True) + NORM_EPSILON)).split(COUNT)
    squared = torch.stack([(ref - other).square() for other in others])
    if words is not None:
        drawn = factors(words, PLACES, maps.dtype).unflatten(2, (HEIGHT, WIDTH))
        squared = squared * drawn.permute(0, 1, 4, 2, 3)
    return squared.mean(dim=(3, 4)).transpose(0, 1)


@pytest.mark.parametrize("block", [1, 2 * 3 * SIZE, 10**9])  # one triplet at once, two, all
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_means_and_gradient_are_those_of_the_formula(monkeypatch, block, dropout, layout):
    monkeypatch.setattr(differences, "BLOCK", block)
    maps, words = make_maps(), draw() if dropout else None
    ours, theirs = channel_means(maps.contiguous(memory_format=layout), words), plainly(maps, words)
    upstream = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=ours.dtype)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)
    gradients = [torch.autograd.grad(value, maps, upstream)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_maps_of_less_precision_are_computed_in_float32(dtype):
    maps = make_maps(dtype)
    found = channel_means(maps, draw())
    assert found.dtype == torch.float32
    found.sum().backward()
    assert maps.grad.dtype == dtype
    # The 24 bits of float32 on our side; the same numbers are dropped.
    torch.testing.assert_close(found.double(), plainly(maps.double(), draw()), rtol=1e-5, atol=1e-7)


def test_gradients_are_finite_where_maps_are_equal_or_zero():
    maps = make_maps(torch.float32).detach()
    maps[:, :, 0, 0] = 0  # all three
    maps[:COUNT, :, 1, 1] = 0  # the reference alone
    maps[COUNT : 2 * COUNT] = maps[:COUNT]
    maps.requires_grad_()
    found = channel_means(maps, None)
    found.sum().backward()
    assert (found[:, 0] == 0).all()
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dropout_is_0_or_2_with_equal_chance_and_every_number_apart(dtype):
    places, channels = 310, 64
    drawn = factors(draw(places, channels), places, dtype)
    assert drawn.shape == (2, COUNT, places, channels)
    assert drawn.unique().tolist() == [0, 2]
    signs, count = drawn.flatten() - 1, drawn.numel()
    bound = 6 / count**0.5  # six standard errors, of a mean of independent signs
    assert abs(signs.mean().item()) < bound
    # Neighbors, channels, the next bit of a word, the next triplet and the two pairs have nothing in common.
    for lag in (1, 2, 31, 32, channels, 10 * channels, places * channels, COUNT * places * channels):
        found = (signs[lag:] * signs[:-lag]).mean().item()
        assert abs(found) < bound * (count / (count - lag)) ** 0.5, lag


def test_every_number_of_a_map_is_drawn_whatever_its_size():
    shapes = [(1, 1), (3, 5), (31, 2), (32, 3), (61, 1), (225, 7)]
    for shape, part in zip(shapes, Dropout(torch.Generator().manual_seed(0)).words(200, shapes), strict=True):
        means = factors(part, shape[0], torch.float32).mean(dim=(0, 1))
        assert means.shape == shape
        assert (means - 1).abs().max() < 6 / 400**0.5
