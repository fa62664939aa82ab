import pytest
import torch

from lpips_repro.pretraining.tasks import task
from lpips_repro.pretraining.tasks.task import draw_views, recolour, send_draws
from tests.pretraining.learning import draws, patches


def test_views_are_squares_of_the_crops_mirrored_or_not():
    crops = torch.arange(2 * 10 * 10 * 3).view(2, 10, 10, 3).remainder(251).to(torch.uint8)
    seen = set()
    for seed in range(60):
        views = draw_views(crops, 8, draws(seed))
        assert views.shape == (2, 3, 8, 8)
        for crop, view in zip(crops, views, strict=True):
            pixels = ((view + 1) * 127.5).round().permute(1, 2, 0).to(torch.uint8)
            found = [
                (top, left, mirrored)
                for top in range(3)
                for left in range(3)
                for mirrored in (False, True)
                if torch.equal(pixels.flip(1) if mirrored else pixels, crop[top : top + 8, left : left + 8])
            ]
            assert len(found) == 1
            seen.update(found)
    assert len(seen) == 18  # every place, mirrored and not


def test_views_are_in_the_range_of_the_metric():
    crops = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(3).view(1, 1, 2, 3).expand(1, 2, 2, 3)
    assert sorted(set(draw_views(crops, 2, draws()).flatten().tolist())) == [-1, 1]


@pytest.mark.parametrize(("share", "changed"), [(0.0, 0), (1.0, 400), (0.25, 100)])
def test_so_many_images_are_recolored(share, changed):
    images = draw_views(patches(4, 20), 20, draws()).repeat(100, 1, 1, 1)
    after = recolour(images, share, draws())
    found = (after != images).flatten(1).any(dim=1).sum().item()
    assert found == pytest.approx(changed, abs=35 if 0 < share < 1 else 0)


def test_a_recolored_channel_is_one_of_the_image_made_lighter_or_darker():
    images = draw_views(patches(8, 20), 20, draws())
    after = recolour(images, 1.0, draws())
    assert after.min() >= -1
    assert after.max() <= 1
    orders = set()
    for image, changed in zip(images.flatten(2), after.flatten(2), strict=True):
        rises = [[(new[old.argsort()].diff() >= -1e-6).all().item() for old in image] for new in changed]
        assert [sum(row) for row in rises] == [1, 1, 1]
        orders.add(tuple(row.index(True) for row in rises))
    assert len(orders) > 2
    assert all(sorted(order) == [0, 1, 2] for order in orders)


def test_what_was_drawn_is_sent_in_one_copy_and_is_the_same_exactly(monkeypatch):
    copies, send = [], task.send
    monkeypatch.setattr(task, "send", lambda *args: copies.append(args) or send(*args))
    generator = draws()
    drawn = (
        torch.randint(2**31, (5, 3, 2), generator=generator),
        torch.randn((5, 3, 1, 1), generator=generator),
        torch.rand((5, 1), generator=generator) < 0.5,
        torch.arange(5),
    )
    found = send_draws(torch.device("cpu"), *drawn)
    assert len(copies) == 1
    for one, other in zip(found, drawn, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert torch.equal(one, other)
