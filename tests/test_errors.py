import re

import pytest

from lpips_repro.errors import UserError, check_choice, check_utf8, likely_names

NETS = ("alex", "alex_gaussian", "resnet18", "resnet50", "squeeze", "vgg", "vit_b_16", "vit_mae", "timm/NAME")


@pytest.mark.parametrize(
    ("value", "likely"),
    [
        ("vgg16", ["vgg"]),
        ("VGG", ["vgg"]),
        ("alexnet", ["alex"]),
        ("squeezenet1_1", ["squeeze"]),
        ("resnet", ["resnet18", "resnet50"]),
        ("sqeeze", ["squeeze"]),
        ("vit", ["vit_mae", "vit_b_16"]),
        ("qqq", []),
        ("", []),
    ],
)
def test_the_likely_network_is_found(value, likely):
    assert likely_names(value, NETS) == likely


def test_the_likely_variant_is_found():
    assert likely_names("linear", ("lin", "off_the_shelf", "scratch", "tune")) == ["lin"]


def test_a_wrong_choice_names_all_and_the_likely_one():
    with pytest.raises(UserError, match=r"^net='vgg16': expected one of alex, vgg: did you mean vgg\?$"):
        check_choice("net", "vgg16", ("alex", "vgg"))
    with pytest.raises(UserError, match=r"^net='qq': expected one of alex, vgg$"):
        check_choice("net", "qq", ("alex", "vgg"))


@pytest.mark.parametrize("value", [False, None, 0.1, 2])
def test_a_choice_that_is_not_a_string_is_refused(value):
    with pytest.raises(UserError, match=rf"^net={value}: expected one of alex, vgg$"):
        check_choice("net", value, ("alex", "vgg"))


def test_bytes_of_a_name_that_is_not_utf8_are_escaped():
    check_utf8("/é")
    with pytest.raises(UserError, match=f"^{re.escape('/a/caf')}.xe9: not UTF-8: rename the file or folder$"):
        check_utf8("/a/caf\udce9")
