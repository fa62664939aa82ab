"""`make train` in this process: every variant of every net, on the CPU and on CUDA where there is a device."""

import csv
import json

import lpips
import pytest
import torch

from lpips_repro import LPIPS
from lpips_repro.backbones import BACKBONES, gaussian_state, torchvision_state
from lpips_repro.training.run import train
from tests.compose import settings
from tests.training.tiny import metrics

NETS = ("alex", "squeeze", pytest.param("vgg", marks=pytest.mark.slow))
VARIANTS = ("lin", "tune", "scratch")
SPLITS = ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")
# Adam moves a parameter that learns by about the learning rate, 1e-3, a step.
MOVED = 1e-4
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    """Overrides for mini with 60 triplets to learn from, packed once for all runs."""
    root = tmp_path_factory.mktemp("mini")
    few = ("data.train=20", "data.val=10", "data.jnd=10", "data.autoencoders=2", "data.autoencoder_steps=2")
    return ("data=mini", f"data.root={root}", "data.workers=1", *few)


def run(folder, net, variant, *overrides):
    """Train one epoch of six steps from Gaussian weights (scratch: torchvision's); the run's folder."""
    train(
        settings(
            "train",
            *(f"net={net}", f"net.{net}.init=gaussian", f"variant={variant}", "trainer.batch_size=10", "bootstrap=20"),
            *("trainer.epochs=1", "trainer.decay_epochs=0", "trainer.learning_rate=1e-3", "download=false"),
            *(f"experiments={folder}/experiments", f"features={folder}/features", *overrides),
        )
    )
    (made,) = (folder / "experiments").glob("mini-*")
    return made


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("net", NETS)
def test_one_epoch_on_mini(net, variant, device, mini, tmp_path):
    folder = run(tmp_path, net, variant, f"device={device}", *mini)

    state = torch.load(folder / "weights.pth", weights_only=True)
    metric = LPIPS.from_official(net, "0.1", state, variant)
    begin = (torchvision_state if variant == "scratch" else gaussian_state)(net, 0)
    moved = {key: (value - begin[key]).abs().max() for key, value in metric.backbone.state_dict().items()}
    assert begin.keys() == moved.keys()
    if variant == "lin":
        assert max(moved.values()) == 0
    else:
        assert sum(change > MOVED for change in moved.values()) >= 0.9 * len(moved)
    lin = [state[f"lin{layer}.model.1.weight"] for layer in range(len(BACKBONES[net].channels))]
    assert min(weight.min() for weight in lin) >= 0

    # The released package gives the same distances with these weights.
    released = lpips.LPIPS(net=net, pnet_rand=True, model_path=str(folder / "weights.pth"), verbose=False, lpips=True)
    released.load_state_dict(state, strict=True)
    x, y = torch.rand(2, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(metric(x, y), released.eval()(x, y).flatten(), rtol=1e-5, atol=1e-6)

    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["val_2afc"]) == {*SPLITS, "mean"}
    validations = [row for row in metrics(folder) if row["val_mean"]]
    assert [int(row["epoch"]) for row in validations] == [0, 1]
    assert float(validations[-1]["val_mean"]) == pytest.approx(summary["val_2afc"]["mean"], abs=1e-3)
    with (folder / "twoafc.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2  # before and after
    for split in SPLITS:
        assert float(rows[1][split]) == pytest.approx(summary["val_2afc"][split], abs=1e-3)
