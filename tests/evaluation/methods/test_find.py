"""Methods by the labels of their rows."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.find import find_method
from tests.compose import CONFIGS


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("ssim", "ssim"),
        ("ssim-lab", "ssim-lab"),
        ("hdr-vdp", "hdr-vdp"),
        ("alex", "alex-lin-v0.1"),
        ("alex-v0.0", "alex-lin-v0.0"),
        ("alex-off_the_shelf", "alex-off_the_shelf-v0.1"),
        ("alex-gaussian", "alex-gaussian-off_the_shelf-v0.1"),
        ("squeeze-lin-v0.1", "squeeze-lin-v0.1"),
        ("piq/mdsi", "piq/mdsi"),
        ("timm/test_resnet", "timm-test_resnet-off_the_shelf-v0.1"),
        ("timm/test_resnet.r160_in1k-off_the_shelf-v0.1", "timm-test_resnet-r160_in1k-off_the_shelf-v0.1"),
    ],
)
def test_a_label_or_the_beginning_of_one_is_a_method(name, label):
    assert find_method(name).label == label


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sim", "sim: no such method: expected one of .*: did you mean ssim"),
        ("alex-tune", "alex-tune: no such method: expected one of .*alex"),
        ("alex-gaussian-lin", "alex-gaussian-lin: no such method: expected one of alex-gaussian-off_the_shelf-v0.0"),
        ("", ": no such method"),
        ("piq/nonsense", "piq/nonsense: no such metric of piq: expected one of"),
        ("timm/test_resne", "timm .* has no such network: did you mean timm/test_resnet"),
        ("timm/test_resnet-v0.0", "expected one of timm-test_resnet-off_the_shelf-v0.1"),
        ("missing.py:mine", r"missing\.py: no such file"),
    ],
)
def test_any_other_is_refused_with_those_that_are_near(name, message):
    with pytest.raises(UserError, match=message):
        find_method(name)


def test_it_can_be_asked_for_in_a_program_that_uses_hydra():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        assert find_method("alex").label == "alex-lin-v0.1"
        assert GlobalHydra.instance().is_initialized()
