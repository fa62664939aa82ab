import dataclasses
import json
import re

import pytest
import torch

from lpips_repro.backbones import BACKBONES, Backbone, gaussian_state, register_backbone
from lpips_repro.config import EvaluateConfig, MetricConfig, parse
from lpips_repro.distortions.registry import DISTORTIONS, register_distortion
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Distance, Engine, measure_batch
from lpips_repro.evaluation.methods.method import check_labels
from lpips_repro.evaluation.methods.metrics import metric_method
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.evaluation.methods.trained import trained_methods
from lpips_repro.evaluation.protocols.twoafc import TWOAFC
from lpips_repro.evaluation.tables.paper_figures import read_paper
from lpips_repro.evaluation.tables.table import settings_of
from lpips_repro.metrics.registry import METRICS, Metric, register_metric
from lpips_repro.weights.state_dicts import digest_state
from tests.compose import CONFIGS, settings

CPU = Engine(torch.device("cpu"))


def methods(*overrides):
    return list_methods(parse(settings("evaluate", *overrides), EvaluateConfig))


def test_default_rows_are_in_the_order_of_the_tables():
    nets = ("squeeze", "alex", "vgg")
    assert [method.label for method in methods()] == [
        *("l2-rgb", "l2-lab", "psnr", "ssim", "ssim-lab", "fsimc", "hdr-vdp"),
        *(f"alex-gaussian-off_the_shelf-v{v}" for v in ("0.0", "0.1")),
        *(f"alex-{task}-off_the_shelf-v0.1" for task in ("kmeans", "watching", "splitbrain", "puzzle", "bigan")),
        *(f"{net}-off_the_shelf-v{v}" for net in nets for v in ("0.0", "0.1")),
        *(f"{net}-lin-v{v}" for net in nets for v in ("0.0", "0.1")),
    ]


def test_rows_know_their_group_supervision_and_published_row():
    rows = {method.label: (method.group, method.supervision, method.paper) for method in methods()}
    assert rows["ssim-lab"] == ("low-level", "", ("ssim", ""))
    assert rows["psnr"] == ("low-level", "", None)
    assert rows["alex-gaussian-off_the_shelf-v0.1"] == ("random", "random", ("alex-gaussian", ""))
    assert rows["vgg-off_the_shelf-v0.0"] == ("supervised", "supervised", ("vgg", "off-the-shelf"))
    assert rows["vgg-lin-v0.1"] == ("lpips", "supervised", ("vgg", "lin"))


def test_rows_have_the_seed_of_random_weights_only():
    rows = {method.label: method.seed for method in methods("seed=3")}
    assert (rows["alex-gaussian-off_the_shelf-v0.1"], rows["alex-off_the_shelf-v0.1"], rows["ssim"]) == (3, None, None)


@pytest.mark.parametrize("table", ["data=bapps", "experiment=demo"])
def test_every_row_of_the_papers_table_is_there(table, tmp_path):
    cfg = parse(settings("evaluate", table, f"experiments={tmp_path}"), EvaluateConfig)
    rows = {row.paper for row in [*list_methods(cfg), *trained_methods(cfg, [])] if row.paper}
    paper = set(read_paper(CONFIGS.parent / "experiments/reference", TWOAFC)) - {("human", "")}
    assert len(paper) == 22
    assert paper <= rows, paper - rows


def test_a_setting_of_any_name_makes_another_identity(monkeypatch):
    def strange(x, y, dtype="a", device="b", code="c", function="d"):
        return (x - y).abs().mean(dim=(1, 2, 3)) + len(dtype + device + code + function)

    monkeypatch.setitem(METRICS, "strange", Metric(strange, lambda value: value))
    plain = {"dtype": "a", "device": "b", "code": "c", "function": "d"}
    seen = []
    for changed in (None, *plain):
        chosen = {**plain, **({changed: "other"} if changed else {})}
        config = MetricConfig("strange", chosen)
        identity = metric_method("strange", config).build(CPU).identity
        assert identity["dtype"] == "float32" and identity["function"] == "strange"
        seen.append(json.dumps(identity, sort_keys=True))
        assert settings_of([metric_method("strange", config)], [identity], {})["settings"] == chosen
    assert len(set(seen)) == 5


