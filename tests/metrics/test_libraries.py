"""The table of other libraries' metrics says the truth about each: direction, best value, least size, batches."""

import dataclasses
import functools
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from torch import Tensor

from lpips_repro import load_image
from lpips_repro.config.library_table import library_metrics
from lpips_repro.errors import UserError
from lpips_repro.metrics.libraries import LibraryFunction, library_metric
from lpips_repro.metrics.library_networks import shift_tolerant_lpips
from tests.generated import formula_images, formula_state

CPU = torch.device("cpu")
# Networks of the size of VGG16 take seconds.
SLOW = ("stlpips_pytorch/vgg", "DISTS_pytorch/DISTS")
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in library_metrics()]


def loaded(name: str, **settings) -> LibraryFunction:
    """A metric, or the test is skipped if its library is not installed."""
    pytest.importorskip({"stlpips_pytorch": "stlpips_pytorch.stlpips"}.get(library := name.partition("/")[0], library))
    return LibraryFunction(name, CPU, settings)


@functools.cache
def weights_of_vgg() -> dict[str, Tensor]:
    return formula_state("vgg")


@pytest.fixture
def vgg(monkeypatch):
    """VGG16 has weights by formula."""
    state = dict(weights_of_vgg())
    monkeypatch.setattr("lpips_repro.metrics.library_networks.imagenet_state", lambda name, download: state)
    return state


