import numpy as np
import pytest
import torch

from lpips_repro.config import EvaluateConfig, parse
from lpips_repro.errors import UserError
from lpips_repro.evaluation.distances.compute import Engine
from lpips_repro.evaluation.distances.precomputed import PrecomputedDistances
from lpips_repro.evaluation.distances.results import Results
from lpips_repro.evaluation.distances.store import DistanceStore
from lpips_repro.evaluation.methods.published import list_methods
from lpips_repro.evaluation.protocols.twoafc import twoafc_score
from tests.compose import settings
from tests.evaluation.distances.test_compute import packed


def test_distances_of_another_program_are_read_as_they_are(tmp_path):
    split = packed(tmp_path)
    lines = [f"{index},{index / 4},{1 - index / 4}" for index in range(len(split))]
    (tmp_path / f"{split.name.replace('/', '-')}.csv").write_text("index,d0,d1\n" + "\n".join(lines) + "\n")
    overrides = ("metric=[hdr_vdp]", f"metric.hdr-vdp.distances={tmp_path}", "net=[]", "variant=[]")
    (method,) = list_methods(parse(settings("evaluate", *overrides), EvaluateConfig))
    results = Results(Engine(torch.device("cpu")), DistanceStore(tmp_path / "store"), [split], 4)
    results.add([method])
    found = results.on(method, [split])[split.card["split"]]
    np.testing.assert_array_equal(found["d0"], np.arange(len(split)) / 4)
    np.testing.assert_array_equal(found["d1"], 1 - np.arange(len(split)) / 4)
    assert results.identity[method.label]["distances"] == str(tmp_path)


def test_digits_of_another_program_are_kept(tmp_path):
    split = packed(tmp_path)
    lines = [f"{index},1000000.01,1000000.02" for index in range(len(split))]
    (tmp_path / f"{split.name.replace('/', '-')}.csv").write_text("index,d0,d1\n" + "\n".join(lines) + "\n")
    found = PrecomputedDistances(tmp_path).read(split)
    assert found["d0"].dtype == np.float64
    assert (found["d0"] < found["d1"]).all()
    assert twoafc_score(found["d0"], found["d1"], split.votes) == pytest.approx(1 - split.votes.mean())


@pytest.mark.parametrize(
    "head", ["\ufeffindex,d0,d1\n", "index, d0, d1\n", " index ,d0 , d1 \r\n", "\ufeffindex, d0,d1\r\n"]
)
def test_excels_mark_and_spaces_in_the_header_are_no_error(tmp_path, head):
    split = packed(tmp_path)
    lines = [f" {index}, {index / 3}, 1" for index in range(len(split))]
    file = tmp_path / f"{split.name.replace('/', '-')}.csv"
    file.write_bytes((head + "\n".join(lines) + "\n").encode())
    np.testing.assert_array_equal(PrecomputedDistances(tmp_path).read(split)["d0"], np.arange(len(split)) / 3)


def test_without_a_folder_the_row_says_what_to_do():
    (method,) = list_methods(parse(settings("evaluate", "metric=[hdr_vdp]", "net=[]", "variant=[]"), EvaluateConfig))
    with pytest.raises(UserError, match=r"MATLAB.*set metric\.hdr-vdp\.distances=FOLDER"):
        method.build(Engine(torch.device("cpu")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory"),
        ("index,d\n0,1\n", "expected the columns index,d0,d1"),
        ("index,d0,d1\n0,1,2\n", r"1 lines: expected 5, one for each example of 2afc/val/"),
        ("index,d0,d1\n" + "".join(f"{i},1,2\n" for i in range(6)), r"6 lines: expected 5"),
        *(
            (f"index,d0,d1\n0,1,2\n\n1,{value},2\n", f"line 4: '{value}': expected a finite number")
            for value in ("inf", "nan", "1e999", "1_000", "0x1", "")
        ),
        ("index,d0,d1\n0,1,2\n1,2\n", "line 3: 2 cells: expected 3"),
        (
            "index,d0,d1\n" + "".join(f"{i},1,2\n" for i in ("0", "1", "2", "3", "4_0")),
            "'4_0': expected a finite number",
        ),
        (
            "index,d0,d1\n" + "".join(f"{i + 1},1,2\n" for i in range(5)),
            "the column index differs from the items of 2afc/val/cnn",
        ),
    ],
)
def test_a_file_that_does_not_fit_the_split_is_named(tmp_path, text, message):
    split = packed(tmp_path)
    assert len(split) == 5
    if text is not None:
        (tmp_path / f"{split.name.replace('/', '-')}.csv").write_text(text)
    with pytest.raises(UserError, match=f"{split.name.replace('/', '-')}.csv: {message}"):
        PrecomputedDistances(tmp_path).read(split)
