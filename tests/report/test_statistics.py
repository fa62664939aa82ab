import csv

import numpy as np
import pytest
from PIL import Image

from lpips_repro.evaluation import human_twoafc, oracle_twoafc
from lpips_repro.report.statistics import write_statistics
from tests.compose import settings
from tests.datasets.folders import make_split


@pytest.mark.parametrize("observers", ["human", "simulated"])
def test_table_and_sheet_of_a_folder(tmp_path, capsys, observers):
    _, images, votes = make_split(tmp_path / "data", split="mine", count=9)
    _, _, same = make_split(tmp_path / "data", kind="jnd", split="cnn", count=3)
    write_statistics(
        settings(
            "dataset",
            "data=folder",
            f"data.root={tmp_path}/data",
            f"data.packed={tmp_path}/packed",
            f"data.observers={observers}",
            f"experiments={tmp_path}",
        )
    )
    folder = tmp_path / "data-stats-folder"
    with (folder / "stats.csv").open(newline="") as file:
        triplets, pairs = csv.DictReader(file)
    assert (triplets["split"], triplets["count"]) == ("2afc/val/mine", "9")
    assert triplets["agreement 2AFC %"] == f"{100 * human_twoafc(votes):.2f}"
    assert triplets["oracle 2AFC %"] == f"{100 * oracle_twoafc(votes):.2f}"
    assert sum(int(word.rstrip(":")) for word in triplets["votes (share: examples)"].split()[1::2]) == 9
    assert pairs['share "same" %'] == f"{100 * same.mean():.2f}"
    for text in (capsys.readouterr().out, (folder / "stats.md").read_text()):
        assert ("SIMULATED observers" in text) == (observers == "simulated")
    with Image.open(folder / "examples.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    first = images["ref"][0].repeat(2, 0).repeat(2, 1)  # shown at twice its size
    assert any(
        np.array_equal(pixels[top : top + 128, left : left + 128], first) for top in range(60) for left in range(20)
    )
