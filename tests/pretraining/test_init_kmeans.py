import json

import numpy as np
import pytest
import torch
from PIL import Image

from lpips_repro.backbones import gaussian_state
from lpips_repro.config import EvaluateConfig, KmeansConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.photographs.left_out import without_unusable
from lpips_repro.pretraining import init_kmeans as module
from lpips_repro.pretraining.init_kmeans import draw_crops, fill_backbone, init_kmeans, picture_filters
from lpips_repro.pretraining.rates_of_change import rates_of_change, relative
from lpips_repro.weights.recipe import write_recipe
from lpips_repro.weights.state_dicts import digest_state, read_state
from tests.compose import settings
from tests.pretraining.leaves import dead_leaves


def state_of(crops):
    """What becomes of two layers."""
    metric = LPIPS("alex", "off_the_shelf", weights=gaussian_state("alex", 0))
    metric.backbone.features = metric.backbone.features[:5]
    fill_backbone(metric, crops, patches=1000, seed=0)
    return metric.backbone.state_dict()


def test_weights_do_not_depend_on_the_order_of_reading():
    crops = dead_leaves(100, 64, seed=0)
    state, shuffled = state_of(crops), state_of(np.random.default_rng(1).permutation(crops))
    assert all(torch.equal(state[key], shuffled[key]) for key in state)
    assert not torch.equal(state["features.0.weight"], state_of(crops[:90])["features.0.weight"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs, one in ten of them held out."""
    photographs = tmp_path_factory.mktemp("photographs")
    for number, image in enumerate(dead_leaves(100, 110, seed=3)):
        Image.fromarray(image).save(photographs / f"{number:03}.png")
    return photographs


def test_a_row_is_made_from_photographs_alone(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "SIZE", 80)
    cfg = settings("init_kmeans", f"images={folder}", f"experiments={tmp_path}", "crops=60", "patches=1000")
    init_kmeans(cfg)
    shown = capsys.readouterr().out
    assert "conv5" in shown and "alex-kmeans.pth" in shown
    state = read_state(tmp_path / "weights" / "alex-kmeans.pth")
    recipe = json.loads((tmp_path / "weights" / "alex-kmeans.json").read_text())
    assert recipe["weights"] == digest_state(state)
    assert [layer["filters"] for layer in recipe["layers"]] == [96, 256, 384, 384, 256]
    assert recipe["layers"][0]["patches"] == 1000
    assert max(abs(rate - 1) for rate in recipe["rounds"][-1]) <= 0.01
    assert len(recipe["rates_held_out"]) == 5
    with Image.open(tmp_path / "weights" / "alex-kmeans-filters.png") as picture:
        assert picture.size == (4 * (12 * 12 + 1), 4 * (8 * 12 + 1))  # 12 x 8 filters of 11 x 11, lines between them

    overrides = ("net=[alex_kmeans]", f"experiments={tmp_path}", "variant=[off_the_shelf]", "metric=[]")
    (row,) = list_methods(parse(settings("evaluate", *overrides), EvaluateConfig))
    assert (row.group, row.supervision, row.origin) == ("unsupervised", "unsupervised", "made here from 60 crops")
    assert row.build(Engine(torch.device("cpu"))).identity["weights"] == recipe["weights"]

    monkeypatch.setattr(module, "fill_backbone", lambda *_: pytest.fail("made again"))
    init_kmeans(cfg)
    cfg.seed = 1
    with pytest.raises(pytest.fail.Exception):
        init_kmeans(cfg)


def test_cut_weights_that_were_made_here_are_kept_and_made_again(folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "SIZE", 32)
    file = tmp_path / "alex-kmeans.pth"
    file.write_bytes(b"cut")
    file.with_suffix(".json").write_text('{"patches": 2000, "weights": "", "made": "made here"}')

    class Begun(Exception):
        pass

    def begin(*_):
        raise Begun

    monkeypatch.setattr(module, "fill_backbone", begin)
    with pytest.raises(Begun):
        init_kmeans(settings("init_kmeans", f"images={folder}", "crops=2", f"net.alex-kmeans.weights={file}"))
    assert file.with_name("alex-kmeans.pth.damaged").read_bytes() == b"cut"
    assert "alex-kmeans.pth: damaged: kept as alex-kmeans.pth.damaged, and made again" in caplog.text


def test_it_is_reported_that_weights_of_other_photographs_are_replaced(folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "SIZE", 32)
    monkeypatch.setattr(module, "fill_backbone", lambda *_: pytest.fail("begins"))
    file = tmp_path / "alex-kmeans.pth"
    torch.save({"weight": torch.ones(1)}, file)
    write_recipe(file, "made here from 4 crops", {"patches": 10})
    with pytest.raises(pytest.fail.Exception, match="begins"):
        init_kmeans(settings("init_kmeans", f"images={folder}", "crops=2", f"net.alex-kmeans.weights={file}"))
    assert f"{file}: weights of other photographs or settings are replaced" in caplog.text


@pytest.mark.parametrize("name", ["published.caffemodel", "mine.pth"])
def test_weights_that_were_not_made_by_it_are_left_alone(folder, tmp_path, monkeypatch, name):
    monkeypatch.setattr(module, "fill_backbone", None)
    (tmp_path / name).write_text("precious")
    with pytest.raises(UserError, match=rf"{name}: not weights of k-means made here"):
        init_kmeans(
            settings("init_kmeans", f"images={folder}", "crops=2", f"net.alex-kmeans.weights={tmp_path}/{name}")
        )
    assert (tmp_path / name).read_text() == "precious"


def crops_of(folder, count):
    crops, unusable = draw_crops(folder, {}, count)
    assert unusable == {}
    return crops


def test_of_many_photographs_each_gives_a_crop_at_most(folder, monkeypatch):
    monkeypatch.setattr(module, "SIZE", 32)
    assert crops_of(folder, 12)["train"].shape == (12, 32, 32, 3)
    assert len(crops_of(folder, 200)["train"]) == 3 * 90
    assert len(crops_of(None, 10)["train"]) == 3 * 4
    held_out, train = ({crop.tobytes() for crop in crops} for crops in crops_of(folder, 90).values())
    assert not held_out & train


def test_photographs_that_cannot_be_used_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SIZE", 32)
    for number, image in enumerate(dead_leaves(5, 40, seed=3)):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    whole = crops_of(tmp_path, 8)
    (tmp_path / "0.jpg").write_bytes(b"no image")
    found, left_out = without_unusable(lambda left_out: draw_crops(tmp_path, left_out, 8))
    assert [*left_out] == ["0.jpg"]
    assert all(np.array_equal(found[phase], whole[phase]) for phase in ("train", "held_out"))


@pytest.mark.parametrize("net", ["caffenet", "alex"])
def test_the_picture_shows_filters_as_they_weigh_the_image(net):
    state = {key: torch.zeros_like(value) for key, value in gaussian_state(net, 0).items()}
    red = {"caffenet": 2, "alex": 0}[net]  # Caffe's images are blue, green, red
    state["features.0.weight"][0, red] = 1
    state["features.0.weight"][1, red] = -2
    state["features.0.weight"][2:, :, 0] = 1
    picture = np.asarray(picture_filters(LPIPS(net, "off_the_shelf", weights=state)))
    first, second = picture[24, 24], picture[24, 24 + 4 * 12]
    assert first.tolist() == [255, 128, 128]
    assert second.tolist() == [0, 128, 128]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("crops=1",), "crops=1: expected an integer of at least 2"),
        (("patches=0",), "patches=0: expected an integer of at least 1"),
        (("seed=-1",), "seed=-1"),
        (("net=alex",), "net=alex: no file to write: expected init=file"),
        (("net=alex_watching",), "net=alex-watching: no file to write"),
        (("net.alex-kmeans.backbone=squeeze",), "backbone=squeeze: has Fire: k-means needs"),
        (("net.alex-kmeans.backbone=resnet",), "net.alex-kmeans.backbone='resnet': expected one of"),
        (("images=no/such/folder",), "no/such/folder: no such folder of photographs"),
    ],
)
def test_what_cannot_be_used_is_refused(overrides, message, tmp_path):
    with pytest.raises(UserError, match=message):
        init_kmeans(settings("init_kmeans", f"experiments={tmp_path}", *overrides))


@pytest.mark.slow
def test_rates_are_equal_on_other_crops_of_the_mini_photographs():
    cfg = parse(settings("init_kmeans"), KmeansConfig)
    metric = LPIPS("caffenet", "off_the_shelf", weights=gaussian_state("caffenet", 0))
    crops = crops_of(None, 2 * cfg.crops)["train"]
    number = np.arange(len(crops)) % 2 == 0
    fill_backbone(metric, crops[number], cfg.patches, cfg.seed)
    others = torch.from_numpy(crops[~number]).permute(0, 3, 1, 2) / 127.5 - 1
    images = metric.preprocess((others,))
    # The mean over several draws of losses: one alone moves the first layer's rate by 4 %.
    rates = sum(rates_of_change(metric.backbone.features, images, seed) for seed in (7, 8, 9))
    found = relative(rates)
    assert (found - 1).abs().max() < 0.1, found


@pytest.mark.parametrize(
    ("weights", "message"),
    [("new.npy", "not a .pth file"), ("file/x/new.pth", "file/x: Not a directory: .* set net.alex-kmeans.weights=")],
)
def test_a_file_that_cannot_be_written_is_found_before_photographs_are_read(tmp_path, monkeypatch, weights, message):
    monkeypatch.setattr("lpips_repro.pretraining.init_kmeans.draw_crops", lambda *_: pytest.fail("read"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        init_kmeans(settings("init_kmeans", f"net.alex-kmeans.weights={tmp_path}/{weights}"))
