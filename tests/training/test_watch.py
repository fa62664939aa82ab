import csv
import errno
import io
import logging
import re

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from lpips_repro.training.pictures import picture_of
from lpips_repro.training.validation import Disagreement
from lpips_repro.training.watch import TrainingWatch

SPLITS = ("cnn", "color")
VALUES = {"loss": 0.5, "train_2afc": 0.75, "learning_rate": 1e-4, "gradient_norm": 2.0}
SCORES = {"cnn": 0.6, "color": 0.8, "mean": 0.7}
LIN = (torch.linspace(0, 1, 64), torch.zeros(192))


def watch(folder, step=0, validations=0):
    return TrainingWatch(folder, SPLITS, step=step, validations=validations, steps=8, batch_size=5)


def train(shown, *steps):
    """Two steps an entry, four an epoch, as the loop counts."""
    for step in steps:
        shown.step()
        shown.step()
        shown.training(step, (step - 1) // 4, VALUES)


def go_on(shown, step, validations):
    """The entries and validations of a run of 6 steps that follow after a step and a number of validations."""
    if validations == 0:
        shown.validation(0, 0, SCORES, LIN, {})
    train(shown, *(at for at in (2, 4) if at > step))
    if validations <= 1:
        shown.validation(4, 1, SCORES, LIN, {})
    train(shown, 6)


def rows(folder, name="metrics.csv"):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def steps_of(folder):
    """The steps of training entries, and of validations."""
    return [[int(row["step"]) for row in rows(folder, name)] for name in ("metrics.csv", "validation.csv")]


def events(folder):
    found = EventAccumulator(str(folder), {"images": 0, "histograms": 0, "scalars": 0, "tensors": 0})
    return found.Reload()


def test_metrics_csv_has_a_row_for_each_entry_and_validation_csv_for_each_validation_in_percent(tmp_path):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, LIN, {})
        train(shown, 2)
    (validation,) = rows(tmp_path, "validation.csv")
    assert validation == {"step": "0", "epoch": "0", "val_cnn": "60", "val_color": "80", "val_mean": "70"}
    (entry,) = rows(tmp_path)
    assert float(entry.pop("triplets_per_second")) > 0
    assert entry == {
        "step": "2", "epoch": "0", "loss": "0.5", "train_2afc": "75", "learning_rate": "0.0001", "gradient_norm": "2"
    }  # fmt: skip


def test_a_row_is_on_disk_as_soon_as_it_is_written(tmp_path):
    with watch(tmp_path) as shown:
        train(shown, 2)
        assert [row["step"] for row in rows(tmp_path)] == ["2"]


@pytest.mark.parametrize(
    ("step", "validations", "kept"),
    [
        (0, 0, [[], []]),
        (0, 1, [[], [0]]),
        (2, 1, [[2], [0]]),
        (3, 1, [[2], [0]]),
        (4, 1, [[2, 4], [0]]),  # stopped before or in the validation after the epoch
        (4, 2, [[2, 4], [0, 4]]),
    ],
)
def test_after_a_resume_no_step_appears_twice(tmp_path, step, validations, kept):
    with watch(tmp_path) as shown:
        go_on(shown, 0, 0)
    everything = [[2, 4, 6], [0, 4]]
    assert steps_of(tmp_path) == everything
    watch(tmp_path, step, validations).__exit__()
    assert steps_of(tmp_path) == kept
    with watch(tmp_path, step, validations) as shown:
        go_on(shown, step, validations)
    assert steps_of(tmp_path) == everything


def test_rows_that_are_kept_are_kept_as_they_were(tmp_path):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, LIN, {})
        train(shown, 2)
    files = [tmp_path / name for name in ("metrics.csv", "validation.csv")]
    before = [file.read_bytes() for file in files]
    watch(tmp_path, 2, 1).__exit__()
    assert [file.read_bytes() for file in files] == before


