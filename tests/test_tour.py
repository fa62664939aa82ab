"""The notebook of the docs runs from the first to the last cell."""

import shutil

import pytest

from tests.compose import CONFIGS

ROOT = CONFIGS.parent
NEEDED = ("lpips_repro", "configs", "scripts", "experiments/reference", "docs/tour.ipynb")


def read():
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(ROOT / "docs/tour.ipynb", as_version=4)


def test_the_notebook_is_committed_without_outputs():
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert len(cells) >= 6
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.fixture
def repository(tmp_path):
    """A copy of the parts of the repository that the notebook needs, so that it does not write to this repository."""
    for name in NEEDED:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place)
    return tmp_path


@pytest.mark.slow
def test_the_notebook_runs(repository, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(repository))
    monkeypatch.delenv("LPIPS_REPRO_WEIGHTS", raising=False)
    notebook = read()
    resources = {"metadata": {"path": str(repository / "docs")}}
    nbclient.NotebookClient(notebook, timeout=1800, resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "LPIPS: blurred" in printed and "SIMULATED" in printed
    assert any(
        "2afc/val/superres: 2AFC score (%)" in output.get("data", {}).get("text/plain", "") for output in outputs
    )
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) == 3  # the map, the loss, the bars
    assert (repository / "experiments/tour/twoafc.csv").is_file()
