"""Hydra and OmegaConf read every quoted text unchanged, and what is shown is one line without control characters."""

import random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from lpips_repro.quoting import literal, one_line, quoted

CHARACTERS = "a$\\{}\"' ,=[]#~:()\t/é1%\n*?"


@pytest.mark.parametrize("seed", range(3))
def test_a_random_text_is_a_value_and_an_item_of_a_list(seed):
    parser, draw = OverridesParser.create(), random.Random(seed)
    for _ in range(300):
        text = "".join(draw.choices(CHARACTERS, k=draw.randint(1, 8)))
        single = parser.parse_override(f"key={quoted(text)}").value()
        (item,) = parser.parse_override(f"key=[{quoted(text)}]").value()
        assert OmegaConf.create({"key": single}).key == OmegaConf.create({"key": item}).key == text


def test_words_with_a_meaning_are_text_and_plain_ones_are_not_quoted():
    parser = OverridesParser.create()
    for word in ("null", "True", "nan", "12", "1e5", "0x1"):
        assert parser.parse_override(f"key={quoted(word)}").value() == word
    assert quoted("timm/vit_base.mae") == "timm/vit_base.mae"


@pytest.mark.parametrize("text", ["/a${b}", r"/a\${b}", "/a$b", "/plain\\"])
def test_a_literal_refers_to_no_other_setting(text):
    assert OmegaConf.create({"b": "other", "key": literal(text)}).key == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b/é.png", "a b/é.png"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\u202eb\u2028\x85\udce9", r"a\u202eb\u2028\x85\xe9"),
    ],
)
def test_a_name_is_shown_on_one_line_without_control_characters(text, shown):
    assert one_line(text) == shown
