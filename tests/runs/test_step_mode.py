import copy

import pytest
import torch

from lpips_repro.backbones import Backbone, gaussian_state
from lpips_repro.config import Precision
from lpips_repro.errors import UserError
from lpips_repro.runs.step_mode import check_device, compiled_with_gradient, set_step_mode

CPU = torch.device("cpu")


def test_bfloat16_is_of_steps_and_not_of_scores_and_maps_are_float32():
    plain = Backbone("caffenet", gaussian_state("caffenet", 0))
    backbone = copy.deepcopy(plain)
    set_step_mode(backbone, Precision.bfloat16, compiled=False)
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert all(torch.equal(*maps) for maps in zip(backbone(images), plain(images), strict=True))
    for found, wanted in zip(backbone(images), plain(images), strict=True):
        assert found.dtype == torch.float32
        assert not torch.equal(found, wanted)
        assert (found - wanted).norm() <= 2e-2 * wanted.norm()


def test_float32_leaves_the_backbone_as_it_is():
    backbone = Backbone("caffenet", gaussian_state("caffenet", 0))
    set_step_mode(backbone, Precision.float32, compiled=False)
    assert "forward" not in vars(backbone)


@pytest.mark.parametrize(("length", "compiled"), [(None, [True, True, False]), (3, [True, False, False])])
def test_only_what_needs_a_gradient_and_has_the_length_is_compiled(monkeypatch, length, compiled):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda *a: calls.append(True) or function(*a))
    function = compiled_with_gradient(lambda x: calls.append(False) or x, length)
    found = []
    for count, learning in ((3, True), (2, True), (3, False)):
        calls.clear()
        with torch.set_grad_enabled(learning):
            function(torch.zeros(count))
        found.append(calls[0])
    assert found == compiled


@pytest.mark.parametrize("prefix", ["", "trainer."])
def test_tf32_is_refused_without_a_gpu_by_the_setting_of_its_script(prefix):
    with pytest.raises(UserError, match=rf"^{prefix}precision=tf32: only a GPU has TF32: use float32 or bfloat16$"):
        check_device(Precision.tf32, False, CPU, prefix)