def test_a_metric_for_larger_images_is_no_error_and_leaves_the_random_state(monkeypatch):
    def large(x, y, power=1):
        if min(x.shape[2:]) < 161:
            raise ValueError("needs 161 pixels")
        if power not in (1, 2):
            raise ValueError(f"power={power}: expected 1 or 2")
        return (x - y).abs().pow(power).mean(dim=(1, 2, 3)) + torch.rand(len(x))

    monkeypatch.setitem(METRICS, "large", Metric(large, lambda value: value))
    before = torch.random.get_rng_state()
    assert metric_method("large", MetricConfig("large", {"power": 2})).label == "large"
    for settings_, said in (({"power": 3}, "power=3: expected 1 or 2"), ({"pow": 2}, "unexpected keyword")):
        with pytest.raises(UserError, match=rf"metric\.large\.settings={re.escape(str(settings_))}: .*{said}"):
            metric_method("large", MetricConfig("large", settings_))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_users_metric_that_changes_its_images_damages_no_other_row(monkeypatch):
    def spoils(x, y):
        return (x.zero_() - y.zero_()).mean(dim=(1, 2, 3))

    monkeypatch.setitem(METRICS, "spoils", Metric(spoils, lambda value: value))
    images = [torch.rand(2, 3, 64, 64) for _ in range(3)]
    rows = {name: metric_method(name, MetricConfig(name)).build(CPU) for name in ("spoils", "l2")}
    found, faults = measure_batch(rows, images)
    assert not faults
    alone, _ = measure_batch({"l2": rows["l2"]}, images)
    assert torch.equal(found["l2"], alone["l2"]) and found["l2"].min() > 0


def test_no_metric_of_ours_changes_its_images():
    images = [torch.rand(2, 3, 64, 64) for _ in range(3)]
    before = [image.clone() for image in images]
    rows = methods("net=[alex_gaussian]", "variant=[off_the_shelf]", "metric=[l2_rgb,l2_lab,psnr,ssim,ssim_lab,fsimc]")
    _, faults = measure_batch({row.label: row.build(CPU) for row in rows}, images)
    assert not faults
    assert all(map(torch.equal, images, before))


def test_two_methods_of_one_name_are_refused():
    (one,) = methods("net=[]", "variant=[]", "metric=[l2_rgb]")
    check_labels([one])
    with pytest.raises(UserError, match="2 methods have the label l2-rgb: give each metric and network its own name"):
        check_labels([one, dataclasses.replace(one, group="lpips")])


def test_two_methods_whose_names_differ_only_in_case_are_refused():
    (one,) = methods("net=[]", "variant=[]", "metric=[l2_rgb]")
    with pytest.raises(UserError, match="labels of methods: l2-rgb and L2-RGB differ only in upper and lower case"):
        check_labels([one, dataclasses.replace(one, name="L2-RGB")])


@pytest.mark.parametrize(
    "register", [register_metric(), register_distortion("noise"), register_backbone("l2", channels=(1,), min_size=1)]
)
def test_a_name_is_registered_once(register, monkeypatch):
    monkeypatch.setitem(BACKBONES, "l2", None)
    monkeypatch.setitem(DISTORTIONS, "l2", None)
    known = METRICS["l2"]

    def l2(*_):
        return None

    with pytest.raises(UserError, match="'l2' is already registered: give yours another name"):
        register(l2)
    assert METRICS["l2"] is known


def test_distances_grow_with_the_difference_for_every_classic_metric():
    generator = torch.Generator().manual_seed(0)
    ref = torch.rand(2, 3, 64, 64, generator=generator)
    noise = torch.rand(2, 3, 64, 64, generator=generator)
    for method in methods("net=[]", "variant=[]", "metric=[l2_rgb,l2_lab,psnr,ssim,ssim_lab,fsimc]"):
        distance = method.build(CPU)
        d0, d1 = distance.finish(distance.measure(ref, 0.9 * ref + 0.1 * noise, 0.2 * ref + 0.8 * noise))
        assert (d0 < d1).all(), method.label