def images(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Three smooth images, and the same with a little and with more noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, max(2, side // 8), max(2, side // 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    noise = torch.randn(smooth.shape, generator=generator)
    return smooth, (smooth + 0.03 * noise).clamp(0, 1), (smooth + 0.15 * noise).clamp(0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_identity_direction_batches_and_least_size(name, request):
    if name == "DISTS_pytorch/DISTS":
        request.getfixturevalue("vgg")
    metric = loaded(name)
    spec, least = metric.spec, metric.spec.least
    x, near, far = images(max(64, least))
    own, small, large = (spec.to_distance(metric(x, y)) for y in (x, near, far))
    if spec.best != float("inf"):
        # Differences of variances in float32: universal_image_quality_index of equal images is .9998.
        torch.testing.assert_close(own, torch.zeros(3), atol=5e-4, rtol=0)
    assert (own < small).all() and (small < large).all()
    alone = torch.cat([metric(x[k : k + 1], far[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(metric(x, far), alone, atol=2e-5, rtol=1e-5)
    x, _, y = images(least)
    assert metric(x, y).isfinite().all()
    if least > 1:
        with pytest.raises(ValueError, match=f"{name} takes at least {least} pixels per side: .* {least}x{least - 1}"):
            metric(x[..., 1:], y[..., 1:])


def test_information_weighted_ssim_has_the_same_value_in_a_batch():
    metric = loaded("piq/information_weighted_ssim")
    x, y, _ = images(161)
    assert torch.equal(metric(x, y), torch.cat([metric(x[k : k + 1], y[k : k + 1]) for k in range(3)]))


@pytest.mark.parametrize("name", NAMES)
def test_the_least_size_is_the_smallest_that_the_library_takes(name, request, monkeypatch):
    if name == "DISTS_pytorch/DISTS":
        request.getfixturevalue("vgg")
    metric = loaded(name)
    least = metric.spec.least
    monkeypatch.setattr(metric, "spec", dataclasses.replace(metric.spec, least=1))

    def works(side: int) -> bool:
        x, near, far = (each[:1] for each in images(side))
        try:
            small, large = (metric.spec.to_distance(metric(x, y)) for y in (near, far))
        except (ValueError, RuntimeError):
            return False
        return bool(small.isfinite() and large.isfinite() and small < large)

    assert works(least) and not (least > 1 and works(least - 1))


@pytest.mark.parametrize("name", ["piq/vif_p", "torchmetrics/visual_information_fidelity"])
def test_the_reference_is_the_first_image(name):
    # Sheikh and Bovik 2006: of an image with more contrast than the reference, VIF is above 1.
    metric = loaded(name)
    x, *_ = images(64)
    x = 0.3 + 0.3 * x
    contrasted = (x - x.mean()) * 1.3 + x.mean()
    assert (metric(x, contrasted) > 1.05).all()
    assert (metric(contrasted, x) < 0.95).all()


@pytest.mark.parametrize("metric", ["universal_image_quality_index", "spatial_correlation_coefficient"])
def test_equal_images_are_the_most_similar_even_if_they_are_flat(metric):
    metric = loaded(f"torchmetrics/{metric}")
    x, y, _ = images(64)
    flat = x.new_tensor([0.0, 0.5, 1.0])[:, None, None, None].expand(3, 3, 64, 64)
    partly = torch.cat([flat[:, :, :32], x[:, :, 32:]], dim=2)
    for image in (x, flat, partly):
        assert (metric(image, image.clone()) == 1).all()
    assert metric(partly, torch.cat([x[:1], partly[1:2], y[2:]]))[1] == 1
    assert (metric(flat, y) < 0.1).all()
    assert torch.equal(metric(x, y), metric._values(x, y))  # of other images it is the library's value


def test_shift_tolerant_lpips_has_the_value_that_its_authors_print(shared):
    ref, image = ((load_image(shared / f"examples/ex_{which}.png") + 1) / 2 for which in ("ref", "p0"))
    # The readme of stlpips-pytorch 0.0.2.
    assert float(loaded("stlpips_pytorch/alex")(ref, image)) == pytest.approx(0.7777554988861084, abs=1e-5)


@pytest.mark.parametrize("net", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_every_weight_of_shift_tolerant_lpips_is_the_published_one(net):
    # Its package loads them without asking that all are there.
    package = pytest.importorskip("stlpips_pytorch.stlpips")
    file = Path(package.__file__).with_name("weights") / f"vST0.0/{net}_shift_tolerant.pth"
    wanted = torch.load(file, map_location="cpu", weights_only=True)
    state = shift_tolerant_lpips(net, download=False).state_dict()
    found = {key: value for key, value in state.items() if not key.startswith("lins.")}  # the same as lin0, lin1, ...
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in found)


def test_dists_is_that_of_torchmetrics(vgg, monkeypatch):
    """Its copy of the network reads its own copy of the published weights."""
    theirs = pytest.importorskip("torchmetrics.functional.image.dists")
    from lpips_repro.backbones import Backbone

    features = Backbone("vgg", vgg).features
    monkeypatch.setattr(theirs, "vgg16", lambda weights: SimpleNamespace(features=features))
    network = theirs.DISTSNetwork()
    x, y, z = formula_images()
    with torch.no_grad():
        wanted = torch.stack([network(x, image).reshape(()) for image in (y, z)])
    found = loaded("DISTS_pytorch/DISTS")(torch.cat([x, x]), torch.cat([y, z]))
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    assert (found > 1e-3).all()


def test_dists_without_the_weights_of_vgg_says_where_to_get_them(monkeypatch, tmp_path):
    pytest.importorskip("DISTS_pytorch")
    monkeypatch.setenv("LPIPS_REPRO_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    for download, reason in ((False, "on this computer"), (True, "no route to host")):
        with pytest.raises(
            UserError, match=rf"^DISTS_pytorch/DISTS: no ImageNet weights of vgg.*{reason}.*make weights"
        ):
            LibraryFunction("DISTS_pytorch/DISTS", CPU, download=download)


def test_settings_replace_those_of_the_table():
    x, y, _ = images(64)
    default, other = loaded("piq/ssim"), loaded("piq/ssim", kernel_size=7)
    assert not torch.equal(default(x, y), other(x, y))
    assert other.identity == {"function": "piq/ssim", "settings": {"reduction": "none", "kernel_size": 7}}


def test_weights_are_part_of_the_identity(vgg):
    before = loaded("DISTS_pytorch/DISTS").identity["weights"]
    assert loaded("DISTS_pytorch/DISTS").identity["weights"] == before
    vgg["features.0.bias"] = vgg["features.0.bias"] + 1
    assert loaded("DISTS_pytorch/DISTS").identity["weights"] != before


def test_building_a_network_leaves_the_random_numbers_alone():
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    loaded("stlpips_pytorch/alex")
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("piq/msdi", "piq/msdi: no such metric of piq: expected one of dss, .*: did you mean mdsi"),
        ("pip/mdsi", "pip/mdsi: no such library: expected one of piq, torchmetrics, .*: did you mean piq"),
        ("piq/", "piq/: no such metric of piq"),
        ("/mdsi", "/mdsi: no such library"),
        ("piq/mdsi/x", "piq/mdsi/x: no such metric of piq"),
    ],
)
def test_a_name_that_is_not_in_the_table_is_refused_with_those_that_are(name, what):
    with pytest.raises(UserError, match=what):
        library_metric(name)


@pytest.mark.parametrize(
    ("name", "missing"),
    [("piq/mdsi", "piq"), ("stlpips_pytorch/alex", "IPython"), ("DISTS_pytorch/DISTS", "DISTS_pytorch")],
)
def test_a_package_that_is_not_installed_is_named_with_what_installs_it(name, missing, vgg, monkeypatch):
    for module in [module for module in sys.modules if module.startswith(("stlpips_pytorch", "DISTS_pytorch"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "IPython":
        pytest.importorskip("stlpips_pytorch")
    with pytest.raises(
        UserError, match=rf'^{name}: .*{missing} is not installed: .*pip install "lpips_repro\[later\]"$'
    ):
        LibraryFunction(name, CPU)


def test_a_library_without_the_metric_or_that_cannot_be_imported_is_reported_in_one_line(monkeypatch, tmp_path):
    piq = pytest.importorskip("piq")
    monkeypatch.delattr(piq, "mdsi")
    with pytest.raises(UserError, match="piq/mdsi: the installed version of piq has no such metric"):
        LibraryFunction("piq/mdsi", CPU)
    (tmp_path / "DISTS_pytorch.py").write_text("raise RuntimeError('operator torchvision::nms\\ndoes not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    for module in [module for module in sys.modules if module.startswith("DISTS_pytorch")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(UserError, match=r"^DISTS_pytorch/DISTS: .*: RuntimeError: operator torchvision::nms$"):
        LibraryFunction("DISTS_pytorch/DISTS", CPU)
    importlib.invalidate_caches()


def test_a_setting_that_it_does_not_know_is_named_with_those_that_it_knows():
    with pytest.raises(UserError, match=r"^piq/ssim: kernel: unknown setting: .*kernel_size.*did you mean kernel_size"):
        loaded("piq/ssim", kernel=3)
    with pytest.raises(UserError, match=r"^stlpips_pytorch/alex: nett: unknown setting: .*did you mean net"):
        loaded("stlpips_pytorch/alex", nett="vgg")
