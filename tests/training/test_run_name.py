import re

import pytest

from lpips_repro.errors import UserError
from lpips_repro.training.run import train
from lpips_repro.training.run_name import run_name
from tests.compose import settings

HASHED = r"-[0-9a-f]{8}"


def name(*overrides):
    return run_name(settings("train", *overrides))


@pytest.mark.parametrize("variant", ["lin", "tune", "scratch"])
@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze", "alex_gaussian", "alex_kmeans"])
@pytest.mark.parametrize("data", ["bapps", "mini"])
def test_default_settings_have_the_plain_name(data, net, variant):
    plain = f"{data}-{net.replace('_', '-')}-{variant}-v0.1-seed0"
    assert name(f"data={data}", f"net={net}", f"variant={variant}", "experiments=elsewhere") == plain


def test_version_and_seed_are_in_the_name():
    assert name("version=0.0", "seed=7") == "bapps-alex-lin-v0.0-seed7"


@pytest.mark.parametrize("variant", ["lin", "tune", "scratch"])
def test_experiments_of_the_paper_have_plain_names(variant):
    assert name(f"experiment=table5_{variant}", "net=vgg") == f"bapps-vgg-{variant}-v0.0-seed0"


@pytest.mark.parametrize(
    "override",
    [
        "trainer.epochs=7",
        "trainer.decay_epochs=0",
        "trainer.schedule=paper",
        "trainer.learning_rate=2e-4",
        "trainer.batch_size=20",
        "trainer.dropout=false",
        "trainer.activation=relu",
        "trainer.scratch_init=gaussian",
        "trainer.released_clamp=true",
        "trainer.lin_features=false",
        "trainer.lin_features_dtype=float16",
        "trainer.precision=bfloat16",
        "trainer.compile=true",
        "data.resize=exact",
        "data.size=96",
        "data.root=elsewhere",
        "net.alex.init=gaussian",
    ],
)
def test_a_setting_that_changes_the_result_adds_a_hash(override):
    assert re.fullmatch(f"bapps-alex-lin-v0.1-seed0{HASHED}", name(override))


@pytest.mark.parametrize("override", ["data.train=9", "data.autoencoders=3", "trainer.epochs=5"])
def test_of_mini_too(override):
    assert re.fullmatch(f"mini-alex-lin-v0.1-seed0{HASHED}", name("data=mini", override))


@pytest.mark.parametrize(
    "override",
    [
        "device=cpu",
        "experiments=elsewhere",
        "features=elsewhere",
        "download=false",
        "bootstrap=10",
        "trainer.log_every=1",
        "trainer.checkpoint_minutes=1",
        "data.packed=elsewhere",
        "data.workers=1",
        "data.mirrors=[elsewhere]",
        "data.archives=elsewhere",
        "data.unpack=true",
    ],
)
def test_a_setting_that_changes_no_result_changes_no_name(override):
    assert name(override) == "bapps-alex-lin-v0.1-seed0"


def test_a_default_spelt_out_is_the_default():
    assert name("trainer.epochs=5", "trainer.learning_rate=0.0001") == "bapps-alex-lin-v0.1-seed0"


def test_the_same_settings_have_the_same_name_and_others_another():
    changed = ("trainer.epochs=7", "trainer.dropout=false")
    assert name(*changed) == name(*reversed(changed))
    assert len({name(), name(changed[0]), name(changed[1]), name(*changed), name("trainer.epochs=8")}) == 5


def test_the_seed_is_in_the_name_and_not_in_the_hash():
    assert name("trainer.epochs=7", "seed=1") == name("trainer.epochs=7").replace("seed0", "seed1")


def test_another_folder_is_another_run():
    one, other = (name("data=folder", f"data.root={root}") for root in ("one", "other"))
    assert re.fullmatch(f"folder-alex-lin-v0.1-seed0{HASHED}", one)
    assert one != other


def test_a_dataset_under_a_name_of_its_own_is_named_so():
    assert name("data=folder", "data.name=mine", "data.root=x").startswith("mine-alex-lin-v0.1-seed0-")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("trainer.epochs=7",), "bapps-alex-lin-v0.1-seed0-c0d46680"),
        (("data=mini", "trainer.precision=bfloat16", "seed=4"), "mini-alex-lin-v0.1-seed4-9a053367"),
        (("trainer.lin_features=false", "trainer.dropout=false"), "bapps-alex-lin-v0.1-seed0-f0edd4b3"),
        (("data.resize=exact",), "bapps-alex-lin-v0.1-seed0-9184cb49"),
        (("data=folder", "data.name=mine", "data.root=x"), "mine-alex-lin-v0.1-seed0-f4e176ae"),
    ],
)
def test_names_of_runs_made_before_optimizer_and_size_were_settings_hold(overrides, expected):
    assert name(*overrides) == expected


def test_the_size_of_images_is_in_the_name_unless_it_is_that_of_the_dataset():
    names = [name("data=nights"), *(name("data=nights", f"data.size={size}") for size in (64, 96, 224))]
    assert names[0] == names[3] == "nights-alex-lin-v0.1-seed0"
    assert len(set(names)) == 3


def test_an_optimizer_spelt_out_as_the_default_is_the_default():
    assert name("optimizer=adam", "optimizer.momentum=null") == name()


@pytest.mark.parametrize(
    "overrides",
    [("optimizer=sgd",), ("optimizer=adamw",), ("optimizer.momentum=0.9",), ("optimizer.weight_decay=0.1",)],
)
def test_another_optimizer_is_another_run(overrides):
    assert re.fullmatch(f"bapps-alex-lin-v0.1-seed0{HASHED}", name(*overrides))


@pytest.mark.parametrize("key", ["net.alex.module", "data.module"])
def test_where_a_python_file_of_the_user_is_changes_no_name(key):
    assert name("data=mini", f"+{key}=/one/mine.py") == name("data=mini", f"+{key}=/other/mine.py") == name("data=mini")


def test_a_run_whose_folder_differs_only_in_case_from_another_one_is_refused(tmp_path):
    composed = settings("train", "data=mini", "net=alex_gaussian", f"experiments={tmp_path}")
    (tmp_path / run_name(composed).upper()).mkdir()
    with pytest.raises(UserError, match="exists, and differs only in upper and lower case: choose another name"):
        train(composed)
