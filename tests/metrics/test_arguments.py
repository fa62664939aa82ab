"""Arguments of the released package, and others that do not exist."""

import inspect

import lpips as released
import pytest

from lpips_repro import LPIPS
from lpips_repro.errors import UserError
from lpips_repro.metrics.lpips.arguments import ANSWERS
from tests.metrics.test_frozen import alex
from tests.metrics.test_lpips import WEIGHTS, images


def test_a_net_that_is_no_name_and_a_version_that_is_a_number():
    with pytest.raises(UserError, match="net=True: expected the name of a network"):
        LPIPS(True)
    assert LPIPS("alex", "off_the_shelf", 0.1, weights=WEIGHTS["alex"]).version == "0.1"


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        ({"lpips": False}, 'lpips=False is variant="off_the_shelf"'),
        ({"model_path": "x.pth"}, r"lin_weights=FILE reads lin weights"),
        ({"eval_mode": True}, "always in eval mode"),
        ({"pnet_rand": True}, "torchvision_state"),
        ({"verbose": False}, "leave it out"),
        ({"colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_released_arguments_are_answered_with_the_new_ones(argument, answer):
    with pytest.raises(TypeError, match=answer):
        LPIPS("alex", weights=WEIGHTS["alex"], **argument)


def test_every_released_argument_is_known_or_answered():
    ours = {*inspect.signature(LPIPS.__init__).parameters, *ANSWERS["LPIPS"]}
    assert set(inspect.signature(released.LPIPS.__init__).parameters) <= ours
    ours = {*inspect.signature(LPIPS.forward).parameters, *ANSWERS["forward"]}
    assert set(inspect.signature(released.LPIPS.forward).parameters) - {"in0", "in1"} <= ours
    x, y, _ = images(1, 3, 64, 64)
    with pytest.raises(TypeError, match="per_layer=True"):
        alex()(x, y, retPerLayer=True)
