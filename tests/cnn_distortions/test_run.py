import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from lpips_repro.cnn_distortions import CnnFamily, run, sheet
from lpips_repro.cnn_distortions.learning import Learner
from lpips_repro.cnn_distortions.run import read_settings
from lpips_repro.cnn_distortions.sheet import GAP, LABEL, PATCHES, write_sheet
from lpips_repro.cnn_distortions.space import SPACE, draw_config
from lpips_repro.cnn_distortions.useless_outputs import fault_of
from lpips_repro.config import CnnDistortionsConfig, parse
from lpips_repro.devices import one_thread
from lpips_repro.errors import UserError
from lpips_repro.photographs import crops as crops_module
from tests.cnn_distortions.tiny import tiny_run, tiny_words
from tests.compose import settings
from tests.processes import PATIENCE, REPOSITORY


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setitem(crops_module.LEAST_CROPS, "train", 12)
    monkeypatch.setitem(crops_module.LEAST_CROPS, "held_out", 6)
    small = {"first_channels": (2, 4), "most_channels": (4, 8), "layers": (1, 2), "discriminator_layers": (1, 2)}
    for name, values in small.items():
        monkeypatch.setitem(SPACE, name, values)
    monkeypatch.setattr(run, "fault_of", lambda *_: None)  # after few steps, outputs are nearly constant
    run._stored_crops.cache_clear()


def folder_of(home, *overrides):
    return read_settings(settings("cnn_distortions", *tiny_words(home, *overrides)))[1]


def card_of(home, number, *overrides):
    return json.loads((folder_of(home, *overrides) / f"{number:03d}/card.json").read_text())


def test_a_trained_autoencoder_distorts_and_its_card_says_how_it_was_made(tmp_path):
    tiny_run(tmp_path, "number=1")
    card = card_of(tmp_path, 1)
    assert card["config"] == draw_config(0, 1, None).to_json()
    assert (card["left_out"], card["steps"], card["crops"]["train"], card["crops"]["size"]) == (None, 5, 20, 16)
    assert len(card["photographs"]["sha256"]) == 64
    assert 0 < card["held_out"]["l1"] != card["held_out"]["l1_before"] > 0
    found = CnnFamily(folder_of(tmp_path))
    assert found.names == ["001"]
    (application,) = found.draw(np.random.default_rng(0), 0, 1)
    image = np.linspace(0, 1, 20 * 20 * 3, dtype=np.float32).reshape(20, 20, 3)
    assert np.abs(found.apply(image, application) - image).mean() > 0.01


def test_a_finished_autoencoder_is_not_trained_again(tmp_path, monkeypatch, caplog):
    tiny_run(tmp_path, "number=0")
    monkeypatch.setattr(Learner, "step", lambda *_: pytest.fail("trained again"))
    with caplog.at_level("INFO"):
        tiny_run(tmp_path, "number=0")
        tiny_run(tmp_path, "number=0", "count=50")
    assert caplog.text.count("000: finished already: mean absolute error 0.") == 2


class Kill(BaseException):
    """Stands for a signal."""


def test_after_a_kill_finished_autoencoders_stay_and_the_others_get_the_same_weights(tmp_path, monkeypatch):
    with one_thread():
        for number in (0, 1):
            tiny_run(tmp_path / "whole", f"number={number}")
        tiny_run(tmp_path / "killed", "number=0")
        before = (folder_of(tmp_path / "killed") / "000/card.json").stat().st_mtime_ns
        step, steps = Learner.step, []

        def until_third(self, *pair):
            steps.append(pair)
            if len(steps) == 3:
                raise Kill
            return step(self, *pair)

        monkeypatch.setattr(Learner, "step", until_third)
        with pytest.raises(Kill):
            tiny_run(tmp_path / "killed", "number=1")
        monkeypatch.setattr(Learner, "step", step)
        for number in (0, 1):
            tiny_run(tmp_path / "killed", f"number={number}")
    assert (folder_of(tmp_path / "killed") / "000/card.json").stat().st_mtime_ns == before
    for number in (0, 1):
        whole, killed = (card_of(tmp_path / name, number) for name in ("whole", "killed"))
        assert killed["weights"] == whole["weights"] is not None


