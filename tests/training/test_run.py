"""`make train` in this process: every variant of every net, on the CPU and on CUDA where there is a device."""

import csv
import dataclasses
import json
import shutil
import signal

import lpips
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import BACKBONES, gaussian_state, torchvision_state
from lpips_repro.config import DatasetConfig, parse
from lpips_repro.config.timm_nets import register_timm_nets
from lpips_repro.datasets.prepare import prepare
from lpips_repro.errors import UserError
from lpips_repro.evaluation.methods import published as methods
from lpips_repro.training import run as run_module
from lpips_repro.training.loop import fit
from lpips_repro.training.run import train
from tests.compose import settings
from tests.training.tiny import metrics

NETS = ("alex", "squeeze", pytest.param("vgg", marks=pytest.mark.slow))
VARIANTS = ("lin", "tune", "scratch")
SPLITS = ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")
# Adam moves a parameter that learns by about the learning rate, 1e-3, a step.
MOVED = 1e-4
TIMM = ("net=alex_gaussian", "net.alex-gaussian.backbone=timm/test_vit")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    """Overrides for mini with 60 triplets to learn from, packed once for all runs."""
    root = tmp_path_factory.mktemp("mini")
    few = ("data.train=20", "data.val=10", "data.jnd=10", "data.autoencoders=2", "data.autoencoder_steps=2")
    overrides = ("data=mini", f"data.root={root}", "data.workers=1", *few)
    prepare(parse(settings("dataset", *overrides), DatasetConfig).data, "train", "val")
    return overrides


