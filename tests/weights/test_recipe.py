import json

import pytest
import torch

from lpips_repro.weights.recipe import read_recipe, recipe_file, write_recipe
from lpips_repro.weights.state_dicts import digest_state


@pytest.fixture
def weights(tmp_path):
    """A file of weights with its recipe."""
    path = tmp_path / "mine.pth"
    torch.save({"layer": torch.arange(6.0)}, path)
    write_recipe(path, "made here", {"seed": 3})
    return path


def test_a_recipe_belongs_to_the_weights_next_to_it(weights):
    digest = digest_state({"layer": torch.arange(6.0)})
    assert read_recipe(weights) == {"made": "made here", "weights": digest, "seed": 3}


def test_other_weights_in_the_same_file_have_none(weights):
    torch.save({"layer": torch.ones(6)}, weights)
    assert read_recipe(weights) is None


@pytest.mark.parametrize(
    "content", ["no JSON", "[" * 100_000, "[]", "{}", json.dumps({"weights": "0", "made": "by others"})]
)
def test_what_is_no_recipe_is_none(weights, content):
    recipe_file(weights).write_text(content)
    assert read_recipe(weights) is None


def test_weights_without_a_recipe_or_that_are_not_there_have_none(weights):
    recipe_file(weights).unlink()
    assert read_recipe(weights) is None
    weights.unlink()
    assert read_recipe(weights) is None


def test_weights_of_another_form_have_none(weights):
    weights.write_bytes(b"layers of another program")
    assert read_recipe(weights) is None
