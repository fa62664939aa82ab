import re

import pytest
from hydra.errors import HydraException

from lpips_repro.config import (
    DatasetConfig,
    Device,
    EvaluateConfig,
    PaperConfig,
    SparsityConfig,
    TrainConfig,
    WeightsConfig,
    parse,
)
from lpips_repro.datasets.bapps import BappsConfig
from lpips_repro.datasets.mini import MiniConfig
from lpips_repro.entry_point import run
from lpips_repro.errors import UserError
from tests.compose import CONFIGS, settings
from tests.makefile import script_of_line


def test_defaults_are_the_documented_ones():
    cfg = parse(settings("evaluate"), EvaluateConfig)
    assert (cfg.data.name, cfg.device, cfg.seed, cfg.name) == ("bapps", Device.auto, 0, "tables-bapps")
    assert isinstance(cfg.data, BappsConfig)
    assert list(cfg.metric) == ["l2-rgb", "l2-lab", "psnr", "ssim", "ssim-lab", "fsimc", "hdr-vdp"]
    self_supervised = ("alex-watching", "alex-splitbrain", "alex-puzzle", "alex-bigan")
    assert list(cfg.net) == ["alex-gaussian", "alex-kmeans", *self_supervised, "squeeze", "alex", "vgg"]
    assert {name: variant.versions for name, variant in cfg.variant.items()} == {
        "off_the_shelf": ["0.0", "0.1"],
        "lin": ["0.0", "0.1"],
        "tune": ["0.1"],
        "scratch": ["0.1"],
    }


