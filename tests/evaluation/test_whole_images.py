"""The table of whole images, on a small set in TID2013's layout with noise and scores whose order is known."""

import csv
import json
import logging
import re
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from lpips_repro.datasets.mos.images import load_image
from lpips_repro.datasets.mos.tid2013 import read_tid2013
from lpips_repro.devices import one_thread
from lpips_repro.errors import UserError
from lpips_repro.evaluation import run as run_module
from lpips_repro.evaluation.distances.compute import Distance, of_pairs
from lpips_repro.evaluation.methods import published as methods
from lpips_repro.evaluation.methods.method import Method
from lpips_repro.evaluation.run import evaluate
from lpips_repro.evaluation.tables.writer import KEYS
from lpips_repro.metrics import METRICS
from tests.compose import settings
from tests.datasets.tid import make_tid2013
from tests.processes import call, torchrun

NATIVE = 48  # the smaller side of the small set
WORDS = ("data=tid2013", "bootstrap=50", "download=false", "device=cpu")
CLASSIC = ("metric=[l2_rgb,psnr]", "net=[]")


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """The small set, and no weights available."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("LPIPS_REPRO_WEIGHTS", raising=False)
    methods._state_or_error.cache_clear()
    return make_tid2013(tmp_path / "tid")


def words(tmp_path, *overrides, sizes=f"[{NATIVE}]"):
    where = (f"experiments={tmp_path}/experiments", f"data.root={tmp_path}/tid", f"data.sizes={sizes}")
    return (*WORDS, *where, *overrides)


def run(tmp_path, *overrides, **more):
    evaluate(settings("evaluate", *words(tmp_path, *overrides, **more)))


def table(tmp_path, experiments="experiments"):
    with (tmp_path / experiments / "tables-tid2013/tid2013.csv").open(newline="") as file:
        return {f"{r['method']} {r['variant']} {r['version']}".strip(): r for r in csv.DictReader(file)}


def test_psnr_orders_noise_but_for_the_two_scores_that_are_swapped(tmp_path):
    run(tmp_path, *CLASSIC)
    for row in table(tmp_path).values():
        # 18 images; two neighbors swapped: squared rank differences sum to 2, one of 153 pairs is in the other order.
        assert row["spearman"] == row[f"spearman_{NATIVE}"] == f"{1 - 6 * 2 / (18 * (18**2 - 1)):.4f}"
        assert row["kendall"] == row[f"kendall_{NATIVE}"] == f"{1 - 2 / 153:.4f}"


def test_columns_of_a_row_and_the_mean_over_sizes(tmp_path):
    run(tmp_path, *CLASSIC, sizes="[24,40,48]")
    row = table(tmp_path)["psnr"]
    assert list(row) == [
        *KEYS,
        *(f"{m}{c}{e}" for m in ("spearman", "kendall") for c in ("_24", "_40", "_48", "") for e in ("", "_lo", "_hi")),
        "observers", "settings", "note",
    ]  # fmt: skip
    for measure in ("spearman", "kendall"):
        by_size = [float(row[f"{measure}_{size}"]) for size in (24, 40, 48)]
        assert len(set(by_size)) > 1
        assert float(row[measure]) == pytest.approx(np.mean(by_size), abs=1e-4)
        assert float(row[f"{measure}_lo"]) <= float(row[measure]) <= float(row[f"{measure}_hi"])
    made = json.loads(row["settings"])
    assert {key: made[key] for key in ("images", "references", "resize", "bootstrap")} == {
        **{"images": 18, "references": 3, "resize": "pil_bilinear"},
        "bootstrap": {"replicates": 50, "seed": 0},
    }
    assert row["note"] == ""


@pytest.mark.parametrize("batch_size", ["null", "1", "2", "5"])  # of the six images of a reference
def test_distances_are_the_metrics_own_on_the_scaled_images(tmp_path, small, batch_size):
    run(tmp_path, "metric=[ssim]", "net=[]", f"batch_size={batch_size}", sizes="[32]")
    ssim, to_distance = METRICS["ssim"]
    expected = []
    for image in read_tid2013(tmp_path / "tid"):
        pair = (
            load_image(path, 32).transpose(2, 0, 1) / np.float32(255) for path in (image.reference, image.distorted)
        )
        expected.append(to_distance(ssim(*(torch.from_numpy(one)[None] for one in pair))).item())
    (file,) = (tmp_path / "experiments/distances/tid2013/mos-val-32").glob("ssim-*.csv")
    head, *lines = (line.split(",") for line in file.read_text().splitlines())
    assert head == ["image", "distance", "mos"]
    stored = {name: value for name, value, _ in lines}
    assert {name: float(score) for name, _, score in lines} == small
    assert list(stored) == sorted(small)
    np.testing.assert_allclose([float(value) for value in stored.values()], expected, rtol=1e-5)
    spearman = stats.spearmanr([-value for value in expected], [small[name] for name in sorted(small)]).statistic
    assert table(tmp_path)["ssim"]["spearman"] == f"{spearman:.4f}"


def test_the_table_says_what_it_is_and_that_the_set_is_not_whole(tmp_path, capsys, caplog):
    run(tmp_path, *CLASSIC)
    for text in (capsys.readouterr().out, (tmp_path / "experiments/tables-tid2013/tid2013.md").read_text()):
        assert "with the negated distance (1: the same order; Kendall's is tau-b)" in text
        assert "95 % bootstrap over the 3 reference images" in text
        assert "3 reference images, 18 distorted: NOT all of TID2013" in text
    assert "NOT all of TID2013" in caplog.text
    names = {path.name for path in (tmp_path / "experiments/tables-tid2013").iterdir()}
    assert names >= {"tid2013.csv", "tid2013.md", "tid2013.tex", "scores.csv", "config.yaml", "run.json"}


def test_a_second_run_recomputes_nothing_and_says_so(tmp_path, caplog, monkeypatch):
    run(tmp_path, *CLASSIC, sizes="[24,48]")
    first = table(tmp_path)
    monkeypatch.setattr("lpips_repro.evaluation.distances.compute.load_batch", None)  # no image is needed
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC, sizes="[24,48]")
    assert f"distances: all {2 * 2} are stored" in caplog.text
    assert table(tmp_path) == first


def test_an_interrupted_run_continues_where_it_was_stopped(tmp_path, caplog, monkeypatch):
    def interrupted(path, size):
        if (path.name, size) == ("i02_01_2.bmp", 48):
            raise KeyboardInterrupt
        return load_image(path, size)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("lpips_repro.datasets.mos.split.load_image", interrupted)
        patch.setattr("lpips_repro.evaluation.distances.results.PART", 1)
        run(tmp_path, *CLASSIC, sizes="[24,48]")
    read = []
    with caplog.at_level(logging.INFO), monkeypatch.context() as patch:
        patch.setattr(
            "lpips_repro.datasets.mos.split.load_image", lambda *image: read.append(image) or load_image(*image)
        )
        run(tmp_path, *CLASSIC, sizes="[24,48]")
    # There are both methods at 24 pixels and for the first reference at 48.
    assert "distances: 2 computed, 2 already stored" in caplog.text
    assert len(read) == 2 + 12 and {size for _, size in read} == {48}
    run(tmp_path, *CLASSIC, f"experiments={tmp_path}/again", sizes="[24,48]")
    assert table(tmp_path) == table(tmp_path, "again")


def test_all_methods_share_one_read_of_a_sizes_images(tmp_path, monkeypatch):
    read = []

    def counted(path, size):
        read.append((path, size))
        return load_image(path, size)

    monkeypatch.setattr("lpips_repro.datasets.mos.split.load_image", counted)
    run(tmp_path, "metric=[l2_rgb,psnr,ssim]", "net=[]", sizes="[24,48]")
    assert len(read) == len(set(read)) == 2 * (3 + 18)


def test_only_a_missing_methods_distances_are_computed(tmp_path, caplog):
    run(tmp_path, "metric=[psnr]", "net=[]")
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "distances: 1 computed, 1 already stored" in caplog.text


def test_changed_scores_need_no_new_distances_and_changed_images_do(tmp_path, caplog):
    run(tmp_path, *CLASSIC)
    scores = tmp_path / "tid/MOS_with_names.txt"
    scores.write_text(scores.read_text().replace("6.75000", "0.00000"))
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "nothing computed" in caplog.text
    assert float(table(tmp_path)["psnr"]["spearman"]) < 0.9
    Image.new("RGB", (64, 48)).save(tmp_path / "tid/Distorted_Images/i02_01_1.bmp")
    with caplog.at_level(logging.INFO):
        run(tmp_path, *CLASSIC)
    assert "distances: 2 computed, 0 already stored" in caplog.text


def test_a_compilation_is_for_images_of_one_size_and_so_are_those_that_make_it_worth_while(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(run_module, "compiled_for", lambda cfg, device, splits: seen.append((cfg, splits)))
    run(tmp_path, *CLASSIC, sizes="[24,48]")
    monkeypatch.undo()
    ((cfg, splits),) = seen
    monkeypatch.setattr(run_module, "why_not", lambda device: None)
    compiled = []
    for least in (18, 19):
        monkeypatch.setattr(run_module, "COMPILE_FROM", least)
        compiled.append(run_module.compiled_for(cfg, torch.device("cpu"), splits))
    assert compiled == [True, False]


def test_changed_scores_are_in_the_stored_file_from_then_on(tmp_path):
    run(tmp_path, *CLASSIC)
    scores = tmp_path / "tid/MOS_with_names.txt"
    scores.write_text(scores.read_text().replace("6.75000", "0.25000"))
    (file,) = (tmp_path / "experiments/distances/tid2013").rglob("psnr-*.csv")
    assert file.read_text().splitlines()[1].endswith(",6.75")
    for _ in range(2):
        run(tmp_path, *CLASSIC)
        assert file.read_text().splitlines()[1].endswith(",0.25")
    assert len([*file.parent.glob("psnr-*")]) == 2  # with its card: nothing was set aside


def test_distances_that_were_stored_before_whole_images_were_splits_are_recognized(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(tmp_path, *CLASSIC, sizes="[24,48]")
    for file in (tmp_path / "experiments/distances/tid2013/mos-val-48").iterdir():
        earlier = tmp_path / "experiments/distances/tid2013/size-48" / file.name
        earlier.parent.mkdir(exist_ok=True)
        file.rename(earlier)
        if file.suffix == ".json":
            card = json.loads(earlier.read_text())
            digest = card.pop("split_digest")
            for key in ("split", "resize", "observers", "count", "sha256"):
                del card[key]
            card |= {"images_digest": digest, "reader": "other", "size": 48, "torch": "2.14.1+cpu"}
            earlier.write_text(json.dumps(card))
    caplog.clear()
    run(tmp_path, *CLASSIC, sizes="[24,48]")
    assert "distances: 2 computed, 2 already stored" in caplog.text
    said = "2 stored distances of an earlier version are not used, because the code that reads images changed"
    assert caplog.text.count(said) == 1


def test_distances_of_another_program_are_scored_too(tmp_path, small):
    folder = tmp_path / "theirs"
    folder.mkdir()
    lines = [f"{name},{9 - score}" for name, score in sorted(small.items())]
    (folder / f"mos-val-{NATIVE}.csv").write_text("\n".join(["image,distance", *lines]) + "\n")
    theirs = ("metric=[hdr_vdp,psnr]", f"metric.hdr-vdp.distances={folder}", "net=[]")
    run(tmp_path, *theirs)
    assert table(tmp_path)["hdr-vdp"]["spearman"] == "1.0000"
    run(tmp_path, *theirs, sizes=f"[24,{NATIVE}]")  # the size that is there has its columns
    row = table(tmp_path)["hdr-vdp"]
    assert (row["spearman_24"], row[f"spearman_{NATIVE}"], row["spearman"]) == ("", "1.0000", "")
    assert row["note"] == f"not run at 24 pixels: {folder}/mos-val-24.csv: No such file or directory"


def test_a_size_that_a_method_cannot_take_is_not_run_with_the_reason(tmp_path, capsys):
    run(tmp_path, "metric=[psnr,ssim]", "net=[alex_gaussian]", "variant=[off_the_shelf]", sizes="[4,6,48]")
    rows = table(tmp_path)
    assert rows["psnr"]["note"] == ""
    ssim = "not run at 4 pixels: first image is 4 x 5: expected sides of at least 7; not"
    assert rows["ssim"]["note"].startswith(ssim)
    for row in (rows["ssim"], rows["alex-gaussian off_the_shelf 0.1"]):
        assert re.search(r"; not run at 6 pixels: (first|ref) image is 6 x 8: expected sides of at least", row["note"])
        assert row["spearman_48"] != ""
        assert (row["spearman_6"], row["spearman"], row["kendall"], row["spearman_lo"]) == ("", "", "", "")
    assert "ssim: not run at 4 pixels: first image is" in capsys.readouterr().out


def test_a_network_without_weights_is_reported_and_the_rest_is_made(tmp_path):
    run(tmp_path, "metric=[psnr]", "net=[vgg]", "variant=[off_the_shelf,tune]")
    rows = table(tmp_path)
    assert rows["psnr"]["spearman"] != ""
    assert rows["vgg off_the_shelf 0.1"]["spearman"] == ""
    assert rows["vgg off_the_shelf 0.1"]["note"].startswith("not run: no ImageNet weights of vgg on")
    assert rows["vgg tune 0.1"]["note"].endswith("run `make train NET=vgg VARIANT=tune DATA=bapps`")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda value: value * torch.nan, "not run at 48 pixels: the distance of image i01_01_1 is NaN"),
        (lambda value: value * 0, "not run at 48 pixels: all distances are equal, so that they have no order"),
        (lambda value: value[:1], "not run at 48 pixels: the metric returned (1,): expected a tensor"),
    ],
)
def test_a_broken_metric_costs_its_own_row_alone(tmp_path, monkeypatch, broken, message):
    monkeypatch.setitem(METRICS, "psnr", METRICS["psnr"]._replace(to_distance=broken))
    run(tmp_path, *CLASSIC)
    rows = table(tmp_path)
    assert rows["psnr"]["note"].startswith(message)
    assert rows["l2-rgb"]["spearman"] != ""


def test_several_seeds_are_one_row_with_mean_and_spread(tmp_path, monkeypatch):
    def noisy(seed, engine):
        generator = torch.Generator().manual_seed(seed)

        def pair(x, y):
            values = (x - y).abs().mean((1, 2, 3))
            return values + 0.03 * torch.rand(len(x), generator=generator)

        return Distance(of_pairs(pair), {"seed": seed})

    runs = [
        Method("lpips", "alex", partial(noisy, seed), "tune", "0.1", origin="trained here", seed=seed,
               run=f"run-seed{seed}", seeds_of="run")
        for seed in (0, 1)
    ]  # fmt: skip
    singles = []
    for chosen in ([runs[0]], [runs[1]], runs):
        monkeypatch.setattr(run_module, "trained_methods", lambda *_, chosen=chosen: chosen)
        run(tmp_path, "metric=[psnr]", "net=[]")
        singles.append(table(tmp_path)["alex tune 0.1"])
    first, second = (float(single["spearman"]) for single in singles[:2])
    assert first != second
    assert float(singles[2]["spearman"]) == pytest.approx((first + second) / 2, abs=1e-4)
    assert float(singles[2]["spearman_sd"]) == pytest.approx(abs(first - second) / 2**0.5, abs=1e-4)
    assert "(trained here, 2 seeds)" in (tmp_path / "experiments/tables-tid2013/tid2013.md").read_text()


def test_one_reference_alone_has_no_interval(tmp_path):
    scores = tmp_path / "tid/MOS_with_names.txt"
    scores.write_text("\n".join(line for line in scores.read_text().splitlines() if " I01" in line))
    run(tmp_path, *CLASSIC)
    assert (table(tmp_path)["psnr"]["spearman"], table(tmp_path)["psnr"]["spearman_lo"]) == ("1.0000", "")


def test_what_is_wrong_with_the_set_is_one_clear_error(tmp_path):
    other = tmp_path / "tid/Distorted_Images/i02_01_1.bmp"
    Image.new("RGB", (48, 48)).save(other)
    with pytest.raises(UserError, match=r"i02_01_1.bmp: 48 x 48 with a smaller side of 48, but .* I02.BMP has 64 x 48"):
        run(tmp_path, *CLASSIC)
    scores = tmp_path / "tid/MOS_with_names.txt"
    scores.write_text("5 I01_01_1.bmp\n5 I01_01_2.bmp\n")
    with pytest.raises(UserError, match="all images have the same mean opinion score"):
        run(tmp_path, *CLASSIC)


def test_tables_of_other_images_are_kept(tmp_path):
    run(tmp_path, *CLASSIC)
    before = (tmp_path / "experiments/tables-tid2013/tid2013.csv").read_bytes()
    Image.new("RGB", (64, 48)).save(next((tmp_path / "tid").rglob("i02_01_1.bmp")))
    run(tmp_path, *CLASSIC)
    (kept,) = (tmp_path / "experiments").glob("tables-tid2013-*")
    assert (kept / "tid2013.csv").read_bytes() == before
    assert (tmp_path / "experiments/tables-tid2013/tid2013.csv").read_bytes() != before


def test_damaged_distances_are_computed_again(tmp_path, caplog):
    run(tmp_path, *CLASSIC)
    first = table(tmp_path)
    file = next((tmp_path / "experiments/distances/tid2013").rglob("psnr-*.csv"))
    whole = file.read_text()
    file.write_text(whole + "i03_02_3\n")
    run(tmp_path, *CLASSIC)
    assert re.search(r"psnr-\w+.csv: damaged distances \(.*\): kept as psnr-\w+.csv.damaged", caplog.text)
    assert table(tmp_path) == first
    assert file.read_text() == whole


def test_distances_are_stored_with_all_that_they_depend_on(tmp_path):
    run(tmp_path, *CLASSIC)
    card = json.loads(next((tmp_path / "experiments/distances/tid2013/mos-val-48").glob("psnr-*.json")).read_text())
    assert card.keys() >= {"function", "dtype", "device", "code", "split", "split_digest", "reader", "libraries"}


@pytest.mark.slow
def test_several_processes_write_the_table_of_one(tmp_path):
    of_both = ("metric=[psnr,ssim]", "net=[alex_gaussian]", "variant=[off_the_shelf]")
    with one_thread():  # as torchrun gives its processes
        run(tmp_path, *of_both, f"experiments={tmp_path}/one", sizes="[6,48]")
    several = words(tmp_path, *of_both, f"experiments={tmp_path}/several", sizes="[6,48]")
    output = call(*torchrun(2, "scripts/evaluate.py", *several))
    assert output.count("Spearman\n") == 1
    files = [[*(tmp_path / way).rglob("*.csv")] for way in ("one", "several")]
    contents = [{file.relative_to(tmp_path / way): file.read_bytes() for file in found}
                for way, found in zip(("one", "several"), files, strict=True)]  # fmt: skip
    assert contents[0] == contents[1]
