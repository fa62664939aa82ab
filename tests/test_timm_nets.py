"""`net=timm/NAME` without a YAML file."""

import pytest

from lpips_repro.backbones import check_backbone
from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.config.timm_nets import register_timm_nets
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods.published import list_methods
from tests.compose import settings


def nets(*overrides):
    register_timm_nets(overrides)
    return parse(settings("evaluate", *overrides), EvaluateConfig).net


def test_a_timm_network_is_a_choice_like_others_and_its_key_can_name_folders():
    found = nets("net=[alex,timm/test_vit,timm/vit_base_patch16_224.mae]")
    assert list(found) == ["alex", "timm-test_vit", "timm-vit_base_patch16_224-mae"]
    assert found["timm-vit_base_patch16_224-mae"].backbone == "timm/vit_base_patch16_224.mae"


def test_settings_of_a_timm_network_can_be_changed():
    key = "timm-vit_base_patch16_224-mae"
    found = nets("net=[timm/vit_base_patch16_224.mae]", f"net.{key}.init=file", f"net.{key}.weights=/x.pth")
    assert found[key].weights == "/x.pth"


def test_a_timm_network_has_rows_in_the_tables():
    overrides = ("net=[timm/test_vit]", "metric=[]", "variant=[off_the_shelf,lin]")
    register_timm_nets(overrides)
    methods = list_methods(parse(settings("evaluate", *overrides), EvaluateConfig))
    assert [method.label for method in methods] == ["timm-test_vit-off_the_shelf-v0.1"]


@pytest.mark.parametrize(
    ("name", "supervision"),
    [
        ("resnet50", "supervised"),
        ("resnet50.a1_in1k", "supervised"),
        ("vit_base_patch16_224.mae", "self-supervised"),
        ("vit_small_patch14_dinov2.lvd142m", "self-supervised"),
        ("convnextv2_base.fcmae", "self-supervised"),
        ("convnextv2_base.fcmae_ft_in1k", "supervised"),
        ("eva02_base_patch14_448.mim_in22k_ft_in1k", "supervised"),
    ],
)
def test_the_supervision_is_read_from_timms_name(name, supervision):
    (net,) = nets(f"net=[timm/{name}]").values()
    assert net.supervision == supervision


def test_an_unknown_name_of_timm_is_refused_with_the_likely_ones():
    with pytest.raises(UserError, match=r"net='timm/resnet19': timm .* has no such network: did you mean timm/resnet"):
        check_backbone("timm/resnet19")