def test_rows_over_one_backbone_and_version_share_one_pass(tmp_path, monkeypatch):
    overrides = ("net=[alex_gaussian,squeeze]", "net.squeeze.init=gaussian", "variant=[off_the_shelf,lin]", "metric=[]")
    rows = methods(*overrides, "net.alex-gaussian.official_lin=true")
    assert len(rows) == 8  # two variants in two versions each
    passes = []
    forward = Backbone.each_map
    monkeypatch.setattr(Backbone, "each_map", lambda self, x: passes.append((self.name, len(x))) or forward(self, x))
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(2, 3, 64, 64, generator=generator) for _ in range(3)]
    engine = Engine(torch.device("cpu"))
    together, faults = measure_batch({row.label: row.build(engine) for row in rows}, images)
    assert not faults
    passes = [(name, count) for name, count in passes if count > 1]  # one image shows how large the maps are
    assert sorted(passes) == 2 * [("alex", 6)] + 2 * [("squeeze", 6)]  # a pass of three images for each version
    for row in rows:
        alone, _ = measure_batch({row.label: row.build(Engine(torch.device("cpu")))}, images)
        assert torch.equal(alone[row.label], together[row.label])
    assert len({tuple(values.flatten().tolist()) for values in together.values()}) == 8


def test_an_error_of_a_shared_pass_is_that_of_every_row_which_shares_it():
    calls = []

    def broken(*images):
        calls.append(len(images))
        raise RuntimeError("out of memory")

    both = {name: Distance(broken, {}, lambda means: means) for name in ("one", "two")}
    found, faults = measure_batch(both, [torch.zeros(1, 3, 8, 8)] * 2)
    assert (found, faults) == ({}, dict.fromkeys(both, "RuntimeError: out of memory"))
    assert calls == [2]


def test_a_row_over_seeds_is_a_network_each():
    rows = methods("net=[caffenet_gaussian]", "variant=[off_the_shelf]", "metric=[]")
    label = "alex-gaussian-caffenet-off_the_shelf-v0.1"
    assert [row.label for row in rows] == [f"{label}-seed{seed}" for seed in range(5)]
    assert {row.seeds_of for row in rows} == {label}
    weights = {row.build(CPU).identity["weights"] for row in rows}
    assert len(weights) == 5


@pytest.mark.parametrize(
    ("net", "override", "message"),
    [
        ("alex_kmeans", (), "alex-kmeans.pth: no such file: run `make init-kmeans`"),
        ("alex_watching", (), "no weights available: set net.alex-watching.weights to the .caffemodel"),
        (
            "alex_puzzle",
            ("net.alex-puzzle.weights=none.pth",),
            "none.pth: no such file: run `make pretrain TASK=puzzle IMAGES=FOLDER`, or set net.alex-puzzle.weights",
        ),
    ],
)
def test_a_row_without_its_file_says_how_to_get_it(net, override, message, tmp_path):
    (row,) = methods(f"net=[{net}]", "variant=[off_the_shelf]", "metric=[]", f"experiments={tmp_path}", *override)
    with pytest.raises(UserError, match=re.escape(message)):
        row.build(CPU)


def test_a_row_from_a_file_has_its_weights(tmp_path):
    state = gaussian_state("caffenet", 7)
    torch.save(state, tmp_path / "weights.pth")
    overrides = ("net=[alex_watching]", f"net.alex-watching.weights={tmp_path}/weights.pth", "variant=[off_the_shelf]")
    (row,) = methods(*overrides, "metric=[]")
    assert (row.group, row.supervision, row.paper) == ("self-supervised", "self-supervised", ("alex-watching", ""))
    assert row.build(CPU).identity["weights"] == digest_state(Backbone("caffenet", state).state_dict())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metric.psnr.function=snr", "metric.psnr.function='snr': expected one of fsim, fsimc, l2"),
        ("metric.ssim.settings.window=hann", "metric.ssim.settings=.*'hann': expected one of uniform, gaussian"),
        ("+metric.ssim.settings.size=3", "metric.ssim.settings=.*size"),
        ("net.alex.backbone=resnet", "net.alex.backbone='resnet': expected one of alex, caffenet, .*squeeze, .*vgg"),
        ("variant.lin.versions=[0.2]", "variant.lin.versions='0.2': expected one of 0.0, 0.1"),
        ("+variant.linear.versions=[0.1]", "variant='linear': expected one of off_the_shelf, lin"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(override, message):
    with pytest.raises(UserError, match=message):
        methods(override)


def test_seed_is_part_of_the_identity_of_random_weights():
    def identity(seed):
        (method,) = methods(
            f"seed={seed}",
            "metric=[]",
            "net=[alex_gaussian]",
            "variant=[lin,off_the_shelf]",
            "variant.off_the_shelf.versions=[0.1]",
        )
        return method.build(CPU).identity

    assert identity(0) == identity(0)
    assert identity(0)["weights"] != identity(1)["weights"]
    assert identity(1)["init"] == "gaussian(seed=1)"