JOINT = b"""step,epoch,loss,train_2afc,learning_rate,gradient_norm,triplets_per_second,val_cnn,val_color,val_mean\r
0,0,,,,,,60,80,70\r
2,0,0.5,75,0.0001,2,100.5,,,\r
4,0,0.25,75,0.0001,2,100,,,\r
4,1,,,,,,61,81,71\r
6,1,0.125,75,0.0001,2,100,,,\r
"""


@pytest.mark.parametrize("damage", [b"", b"8,1,0.125,75,0.0"])
def test_a_file_that_earlier_versions_wrote_is_divided_and_no_row_is_lost(tmp_path, damage):
    (tmp_path / "metrics.csv").write_bytes(JOINT + damage)
    watch(tmp_path, 6, 2).__exit__()
    assert steps_of(tmp_path) == [[2, 4, 6], [0, 4]]
    assert [row["loss"] for row in rows(tmp_path)] == ["0.5", "0.25", "0.125"]
    assert rows(tmp_path)[0]["triplets_per_second"] == "100.5"
    assert [row["val_mean"] for row in rows(tmp_path, "validation.csv")] == ["70", "71"]
    assert not (tmp_path / "validation.csv.damaged").exists()
    assert (tmp_path / "metrics.csv.damaged").exists() == bool(damage)


def test_what_a_killed_start_of_an_earlier_version_wrote_is_removed(tmp_path):
    (tmp_path / "metrics.csv").write_bytes(JOINT)
    watch(tmp_path, 2, 1).__exit__()
    assert steps_of(tmp_path) == [[2], [0]]


def test_a_file_killed_before_its_header_gets_one(tmp_path):
    (tmp_path / "metrics.csv").touch()
    with watch(tmp_path) as shown:
        train(shown, 2)
    assert [row["step"] for row in rows(tmp_path)] == ["2"]


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 300,
        b"\0" * 300 + b"\n",
        b"\xff\xfe\r\n",
        b"\r\n",
        b"4,0,0.5,73.",  # a kill in mid-number
        b"4,0,0.5,75,0.0001,2,100.",  # the same in the last column: not to be told from a whole one but by its end
        b"4,0,0.5,75,0.0001,2,100\r",
        b"4,0,0.5,75,0.0001,2\r\n",
        b"4,0,0.5,75,0.0001,2,100,\r\n",
        b"4,0,0.5,x,0.0001,2,100\r\n",
        b"4,0,0.5,73.4,0,0.5,75,0.0001,2,100\r\n4,0,0.5,75,0.0001,2,100\r\n",  # and one after the damage
    ],
)
def test_what_a_power_cut_damaged_is_removed_and_what_is_before_stays(tmp_path, damage, caplog):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, LIN, {})
        train(shown, 2)
    file = tmp_path / "metrics.csv"
    before = file.read_bytes()
    file.write_bytes(before + damage)
    with watch(tmp_path, 4, 1) as shown:
        assert file.read_bytes() == before
        train(shown, 6)
    assert (tmp_path / "metrics.csv.damaged").read_bytes() == before + damage
    assert f"{file}: damaged, or with other columns: kept as metrics.csv.damaged" in caplog.text
    assert steps_of(tmp_path) == [[2, 6], [0]]