@pytest.mark.parametrize("experiment", sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml")))
def test_every_experiment_composes_with_the_script_that_its_first_lines_name(experiment):
    target = re.search(r"# .*?\bmake (\S+)", (CONFIGS / "experiment" / f"{experiment}.yaml").read_text())[1]
    config, schema = {
        "train": ("train", TrainConfig),
        "eval-tables": ("evaluate", EvaluateConfig),
        "demo": ("evaluate", EvaluateConfig),
        "paper": ("paper", PaperConfig),
        "sparsity": ("sparsity", SparsityConfig),
    }[target]
    parse(settings(config, f"experiment={experiment}"), schema)


@pytest.mark.parametrize("group", ["metric", "net", "variant"])
def test_every_option_of_a_group_composes(group):
    for path in (CONFIGS / group).glob("*.yaml"):
        parse(settings("evaluate", f"{group}=[{path.stem}]"), EvaluateConfig)


def test_demo_is_offline_on_mini():
    cfg = parse(settings("evaluate", "experiment=demo"), EvaluateConfig)
    assert isinstance(cfg.data, MiniConfig)
    assert (cfg.name, cfg.download) == ("demo", False)


def test_weights_names_all_three_networks():
    assert set(parse(settings("weights"), WeightsConfig).net) == {"alex", "squeeze", "vgg"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+sedd=1", "sedd: unknown setting: expected one of data, metric"),
        ("+data.rot=x", "data.rot: unknown setting: expected one of data.name, data.root"),
        ("+net.alex.foo=1", "net.alex.foo: .*expected one of backbone, init"),
        ("seed=-1", "seed=-1: expected an integer of at least 0"),
        ("seed=4294967296", "seed=4294967296: expected an integer of at least 0 and below 2"),
        ("name=../x", "name=../x: expected letters, digits"),
        ("name=''", "name=: expected letters, digits"),
        ("data.observers=simulated", "data.observers=simulated: BAPPS was judged by people"),
        ("data.mirrors=[]", "data.mirrors=.*at least one"),
        ("data.mirrors=/folder", r"^data.mirrors=/folder: expected a list: data.mirrors=\[/folder\]$"),
        ("data.mirrors=https://u:p@host/x", r"^data.mirrors=https://host/x: expected a list: data.mirrors=\["),
        ("data.mirrors=", r"data.mirrors=: expected a list: data.mirrors=\[VALUE\]"),
        ("data.mirrors=null", "data.mirrors=null: expected a value"),
        ("data.mirrors=[/folder,null]", r"data.mirrors\[1\]=null: expected a value"),
        ("data.mirrors=[[/folder]]", "data.mirrors: .* is not a mirror: expected https"),
        ("data.mirrors=5", r"data.mirrors=5: expected a list: data.mirrors=\[5\]"),
        ("seed=x", "seed=x: expected a value of type integer"),
        ("experiments=", "experiments=: expected a path"),
        ("data.packed=", "data.packed=: expected a path: .* data.packed=. for this folder"),
        ("data=folder data.root=", "data.root=: expected a path"),
        ("threads=0", "threads=0: expected an integer from 1 to 1024"),
        ("threads=100000", "threads=100000: expected an integer from 1 to 1024"),
        ("batch_size=0", "batch_size=0: expected an integer of at least 1"),
        ("bootstrap=0", "bootstrap=0: expected an integer from 1 to 1000000"),
        ("bootstrap=10000000000", "bootstrap=10000000000: expected an integer from 1 to 1000000"),
        ("compile=maybe", "^compile=maybe: expected true or false$"),
        ("device=gpu", "device=gpu: expected one of auto, cpu, cuda: did you mean cpu"),
        ("data.resize=nearest", "data.resize=nearest: expected one of pil_bilinear, pil_bicubic, exact"),
        ("data.observers=robots", "data.observers=robots: expected one of human, simulated"),
        ("data.workers=0", "data.workers=0: expected an integer from 1 to 1024"),
        ("data=mini data.train=1000000000000", "data.train=1000000000000: expected an integer from 1 to 1000000"),
        ("data=mini data.autoencoders=1", "data.autoencoders=1: expected an integer from 2 to 1000000"),
        ("data.name=../x", "data.name=../x: expected letters, digits"),
        ("net.alex.init=he", "net.alex.init=he: expected one of imagenet, gaussian, file"),
        ("data=folder", "data.root: no value"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_allowed_values(override, message):
    with pytest.raises(UserError, match=message):
        parse(settings("evaluate", *override.split()), EvaluateConfig)


NO_MIRRORS = ["", " ", " /folder", "ftp://host/x", "s3://bucket/x", "file:/folder", "http:/host/x", "https://"]
NO_MIRRORS += [
    "https:///folder",
    "http://[::1",
    "http://host:99999",
    "~nobody-here/x",
    "file://",
    "file://localhost",
    "file:/a//b",
]


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        *((mirror, "is not a mirror: expected .*FOLDER or a folder: .*download the archives") for mirror in NO_MIRRORS),
        ("file://folder/sub", "is on computer 'folder': .* three slashes: file:///folder/sub, or only the folder"),
        ("file://~/x", "is on computer '~'"),
    ],
)
def test_an_invalid_mirror_is_refused_with_the_remedy(mirror, message):
    with pytest.raises(UserError, match=f"^data.mirrors: '{re.escape(mirror)}' {message}"):
        parse(settings("dataset", f"data.mirrors=[https://host/x,'{mirror}']"), DatasetConfig)


# The mirrors of the documented commands.
DOCUMENTED = [["/folder"], ["/my folder"], ["~/my folder", "https://host/dataset?key=a&part=b"]]


def documented_commands():
    """The documented `make data` commands with mirrors."""
    texts = [(CONFIGS.parent / file).read_text() for file in ("configs/data/bapps.yaml", "data/README.md")]
    return re.findall(r"make data ARGS=.*mirrors.*", "\n".join(texts))


@pytest.mark.parametrize("command", documented_commands())
def test_the_mirrors_of_every_documented_command_reach_the_settings(command):
    # The shell and make remove quotes; Hydra reads the rest.
    script, *overrides = script_of_line(command)
    assert script == "scripts/data.py"
    mirrors = parse(settings("dataset", *overrides), DatasetConfig).data.mirrors
    assert mirrors in DOCUMENTED


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sedd=1", "error: sedd: .*expected one of .*seed"),
        ("data=bap", "error: data=bap: expected one of bapps, folder, .*, nights, tid2013: did you mean bapps"),
        ("net=[alx]", "error: net=alx: expected some of alex, alex_bigan, .*squeeze, .*vgg"),
    ],
)
def test_a_misspelled_override_ends_the_script_with_the_allowed_ones(override, message):
    with pytest.raises(SystemExit) as ended:
        run(lambda: settings("evaluate", override))
    assert re.search(message, str(ended.value))
    assert "Config search path" not in str(ended.value)


def test_errors_of_the_users_end_the_script_in_one_line():
    def fail():
        raise UserError("judge 1.25 in a.npy: expected a share in [0, 1]")

    with pytest.raises(SystemExit, match=r"^error: judge 1.25 in a.npy"):
        run(fail)


def test_an_interrupted_script_says_that_what_is_complete_is_kept(capsys):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(interrupt)
    assert ended.value.code == 130
    assert "interrupted: completed work is kept" in capsys.readouterr().err


def test_a_path_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"error: .*file/below: Not a directory"):
        run(lambda: (tmp_path / "file" / "below").mkdir())


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)
    with pytest.raises(HydraException):
        settings("evaluate", "data=bap")
