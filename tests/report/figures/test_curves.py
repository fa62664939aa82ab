"""Training curves."""

import numpy as np
import pytest

from lpips_repro.errors import UserError
from lpips_repro.report.figures import read_curves, training_curves
from lpips_repro.training.watch import TrainingWatch
from tests.training.test_watch import JOINT, LIN

SPLITS = ("cnn", "color")


def make_run(folder, loss, score, splits=SPLITS):
    """A run of two epochs, as training logs it."""
    folder.mkdir(parents=True)
    with TrainingWatch(folder, splits, step=0, validations=0, steps=8, batch_size=5) as watch:
        for epoch in (0, 1, 2):
            for step in (4 * epoch - 2, 4 * epoch) if epoch else ():
                watch.step()
                values = {"loss": loss / step, "train_2afc": 0.5, "learning_rate": 1e-4, "gradient_norm": 1.0}
                watch.training(step, epoch - 1, values)
            scores = {name: score + epoch / 100 for name in (*splits, "mean")}
            watch.validation(4 * epoch, epoch, scores, LIN, {})
    return folder


def test_seeds_are_one_line_with_a_band_from_the_lowest_to_the_highest(tmp_path):
    runs = [
        read_curves(make_run(tmp_path / f"mini-alex-lin-v0.1-seed{seed}-abc", 1 + seed, 0.6 + seed / 10))
        for seed in (0, 1)
    ]
    figure = training_curves(runs)
    loss, mean = figure.axes[:2]
    assert loss.get_title(loc="left") == "training loss"
    (line,) = loss.lines
    assert line.get_xdata().tolist() == [2, 4, 6, 8]
    assert line.get_ydata() == pytest.approx([1.5 / step for step in (2, 4, 6, 8)], rel=1e-4)
    assert mean.lines[0].get_ydata() == pytest.approx([65, 66, 67])
    (band,) = mean.collections
    corners = band.get_paths()[0].vertices
    assert [corners[corners[:, 0] == 4][:, 1].min(), corners[corners[:, 0] == 4][:, 1].max()] == pytest.approx([61, 71])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["mini-alex-lin-v0.1-abc (2 seeds)"]
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["training loss", "2AFC, mean (%)", "training 2AFC (%)", "2AFC, cnn (%)", "2AFC, color (%)"]


def test_runs_with_other_settings_have_lines_that_differ_without_color(tmp_path):
    runs = [read_curves(make_run(tmp_path / f"mini-{net}-lin-v0.1-seed0", 1, 0.6)) for net in map(str, range(12))]
    lines = training_curves(runs).axes[0].lines
    looks = [(line.get_linestyle(), line.get_marker()) for line in lines]
    assert len(set(looks)) == len(looks) == 12


@pytest.mark.parametrize("width", [3.3, 7.0])
def test_unfinished_runs_and_runs_with_other_splits_are_drawn_together(tmp_path, width, recwarn):
    short = make_run(tmp_path / "mini-alex-tune-v0.1-seed0", 1, 0.6)
    (short / "metrics.csv").write_text("step,epoch,loss\r\n2,0,0.5\r\n4,0,nan\r\n6,0,0.")
    whole = make_run(tmp_path / "mini-alex-lin-v0.1-seed0", 1, 0.6, ("mine",))
    figure = training_curves([read_curves(short), read_curves(whole)], "simulated", width)
    figure.draw_without_rendering()
    assert [str(warning.message) for warning in recwarn] == []
    lengths = [[len(line.get_xdata()) for line in panel.lines] for panel in figure.axes]
    assert lengths[0] == [2, 4]
    assert sorted(map(len, lengths[2:])) == [1, 1, 1, 1]
    assert "SIMULATED" in figure.get_suptitle()


def test_a_file_of_an_earlier_version_has_both_kinds_of_curves(tmp_path):
    (tmp_path / "metrics.csv").write_bytes(JOINT)
    series = read_curves(tmp_path).series
    assert series["loss"] == {2: 0.5, 4: 0.25, 6: 0.125}
    assert series["val_mean"] == {0: 70, 4: 71}


@pytest.mark.parametrize("content", [None, b"", b"\0" * 200, b"step,loss\r\nx,1\r\n", b"\xff\xfe"])
def test_a_folder_without_curves_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"no curves of a training run: neither metrics.csv nor validation.csv has any"):
        read_curves(tmp_path)
    with pytest.raises(UserError, match="no training run has logged anything"):
        training_curves([])


def test_means_over_only_a_few_steps_are_left_out(tmp_path):
    rows = [(50, 0.6), (100, 0.5), (102, 3.0), (150, 0.4), (200, 0.3), (204, 0.0)]
    text = "".join(f"{step},0,{loss}\r\n" for step, loss in rows)
    (tmp_path / "metrics.csv").write_text(f"step,epoch,loss\r\n{text}")
    assert read_curves(tmp_path).series["loss"] == {50: 0.6, 100: 0.5, 150: 0.4, 200: 0.3}


def test_the_seed_of_a_run_is_the_last_one_in_its_name(tmp_path):
    run = read_curves(make_run(tmp_path / "my-seed3-data-alex-lin-v0.1-seed12", 1, 0.6))
    assert run.without_seed == "my-seed3-data-alex-lin-v0.1"
    assert np.isfinite(list(run.series["loss"].values())).all()