@pytest.mark.parametrize("content", [b"\0" * 300, b"step,epo", b"step,epoch\r\n1,2\r\n"])
def test_a_damaged_header_is_written_again_and_the_file_is_kept(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with watch(tmp_path, 4, 1) as shown:
        train(shown, 6)
    assert [row["step"] for row in rows(tmp_path)] == ["6"]
    assert (tmp_path / "metrics.csv.damaged").read_bytes() == content


def test_what_is_only_removed_is_not_called_damaged(tmp_path, caplog):
    with watch(tmp_path) as shown:
        train(shown, 2, 4)
    watch(tmp_path, 2, 1).__exit__()
    assert caplog.text == ""
    assert not (tmp_path / "metrics.csv.damaged").exists()


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests advance: `clock[0] += seconds`."""
    now = [100.0]
    monkeypatch.setattr("lpips_repro.runs.watch.time.monotonic", lambda: now[0])
    return now


def test_throughput_counts_training_alone(tmp_path, clock):
    """10 triplets in 2 s before and after a validation of 1000 s."""
    with watch(tmp_path) as shown:
        for at in (2, 4):
            clock[0] += 1000
            shown.validation(at - 2, 0, SCORES, LIN, {})
            clock[0] += 2
            train(shown, at)
    assert [row["triplets_per_second"] for row in rows(tmp_path)] == ["5", "5"]


def test_the_line_of_an_epoch_has_the_means_that_it_is_given_and_not_the_last_window(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with watch(tmp_path) as shown:
        train(shown, 4)  # a window of 75 %
        shown.validation(4, 1, SCORES, LIN, {"loss": 0.25, "train_2afc": 0.6, "gradient_norm": 1.0})
    (message,) = caplog.messages
    assert message.startswith("epoch 1, step 4/8: loss 0.2500, train 2AFC 60.00 %, mean val 2AFC 70.00 %")


def test_each_validation_is_a_line_of_the_log(tmp_path, clock, caplog):
    caplog.set_level(logging.INFO)
    with watch(tmp_path) as shown:
        clock[0] += 1000  # before the first step: no part of the pace
        shown.validation(0, 0, SCORES, LIN, {})
        for epoch, at in ((1, 4), (2, 8)):
            clock[0] += 60
            train(shown, at)
            clock[0] += 40
            shown.validation(at, epoch, SCORES, LIN, VALUES)
    with watch(tmp_path, 4, 1) as shown:  # the means of the epoch are not known
        shown.validation(4, 1, SCORES, LIN, {})
    records = [record for record in caplog.records if record.name.endswith("watch")]  # the bar says lines, too
    assert [record.getMessage() for record in records] == [
        "epoch 0, step 0/8: mean val 2AFC 70.00 %",
        "epoch 1, step 4/8: loss 0.5000, train 2AFC 75.00 %, mean val 2AFC 70.00 %, 01:40 left",
        "epoch 2, step 8/8: loss 0.5000, train 2AFC 75.00 %, mean val 2AFC 70.00 %",
        "epoch 1, step 4/8: mean val 2AFC 70.00 %",
    ]


def test_scalars_are_in_the_event_file(tmp_path):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, LIN, {})
        train(shown, 2, 4)
        shown.validation(4, 1, SCORES, LIN, {})
    found = events(tmp_path)
    assert sorted(found.Tags()["scalars"]) == [
        *("train/gradient_norm", "train/learning_rate", "train/loss", "train/train_2afc", "train/triplets_per_second"),
        *("val_2afc/cnn", "val_2afc/color", "val_2afc/mean"),
        *("weights/zeros_1", "weights/zeros_2"),
    ]
    assert [(event.step, event.value) for event in found.Scalars("train/train_2afc")] == [(2, 75), (4, 75)]
    means = [(event.step, event.value) for event in found.Scalars("val_2afc/mean")]
    assert means == [(0, pytest.approx(70)), (4, pytest.approx(70))]


def test_histograms_of_the_lin_weights_are_in_the_event_file(tmp_path):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, LIN, {})
    found = events(tmp_path)
    assert found.Tags()["histograms"] == ["weights/lin_1", "weights/lin_2"]
    histogram = found.Histograms("weights/lin_1")[0].histogram_value
    assert (histogram.num, histogram.min, histogram.max) == (64, 0, 1)


def disagreement(index):
    images = {name: np.full((64, 64, 3), 80 * i, np.uint8) for i, name in enumerate(("ref", "p0", "p1"))}
    return Disagreement("cnn", index, 0.1, 0.2, 0.3, 1.0, images, "human")


def test_the_worst_triplets_are_pictures_of_their_own_in_order(tmp_path):
    worst = [disagreement(index) for index in (7, 3)]
    with watch(tmp_path) as shown:
        shown.disagreements(3, worst)
    found = events(tmp_path)
    assert found.Tags()["images"] == ["worst/1", "worst/2"]
    for tag, one in zip(("worst/1", "worst/2"), worst, strict=True):
        (image,) = found.Images(tag)
        assert image.step == 3
        with Image.open(io.BytesIO(image.encoded_image_string)) as picture:
            assert (np.asarray(picture) == picture_of(one)).all()


def test_curves_sort_before_weights_and_pictures(tmp_path):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, LIN, {})
        train(shown, 2)
        shown.disagreements(3, [disagreement(0)])
    tags = events(tmp_path).Tags()
    groups = {tag.partition("/")[0] for kind in ("scalars", "histograms", "images") for tag in tags[kind]}
    assert sorted(groups) == ["train", "val_2afc", "weights", "worst"]


def test_custom_scalars_show_loss_2afc_by_split_and_sparsity(tmp_path):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, LIN, {})
        train(shown, 2)
    found = events(tmp_path)
    (event,) = found.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for category in layout.category for chart in category.chart}
    scalars = found.Tags()["scalars"]
    matching = {
        title: [tag for tag in scalars if any(re.search(p, tag) for p in patterns)]
        for title, patterns in charts.items()
    }
    assert matching == {
        "loss": ["train/loss"],
        "2AFC of training (%)": ["train/train_2afc"],
        "2AFC by split (%)": ["val_2afc/cnn", "val_2afc/color", "val_2afc/mean"],
        "zeros by layer (%)": ["weights/zeros_1", "weights/zeros_2"],
    }


def test_zeros_are_the_share_of_lin_weights_below_the_bound_of_figure_10(tmp_path):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, (torch.tensor([0.0, 0.0005, 0.5, 1.0]), torch.ones(3)), {})
    found = events(tmp_path)
    assert [found.Scalars(f"weights/zeros_{layer}")[0].value for layer in (1, 2)] == [50, 0]


def test_events_of_an_earlier_version_are_continued(tmp_path):
    with watch(tmp_path) as shown:
        shown.validation(0, 0, SCORES, LIN, {})
        train(shown, 2, 4)
    (tmp_path / "tensorboard").mkdir()
    for file in tmp_path.glob("events.*"):
        file.rename(tmp_path / "tensorboard" / file.name)
    with watch(tmp_path, 2, 1) as shown:
        train(shown, 4)
    assert not (tmp_path / "tensorboard").exists()
    assert [event.step for event in events(tmp_path).Scalars("train/loss")] == [2, 4]


@pytest.mark.parametrize(("step", "validations"), [(0, 0), (0, 1), (2, 1), (4, 2)])
def test_after_a_resume_tensorboard_shows_no_step_twice(tmp_path, step, validations):
    with watch(tmp_path) as shown:
        go_on(shown, 0, 0)
    with watch(tmp_path, step, validations) as shown:
        go_on(shown, step, validations)
    found = events(tmp_path)
    assert [event.step for event in found.Scalars("train/loss")] == [2, 4, 6]
    assert [event.step for event in found.Scalars("val_2afc/mean")] == [0, 4]
    assert [event.step for event in found.Histograms("weights/lin_1")] == [0, 4]


def test_what_is_flushed_is_in_the_event_file_before_it_is_closed(tmp_path):
    with watch(tmp_path) as shown:
        train(shown, 2)
        shown.flush()
        assert [event.step for event in events(tmp_path).Scalars("train/loss")] == [2]


@pytest.mark.parametrize("moment", ["add_scalar", "flush", "close"])
def test_an_error_of_a_full_disk_in_tensorboard_names_the_folder(tmp_path, monkeypatch, moment):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with watch(tmp_path) as shown:
        monkeypatch.setattr(shown.board, moment, full)
        calls = {"add_scalar": lambda: train(shown, 2), "flush": shown.flush, "close": lambda: shown.__exit__()}
        with pytest.raises(OSError, match="No space left") as found:
            calls[moment]()
        monkeypatch.undo()
    assert found.value.filename == str(tmp_path)