def test_an_autoencoder_with_a_fault_is_left_out_with_the_reason(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(run, "fault_of", lambda *_: "its output is constant")
    with caplog.at_level("INFO"):
        tiny_run(tmp_path, "number=0")
        tiny_run(tmp_path, "number=0")
    assert card_of(tmp_path, 0)["left_out"] == "its output is constant"
    assert not (folder_of(tmp_path) / "000/weights.pth").exists()
    assert "000: finished already: left out: its output is constant" in caplog.text


def test_a_network_that_is_made_to_give_one_color_is_judged_constant(tmp_path, monkeypatch):
    def one_color(self, given, wanted):
        torch.nn.init.zeros_(self.generator.last.weight)
        return torch.ones(())

    monkeypatch.setattr(Learner, "step", one_color)
    monkeypatch.setattr(run, "fault_of", fault_of)
    tiny_run(tmp_path, "number=0")
    assert card_of(tmp_path, 0)["left_out"] == "its output is constant"


def test_an_autoencoder_whose_loss_is_not_finite_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(Learner, "step", lambda *_: torch.tensor(torch.inf))
    tiny_run(tmp_path, "number=0")
    assert card_of(tmp_path, 0)["left_out"] == "a loss was not finite"
    json.loads((folder_of(tmp_path) / "000/card.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ["weights.pth", "card.json"])
def test_a_damaged_autoencoder_is_kept_and_trained_again(tmp_path, name, caplog):
    with one_thread():
        tiny_run(tmp_path, "number=0")
        digest = card_of(tmp_path, 0)["weights"]
        (folder_of(tmp_path) / "000" / name).write_bytes(b"{")
        tiny_run(tmp_path, "number=0")
    assert card_of(tmp_path, 0)["weights"] == digest
    assert (folder_of(tmp_path) / f"000/{name}.damaged").read_bytes() == b"{"
    assert re.search(rf"{name}: .*kept as .*{name}\.damaged.*, and trained again", caplog.text)


def test_other_settings_get_another_folder_and_a_larger_count_the_same(tmp_path):
    folder = folder_of(tmp_path)
    assert folder == folder_of(tmp_path, "count=9", "workers=2", "device=auto", "download=false")
    others = [folder_of(tmp_path, word) for word in ("seed=1", "batch_size=2", "size=17", "precision=bfloat16")]
    others.append(folder_of(tmp_path, "size=17", "perceptual=squeeze"))
    assert len({folder, *others}) == 6
    plain = settings("cnn_distortions", f"experiments={tmp_path}")
    assert read_settings(plain)[1] == tmp_path / "cnn-distortions-seed0"


def test_other_photographs_are_an_error(tmp_path):
    tiny_run(tmp_path, "number=0")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "photographs/red.png")
    run._stored_crops.cache_clear()
    with pytest.raises(UserError, match=r"000: not the run that was started there:\n  photographs: was"):
        tiny_run(tmp_path, "number=0")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("count=0",), "count=0: expected an integer of at least 1"),
        (("number=3",), r"number=3: expected an integer from 0 to 2 \(below count\)"),
        (("size=8",), "size=8: expected an integer of at least 16"),
        (("batch_size=1",), "batch_size=1: expected an integer of at least 2"),
        (("batch_size=21", "number=0"), "batch_size=21: there are only 20 crops"),
        (("perceptual=vg",), "perceptual='vg': expected one of .*did you mean vgg"),
        (("perceptual=alex",), "size=16: perceptual=alex needs images of at least 31 pixels"),
        (("precision=tf32", "number=0"), "precision=tf32: only a GPU has TF32"),
        ((), "number=null: expected an integer: number=0 trains the first one, --multirun all of them"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path, words, message):
    with pytest.raises(UserError, match=f"^{message}"):
        tiny_run(tmp_path, *words)


def test_paths_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    cfg = parse(settings("cnn_distortions", 'images="~/a b"', 'store="~/s"'), CnnDistortionsConfig)
    assert (cfg.images, cfg.store) == ("/home/me/a b", "/home/me/s")


def shown(home, *overrides):
    """Write the picture of the autoencoders; return it as an array."""
    write_sheet(settings("cnn_distortions", *tiny_words(home, *overrides)))
    with Image.open(folder_of(home, *overrides) / "cnn_distortions.png") as image:
        return np.asarray(image.convert("RGB"))


def test_the_picture_shows_the_same_patches_through_each(tmp_path, capsys, monkeypatch):
    for number in (0, 1):
        tiny_run(tmp_path, f"number={number}")
    with monkeypatch.context() as patch:
        patch.setattr(run, "fault_of", lambda *_: "its output is constant")
        tiny_run(tmp_path, "number=2")
    picture = shown(tmp_path)
    output = capsys.readouterr().out
    assert "2 of 3 autoencoders distort, 1 are left out: 1 because its output is constant\n" in output
    assert "cnn_distortions.png" in output
    width = 16 * PATCHES
    cells = [picture[GAP + LABEL :, GAP + column * (width + GAP) :][:16, :width] for column in range(4)]
    held_out = run.crops_of(read_settings(settings("cnn_distortions", *tiny_words(tmp_path)))[0]).held_out
    patches = held_out[np.linspace(0, len(held_out) - 1, PATCHES).astype(int)]
    assert np.array_equal(cells[0], np.concatenate(list(patches), axis=1))
    found = CnnFamily(folder_of(tmp_path))
    for name, cell in zip(("000", "001"), cells[1:3], strict=True):
        given = patches[0].astype(np.float32) / 255
        weights = {"weights": found.cards[name]["weights"]}
        made = found.apply(given, sheet.Application("cnn", name, weights, 0))
        assert np.array_equal(cell[:, :16], np.round(made * 255))
    assert (cells[3] == 255).all(), "an autoencoder that is left out is not shown"
    assert (folder_of(tmp_path) / "run.json").is_file()


def test_missing_autoencoders_are_counted(tmp_path, capsys):
    tiny_run(tmp_path, "number=0")
    shown(tmp_path, "count=9")
    output = capsys.readouterr().out
    assert "1 of 9 autoencoders distort; 8 are not trained yet: `make cnn-distortions` continues\n" in output


@pytest.mark.slow
def test_a_killed_sweep_continues_and_keeps_finished_autoencoders(tmp_path):
    words = ["count=6", "size=16", "perceptual=null", "device=cpu", "workers=1", f"store={tmp_path}/store"]
    words += [f"experiments={tmp_path}/experiments", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    command = [sys.executable, "scripts/cnn_distortions.py", "--multirun", *words]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    end = time.monotonic() + PATIENCE
    while not (cards := sorted(tmp_path.glob("experiments/*/*/card.json"))):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {card: card.read_text() for card in cards}
    assert len(finished) < 6
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=5 * PATIENCE)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("experiments/*/*/card.json"))) == 6
    assert {card: card.read_text() for card in finished} == finished
    assert done.stdout.count("finished already") >= len(finished)
