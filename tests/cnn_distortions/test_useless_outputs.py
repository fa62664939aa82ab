import pytest
import torch

from lpips_repro.cnn_distortions.useless_outputs import fault_of

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
GIVEN = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def not_finite():
    made = IMAGES.clone()
    made[3, 2, 5, 5] = torch.nan
    return made


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (not_finite(), "its output is not finite"),
        (torch.full_like(IMAGES, 0.5), "its output is constant"),
        (IMAGES.mean(dim=(2, 3), keepdim=True).expand_as(IMAGES), "its output is constant"),
        (GIVEN[:1].expand_as(IMAGES), "its output is the same for every image"),
        (IMAGES, "its output equals its input"),
        (IMAGES + 0.4 / 255, "its output equals its input"),
        (GIVEN, "its output equals its input"),
        (IMAGES + 1 / 255, None),
        (1 - IMAGES, None),
        (0.5 + (IMAGES - 0.5) / 20, None),
    ],
)
def test_an_output_that_is_constant_or_equals_the_input_is_a_fault(made, fault):
    assert fault_of(made, GIVEN, IMAGES) == fault


def test_a_single_image_is_not_judged_as_the_same_for_every_image():
    assert fault_of(1 - IMAGES[:1], GIVEN[:1], IMAGES[:1]) is None
