"""Code in README and docs runs, and their commands, settings, files and links exist."""

import re
from pathlib import Path

import pytest
import torch

from tests.compose import CONFIGS, settings
from tests.datasets.test_torch_datasets import packed

ROOT = CONFIGS.parent
OF_THE_TOP = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "data/README.md")]
PAGES = sorted([*OF_THE_TOP, *(ROOT / "docs").rglob("*.md")])
# Without data/README.md, whose commands have quotes: see test_config.py.
TEXT = "\n".join(page.read_text() for page in PAGES if page.parent.name != "data")
MAKEFILE = (ROOT / "Makefile").read_text()
# Words that identify the blocks of Python that a test runs. test_extending.py runs those that begin with a file's name.
RUN = ("from lpips_repro import LPIPS", "per_layer=True", "BAPPS2AFC", "# mine/", "# lpips_repro/evaluation/protocols/")

# Files that a user makes, and a file of another repository.
ELSEWHERE = {"configs/data/mine.yaml", "lpips_repro/metrics/mae.py", "tests/FR_benchmark_results.csv"}
PACKED = "data/packed/bapps/pil_bilinear/2afc-val-cnn"  # in docs/data.md


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def python_block(name: str, word: str) -> str:
    (block,) = (block for block in python_blocks(ROOT / name) if word in block)
    return block


@pytest.mark.parametrize("name", ["README.md", "docs/metric.md"])
def test_the_example_of_the_metric_runs(name, imagenet):
    names: dict = {}
    exec(python_block(name, "from lpips_repro import LPIPS"), names)
    assert names["distance"].shape == names["d0"].shape == names["d1"].shape == (8,)
    assert names["heatmap"].shape == (8, 1, 64, 64)


def test_the_example_of_layers_and_masks_runs(imagenet):
    names: dict = {}
    exec(python_block("docs/metric.md", "from lpips_repro import LPIPS"), names)
    exec(python_block("docs/metric.md", "per_layer=True"), names)
    assert names["layers"].shape == (5, 8)
    torch.testing.assert_close(names["layers"].sum(dim=0), names["distance"])
    assert names["inside"].shape == (8,)


def test_the_example_of_a_torch_dataset_runs_on_another_folder(tmp_path):
    folder, _ = packed(tmp_path, "2afc", count=60)
    names: dict = {}
    exec(python_block("docs/data.md", "BAPPS2AFC").replace(PACKED, str(folder)), names)
    assert names["batch"]["ref"].shape == (50, 3, 64, 64)
    assert len(names["batch"]["judge"]) == 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_python_is_run_by_a_test(page):
    for block in python_blocks(page):
        assert any(word in block for word in RUN), block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page):
    for target in re.findall(r"(?:\]\(|src=\")(?!https?:)([^)\"]+)[)\"]", page.read_text()):
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_repository_that_a_page_names_exist(page):
    tops = "lpips_repro|tests|configs|scripts|examples|docs|experiments/reference|.github|.ci"
    for name in re.findall(rf"`((?:{tops})/[\w./-]*)`", page.read_text()):
        assert (ROOT / name).exists() or name in ELSEWHERE, name


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180


def test_every_make_target_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE)) <= targets


def test_every_target_sets_up_the_environment_first_and_explains_itself():
    for target, rest in re.findall(r"^([a-z-]+):(.*)$", MAKEFILE, re.MULTILINE):
        assert target in ("setup", "help") or rest.split("##")[0].split()[0] == "setup", target
        assert "## " in rest, target


def test_every_override_named_composes():
    targets = {"eval-tables": "evaluate", "data": "dataset", "data-stats": "dataset", "data-verify": "dataset"}
    targets |= {"train": "train", "sparsity": "sparsity", "weights": "weights", "bench": "bench"}
    targets |= {"correlation": "correlation", "init-kmeans": "init_kmeans", "pretrain": "pretrain"}
    targets |= {"disagreements": "disagreements", "report": "report", "paper": "paper"}
    found = set()
    for target, variables in re.findall(r"make ([a-z-]+)((?: [A-Z_]+=(?:\"[^\"]*\"|[^\s`,:]+))+)", TEXT):
        if "hydra.searchpath" in variables:  # the recipes: test_extending.py
            continue
        overrides = []
        for name, quoted, plain in re.findall(r' ([A-Z_]+)=(?:"([^"]*)"|([^\s`,:]+))', variables):
            if name == "ARGS":
                overrides += [word for word in quoted.split() if not re.search("mae|mine|=FILE", word)]
            elif name in ("METHODS", "SPLITS"):
                overrides.append(f'{name.lower()}="{plain}"')
            elif name in ("NET", "VARIANT", "DATA", "TASK"):
                if plain != "mine":  # to be made by the user
                    overrides.append(f"{name.lower()}={plain}")
            else:
                assert name in re.findall(r"^([A-Z_]+) [?:]=", MAKEFILE, re.MULTILINE), name
        if target == "correlation":
            overrides = [word for word in overrides if not word.startswith("data=")]  # is in the name of a folder
        if target in targets:
            settings(targets[target], *overrides)
            found.add(target)
    assert {"eval-tables", "data", "train"} <= found