def run(folder, net, variant, *overrides):
    """Train one epoch of six steps from Gaussian weights (scratch: torchvision's); the run's folder."""
    train(
        settings(
            "train",
            *(f"net={net}", f"net.{net}.init=gaussian", f"variant={variant}", "trainer.batch_size=10", "bootstrap=20"),
            *("trainer.epochs=1", "trainer.decay_epochs=0", "trainer.learning_rate=1e-3", "download=false"),
            *(f"experiments={folder}/experiments", f"features={folder}/features", *overrides),
        )
    )
    (made,) = (folder / "experiments").glob("mini-*")
    return made


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("net", NETS)
def test_one_epoch_on_mini(net, variant, device, mini, tmp_path):
    folder = run(tmp_path, net, variant, f"device={device}", *mini)

    state = torch.load(folder / "weights.pth", weights_only=True)
    metric = LPIPS.from_official(net, "0.1", state, variant)
    begin = (torchvision_state if variant == "scratch" else gaussian_state)(net, 0)
    moved = {key: (value - begin[key]).abs().max() for key, value in metric.backbone.state_dict().items()}
    assert begin.keys() == moved.keys()
    if variant == "lin":
        assert max(moved.values()) == 0
    else:
        assert sum(change > MOVED for change in moved.values()) >= 0.9 * len(moved)
    lin = [state[f"lin{layer}.model.1.weight"] for layer in range(len(BACKBONES[net].channels))]
    assert min(weight.min() for weight in lin) >= 0

    # The released package gives the same distances with these weights.
    released = lpips.LPIPS(net=net, pnet_rand=True, model_path=str(folder / "weights.pth"), verbose=False, lpips=True)
    released.load_state_dict(state, strict=True)
    x, y = torch.rand(2, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(metric(x, y), released.eval()(x, y).flatten(), rtol=1e-5, atol=1e-6)

    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["val_2afc"]) == {*SPLITS, "mean"}
    assert summary["seconds"] > 0
    validations = metrics(folder, "validation.csv")
    assert [int(row["epoch"]) for row in validations] == [0, 1]
    assert float(validations[-1]["val_mean"]) == pytest.approx(summary["val_2afc"]["mean"], abs=1e-3)
    with (folder / "twoafc.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2  # before and after
    for split in SPLITS:
        assert float(rows[1][split]) == pytest.approx(summary["val_2afc"][split], abs=1e-3)
    for kind, file in (("2afc", "twoafc.csv"), ("jnd", "jnd.csv")):
        with (folder / file).open(newline="") as opened:
            *_, row = csv.DictReader(opened)
        assert "all" in summary["scores"][kind]
        for column, found in summary["scores"][kind].items():
            wanted = {"score": row[column], "low": row[f"{column}_lo"], "high": row[f"{column}_hi"]}
            assert found == {key: pytest.approx(float(value), abs=1e-2) for key, value in wanted.items()}


def test_the_configuration_belongs_to_a_run(mini, tmp_path, monkeypatch):
    # As where a file of configs/ was edited, which the name does not show.
    monkeypatch.setattr(run_module, "run_name", lambda composed: "mini-edited")

    def stopped(run):
        signal.raise_signal(signal.SIGTERM)
        return fit(run)

    monkeypatch.setattr(run_module, "fit", stopped)
    with pytest.raises(SystemExit):
        run(tmp_path, "alex", "lin", *mini)
    monkeypatch.setattr(run_module, "fit", fit)
    difference = "trainer.learning_rate: was 0.001, is 0.005"
    with pytest.raises(UserError, match=difference):
        run(tmp_path, "alex", "lin", *mini, "trainer.learning_rate=5e-3")
    config = (tmp_path / "experiments/mini-edited/config.yaml").read_bytes()
    folder = run(tmp_path, "alex", "lin", *mini)
    with pytest.raises(UserError, match=difference):
        run(tmp_path, "alex", "lin", *mini, "trainer.learning_rate=5e-3")
    assert (folder / "config.yaml").read_bytes() == config


@pytest.fixture(scope="module")
def once(mini, tmp_path_factory):
    """Where a run was finished."""
    home = tmp_path_factory.mktemp("finished")
    run(home, "alex", "lin", *mini)
    return home


@pytest.fixture
def finished(once, mini, tmp_path, monkeypatch):
    """A finished run's folder, and the command again, which takes no step and computes no features."""
    shutil.copytree(once / "experiments", tmp_path / "experiments")
    (folder,) = (tmp_path / "experiments").glob("mini-*")
    monkeypatch.setattr(run_module, "fit", lambda *_: pytest.fail("trains again"))
    monkeypatch.setattr(run_module, "stored_features", lambda *_, **__: pytest.fail("features again"))
    return folder, lambda: run(tmp_path, "alex", "lin", *mini)


@pytest.mark.parametrize("damage", ["cut", "missing"])
@pytest.mark.parametrize("name", ["weights.pth", "weights_best.pth", "summary.json"])
def test_what_a_finished_run_wrote_and_is_not_whole_is_written_again(finished, name, damage, caplog):
    folder, again = finished
    caplog.set_level("INFO")
    file = folder / name
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    else:
        file.unlink()
    before = {path.name: path.read_bytes() for path in folder.glob("*.p*") if path != file}
    again()
    if (name, damage) == ("weights_best.pth", "missing"):  # the run's result is there
        assert "already finished" in caplog.text
        return
    assert file.read_bytes() == whole
    assert {path.name: path.read_bytes() for path in folder.glob("*.p*") if path.name in before} == before
    assert (folder / f"{name}.damaged").is_file() == (damage == "cut")
    assert ("damaged: kept as" in caplog.text) == (damage == "cut")
    caplog.clear()
    again()
    assert "already finished" in caplog.text


def test_a_run_that_an_earlier_version_finished_is_finished(finished, caplog):
    folder, again = finished
    caplog.set_level("INFO")
    file = folder / "summary.json"
    summary = json.loads(file.read_text())
    assert not any(key.startswith("optimizer") for key in summary["settings"])
    earlier = {key: value for key, value in summary.items() if key not in ("scores", "seconds")}
    file.write_text(json.dumps(earlier))
    again()
    assert "already finished" in caplog.text
    assert json.loads(file.read_text()) == earlier


def test_a_finished_run_whose_best_checkpoint_is_cut_is_exported_without_it(finished, caplog):
    folder, again = finished
    (folder / "best.pt").write_bytes(b"cut")
    (folder / "weights.pth").unlink()
    best = (folder / "weights_best.pth").read_bytes()
    again()
    assert "weights_best.pth: not written: there is no complete best.pt" in caplog.text
    assert (folder / "weights_best.pth").read_bytes() == best
    assert (folder / "best.pt.damaged").read_bytes() == b"cut"
    assert (folder / "weights.pth").is_file()


def test_weights_whose_checkpoints_are_gone_are_kept_if_the_run_is_trained_again(finished, monkeypatch):
    folder, again = finished
    monkeypatch.undo()
    weights = (folder / "weights.pth").read_bytes()
    for name in ("last.pt", "best.pt", "summary.json"):
        (folder / name).unlink()
    again()
    assert (folder / "weights.pth.earlier").read_bytes() == weights
    assert (folder / "summary.json").is_file()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("learning_rate: 0.001", "learning_rate: 0.002"), "trainer.learning_rate: 0.002, not 0.001"),
        (("seed: 0\ndevice", "seed: 3\ndevice"), "seed: 3, not 0"),
        (("trainer:", "trainer: ["), "not readable: "),
    ],
)
def test_an_edited_configuration_is_kept_and_the_right_one_written(mini, tmp_path, monkeypatch, caplog, edit, said):
    def stopped(*_):
        raise SystemExit

    monkeypatch.setattr(run_module, "fit", stopped)
    with pytest.raises(SystemExit):
        run(tmp_path, "alex", "lin", *mini)
    (file,) = (tmp_path / "experiments").glob("*/config.yaml")
    right, record = file.read_text(), file.with_name("run.json").read_text()
    assert edit[0] in right
    edited = right.replace(*edit)
    file.write_text(edited)
    with pytest.raises(SystemExit):
        run(tmp_path, "alex", "lin", *mini)
    assert file.read_text() == right
    assert file.with_name("config.yaml.earlier").read_text() == edited
    assert file.with_name("run.json.earlier").read_text() == record
    assert f"{file}: differs from the command's settings ({said}" in caplog.text
    assert "kept as config.yaml.earlier and run.json.earlier" in caplog.text


