"""The share of lin weights that are zero, for official weights, training runs, and other files."""

import csv
import json

import pytest
import torch

from lpips_repro.errors import UserError
from lpips_repro.metrics.lpips.sparsity import lin_layers, shares_below
from lpips_repro.report.sparsity import write_sparsity
from lpips_repro.weights.folder import WeightsNotFoundError
from lpips_repro.weights.official_lin import official_lin_state
from tests.compose import settings

# PAPER.md: v0.0 has the shares of the paper's Figure 10 exactly.
FIGURE10 = {"0.0": [79.7, 71.4, 56.8, 46.5, 27.7], "0.1": [81.2, 69.8, 56.5, 37.9, 22.3]}


def write(tmp_path, *overrides):
    """Write the table; returns its rows by label and source. `tmp_path` is the folder of runs."""
    write_sparsity(settings("sparsity", f"experiments={tmp_path}", "download=false", *overrides))
    with (tmp_path / "sparsity/sparsity.csv").open(newline="") as file:
        return {(row["label"], row["source"]): row for row in csv.DictReader(file)}


def finished_run(tmp_path, state, data="mini", name="mini-alex-lin-v0.1-seed3", config=None):
    """The folder of a run, as `make train` writes it."""
    folder = tmp_path / name
    folder.mkdir()
    torch.save(state, folder / "weights.pth")
    summary = {"net": "alex", "backbone": "alex", "variant": "lin", "version": "0.1", "seed": 3, "data": data}
    summary["splits"] = {"2afc/val/cnn": "12 triplets 0123456789ab"}
    (folder / "summary.json").write_text(json.dumps(summary))
    if config:
        (folder / "config.yaml").write_text(config)
    return folder


@pytest.fixture
def state():
    """Lin weights of two layers, half and a quarter of them below the bound, and a key of something else."""
    halves, quarters = torch.tensor([0.0, 0.0009, 0.001, 1.0]), torch.tensor([0.0, 1, 1, 1, 1, 1, 1, 0.0])
    return {
        "lin0.model.1.weight": halves.view(1, -1, 1, 1),
        "lin1.model.1.weight": quarters.view(1, -1, 1, 1),
        "scaling_layer.shift": torch.zeros(3),
    }


@pytest.mark.parametrize("version", FIGURE10)
def test_official_alex_weights_have_the_known_shares(version):
    layers, _ = shares_below(lin_layers(official_lin_state("alex", version, download=False)))
    assert [round(share, 1) for share in layers] == FIGURE10[version]


def test_the_share_over_all_counts_every_weight_alike(state):
    assert shares_below(lin_layers(state)) == ([50.0, 25.0], pytest.approx(100 * 4 / 12))


def test_all_official_weights_and_the_paper_have_rows(tmp_path, capsys):
    rows = write(tmp_path)
    official = [(f"{net} lin v{version}", "official") for net in ("alex", "squeeze", "vgg") for version in FIGURE10]
    assert list(rows) == [("alex lin", "paper, Figure 10"), *official]
    paper, ours = rows["alex lin", "paper, Figure 10"], rows["alex lin v0.0", "official"]
    for layer, share in enumerate(FIGURE10["0.0"], 1):
        assert paper[f"layer{layer}"] == ours[f"layer{layer}"] == str(share)
    assert rows["squeeze lin v0.1", "official"]["layer7"] != ours["layer7"] == ""
    printed, markdown = capsys.readouterr().out, (tmp_path / "sparsity/sparsity.md").read_text()
    for text in (printed, markdown):
        assert "79.7" in text
        assert "SIMULATED" not in text


def test_missing_official_weights_are_a_row_with_the_reason(tmp_path, monkeypatch, capsys):
    def none_of_vgg(net, version, download):
        if net == "vgg":
            raise WeightsNotFoundError("no official lin weights of vgg on this computer: run `make weights`")
        return official_lin_state(net, version, download)

    monkeypatch.setattr("lpips_repro.report.sparsity.official_lin_state", none_of_vgg)
    rows = write(tmp_path)
    vgg = rows["vgg lin v0.1", "official"]
    assert vgg["note"] == "not run: no official lin weights of vgg on this computer: run `make weights`"
    assert vgg["all"] == ""
    assert rows["squeeze lin v0.1", "official"]["all"] != ""
    assert "vgg lin v0.0: not run: no official lin weights of vgg on this computer" in capsys.readouterr().out


