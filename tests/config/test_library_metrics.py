"""`metric=piq/mdsi` without a YAML file."""

from lpips_repro.config import EvaluateConfig, parse
from tests.compose import settings


def metrics(*overrides):
    return parse(settings("evaluate", *overrides), EvaluateConfig).metric


def test_it_is_a_choice_next_to_others_with_a_key_that_names_files():
    found = metrics("metric=[ssim,piq/mdsi,DISTS_pytorch/DISTS]")
    assert list(found) == ["ssim", "piq-mdsi", "DISTS_pytorch-DISTS"]
    assert found["piq-mdsi"].function == "piq/mdsi"


def test_its_settings_can_be_changed():
    found = metrics("metric=[piq/ssim]", "+metric.piq-ssim.settings.kernel_size=7")
    assert found["piq-ssim"].settings == {"kernel_size": 7}


def test_words_that_name_paths_are_left_alone(tmp_path):
    assert list(metrics("metric=[ssim]", f"experiments={tmp_path}/a/b")) == ["ssim"]