def test_a_configuration_that_differs_in_what_changes_no_result_stays_as_it_was(finished, mini, tmp_path, caplog):
    folder, _ = finished
    config = (folder / "config.yaml").read_bytes()
    (folder / "summary.json").unlink()
    run(tmp_path, "alex", "lin", *mini, "trainer.log_every=7", "bootstrap=10")
    assert (folder / "config.yaml").read_bytes() == config
    assert "differs from the command's settings" not in caplog.text


@pytest.mark.parametrize("setting", ["precision=bfloat16", "compile=true"])
def test_what_a_step_on_features_makes_no_use_of_is_refused(mini, tmp_path, setting):
    with pytest.raises(UserError, match=f"trainer.{setting}: a step on stored lin features runs no backbone"):
        run(tmp_path, "alex", "lin", *mini, f"trainer.{setting}")


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["precision=bfloat16", "compile=true"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_options_of_a_step_work_for_every_variant_on_images(mini, tmp_path, variant, setting):
    images, means = ("trainer.lin_features=false", "device=cpu"), []
    for name, more in (("plain", ()), ("with", (f"trainer.{setting}",))):
        folder = run(tmp_path / name, "alex", variant, *mini, *images, *more)
        means.append(json.loads((folder / "summary.json").read_text())["val_2afc"]["mean"])
    assert means[1] == pytest.approx(means[0], abs=5)  # of 60 triplets: one that turns round moves it by up to 1.7


def test_data_that_changed_after_they_were_packed_are_refused(mini, tmp_path):
    root = next(word for word in mini if word.startswith("data.root=")).removeprefix("data.root=")
    shutil.copytree(root, tmp_path / "mini")
    (file,) = (tmp_path / "mini").glob("*/2afc-train-cnn/judge.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x3F
    file.write_bytes(content)
    with pytest.raises(UserError, match="2afc-train-cnn: contents have SHA-256"):
        run(tmp_path, "alex", "lin", *mini, f"data.root={tmp_path / 'mini'}")


def test_with_the_released_clamp_both_paths_of_lin_begin_with_the_same_weights(mini, tmp_path, monkeypatch):
    begun = []

    def begin(run):
        begun.append(run.model.lin.detach().clone())
        return fit(run)

    monkeypatch.setattr(run_module, "fit", begin)
    for way in ("true", "false"):
        clamp = ("trainer.released_clamp=true", f"trainer.lin_features={way}")
        run(tmp_path / way, "alex", "lin", *mini, *clamp)
    assert torch.equal(*begun)
    assert begun[0].min() < 0


@pytest.mark.parametrize("variant", ["lin", "tune"])
def test_training_and_validation_triplets_are_kept_on_the_gpu_if_they_fit(mini, tmp_path, monkeypatch, variant):
    class Begun(Exception):
        pass

    def begin(run):
        raise Begun(run)

    offered = []
    monkeypatch.setattr(run_module, "keep_what_fits", lambda device, groups: offered.append((device, groups)))
    monkeypatch.setattr(run_module, "fit", begin)
    with pytest.raises(Begun) as begun:
        run(tmp_path, "alex", variant, *mini, "device=cpu")
    (made,), ((device, groups),) = begun.value.args, offered
    assert device == made.device
    assert list(groups) == ["training", "validation"]  # which goes first if there is no room for both
    assert list(groups["training"]) == [made.train]
    assert list(groups["validation"]) == list(made.val.values())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("net=vgg",), "no ImageNet weights of vgg on this computer: run `make weights`"),
        (
            ("net=alex_kmeans", "net.alex-kmeans.weights=/absent.pth"),
            "/absent.pth: no such file: run `make init-kmeans`",
        ),
        ((*TIMM, "version='0.0'"), "version='0.0': expected one of 0.1"),
        (("net=alex_gaussian", "experiments={}/file/x"), "file/x: Not a directory: "),
        (("net=alex_gaussian", "features={}/file/x"), "file/x: Not a directory: .*set features=FOLDER"),
        ((*TIMM[:1], f"{TIMM[1]}_relpos"), "no maps of images of 16 to 64 pixels"),
        (("net=alex_gaussian", "net.alex-gaussian.backbone=needs_161"), "the network needs at least 161"),
    ],
)
def test_what_the_run_cannot_do_without_is_looked_for_before_a_dataset_is_fetched(
    tmp_path, monkeypatch, overrides, message
):
    monkeypatch.setattr(run_module, "prepare", lambda *_: pytest.fail("fetched"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("LPIPS_REPRO_WEIGHTS", raising=False)
    monkeypatch.setitem(BACKBONES, "needs_161", dataclasses.replace(BACKBONES["alex"], min_size=161))
    methods._state_or_error.cache_clear()
    (tmp_path / "file").write_text("")
    places = (f"experiments={tmp_path}/experiments", f"features={tmp_path}/features", "download=false", "device=cpu")
    with pytest.raises(UserError, match=message):
        train(settings("train", *places, *(word.format(tmp_path) for word in overrides)))


@pytest.fixture(scope="module")
def run_of_timm(mini, tmp_path_factory):
    """Overrides of a finished run of a network that only timm has, and the folder of runs."""
    folder = tmp_path_factory.mktemp("timm")
    register_timm_nets(["net=timm/test_vit"])
    words = ("net=timm/test_vit", "net.timm-test_vit.init=gaussian", "net.timm-test_vit.supervision=random", *mini)
    places = (f"experiments={folder}/experiments", f"features={folder}/features", "bootstrap=20", "device=cpu")
    overrides = (*words, *places, "trainer.epochs=1", "trainer.decay_epochs=0")
    train(settings("train", *overrides))
    return overrides, folder / "experiments"


def test_a_network_of_timm_is_trained_by_its_name_alone(run_of_timm):
    (summary,) = (json.loads(path.read_text()) for path in run_of_timm[1].glob("*/summary.json"))
    assert (summary["net"], summary["backbone"]) == ("timm-test_vit", "timm/test_vit")


def test_a_finished_run_is_found_finished_without_its_weights(run_of_timm, monkeypatch, caplog):
    monkeypatch.setattr(run_module, "_initial_weights", lambda cfg: pytest.fail("looked for"))
    with caplog.at_level("INFO"):
        train(settings("train", *run_of_timm[0]))
    assert "already finished" in caplog.text