def test_a_finished_run_is_a_row_that_names_its_data_seed_and_folder(tmp_path, state):
    finished_run(tmp_path, state, data="bapps", name="bapps-alex-lin-v0.1-seed3")
    row = write(tmp_path)["alex lin v0.1", "trained here on bapps, seed 3, bapps-alex-lin-v0.1-seed3"]
    assert (row["layer1"], row["layer2"], row["layer3"], row["all"]) == ("50.0", "25.0", "", "33.3")


def test_an_unfinished_run_has_no_row(tmp_path, state):
    (finished_run(tmp_path, state) / "summary.json").unlink()
    assert not any("trained here" in source for _, source in write(tmp_path))


@pytest.mark.parametrize(("data", "config"), [("mini", None), ("folder", "data: {name: folder, observers: simulated}")])
def test_every_output_names_simulated_judgments(tmp_path, state, capsys, data, config):
    finished_run(tmp_path, state, data, config=config)
    (source,) = (source for _, source in write(tmp_path) if "trained here" in source)
    assert f"trained here on {data} (SIMULATED judgments), seed 3" in source
    for text in (capsys.readouterr().out, (tmp_path / "sparsity/sparsity.md").read_text()):
        assert text.count("SIMULATED judgments") == 2
        assert "tell nothing about human vision" in text


@pytest.mark.parametrize("config", [b"\xff", b"a: [", b"5", b"data: [1]", b"data: {observers: '${x}'}"])
def test_a_run_with_damaged_settings_is_an_error_that_names_the_file(tmp_path, state, config):
    (finished_run(tmp_path, state, "folder") / "config.yaml").write_bytes(config)
    with pytest.raises(UserError, match=r"seed3/config.yaml: cannot be read, .*: run the command in \S*run.json again"):
        write(tmp_path)


def test_a_run_with_damaged_weights_is_a_row_with_the_reason(tmp_path, state):
    (finished_run(tmp_path, state) / "weights.pth").write_bytes(b"")
    (row,) = (row for (_, source), row in write(tmp_path).items() if "trained here" in source)
    assert row["note"].startswith(f"not run: {tmp_path}/mini-alex-lin-v0.1-seed3/weights.pth: damaged: ")


def test_a_file_of_the_user_has_a_row(tmp_path, state):
    torch.save(state, tmp_path / "mine.pth")
    row = write(tmp_path, f"weights=[{tmp_path}/mine.pth]")[f"{tmp_path}/mine.pth", "file asked for"]
    assert (row["layer1"], row["layer2"], row["all"]) == ("50.0", "25.0", "33.3")


def test_a_file_of_the_user_without_lin_weights_is_an_error_that_names_it(tmp_path):
    with pytest.raises(UserError, match=r"absent.pth: no such weights file"):
        write(tmp_path, f"weights=[{tmp_path}/absent.pth]")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "backbone.pth")
    with pytest.raises(UserError, match=r"backbone.pth: no lin weights found: expected lin0.model.1.weight"):
        write(tmp_path, f"weights=[{tmp_path}/backbone.pth]")


def test_figure10_has_only_official_alex_version_0_0(tmp_path, state):
    finished_run(tmp_path, state)
    write_sparsity(settings("sparsity", "experiment=figure10", f"experiments={tmp_path}", "download=false"))
    with (tmp_path / "figure10/sparsity.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["alex lin", "alex lin v0.0"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("versions=[0.2]", "versions='0.2': expected one of 0.0, 0.1"),
        ("name=../x", "name=../x: expected letters, digits"),
        ("net=[]", "nothing to describe"),
        ("+nets=[alex]", "nets: unknown setting: expected one of net, versions"),
    ],
)
def test_an_invalid_setting_is_an_error(tmp_path, override, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path, override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("weights=[/absent.pth]", "/absent.pth: no such weights file"),
        ("versions=[0.2]", "versions='0.2'"),
        ("experiments={}/file/x", "file/x/sparsity: Not a directory"),
    ],
)
def test_settings_are_checked_before_official_weights_are_fetched(tmp_path, monkeypatch, override, message):
    monkeypatch.setattr("lpips_repro.report.sparsity.official_lin_state", lambda *_: pytest.fail("fetched"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        write_sparsity(settings("sparsity", f"experiments={tmp_path}", override.format(tmp_path)))
