"""Weights by stacked k-means (`make init-kmeans`): a state dict, its recipe, and a picture of its filters."""

import hashlib
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from PIL import Image
from tabulate import tabulate
from torch import Tensor, nn
from torchvision.utils import make_grid

from lpips_repro.backbones import BACKBONES, gaussian_state
from lpips_repro.config import KmeansConfig, parse
from lpips_repro.config.checks import check_writable
from lpips_repro.errors import UserError, check_choice
from lpips_repro.files import keep_damaged, read_json, write_picture
from lpips_repro.metrics.lpips import LPIPS
from lpips_repro.photographs.crops import fill_crops, split_photographs
from lpips_repro.photographs.left_out import warn_of, without_unusable
from lpips_repro.pretraining.kmeans import check_row, stack_kmeans
from lpips_repro.pretraining.rates_of_change import equalise_rates, rates_of_change, relative
from lpips_repro.progress import Progress
from lpips_repro.provenance import METRICS, provenance
from lpips_repro.runs.checkpoint import save_whole
from lpips_repro.weights.recipe import read_recipe, recipe_file, write_recipe
from lpips_repro.weights.state_dicts import read_state

log = logging.getLogger(__name__)

SIZE = 227  # side of the crops, as in Caffe
HELD_OUT = 64  # held-out crops, on which rates of change are reported
CODE = (
    "photographs/crops.py",
    *(f"pretraining/{name}.py" for name in ("init_kmeans", "kmeans", "rates_of_change")),
)
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pillow")
ZOOM = 4  # magnification of the filters in their picture


def init_kmeans(composed: DictConfig) -> None:
    """Make the weights of the composed settings (`configs/init_kmeans.yaml`), unless they exist.

    Raises:
        UserError: if a setting or the photographs cannot be used.
    """
    cfg = parse(composed, KmeansConfig)
    ((name, net),) = cfg.net.items()
    check_choice(f"net.{name}.backbone", net.backbone, BACKBONES)
    # The metric preprocesses images as in an evaluation.
    metric = LPIPS(net.backbone, "off_the_shelf", weights=gaussian_state(net.backbone, cfg.seed))
    check_row(net.backbone, metric.backbone.features)
    assert net.weights is not None  # `KmeansConfig` has checked it
    path = Path(net.weights)
    _keep_if_damaged(path)
    known = read_recipe(path)
    if path.suffix != ".pth" or (path.is_file() and (known is None or "patches" not in known)):
        raise UserError(f"{path}: not weights of k-means made here, or not a .pth file: set net.{name}.weights=NEW.pth")
    check_writable(f"net.{name}.weights", path.parent)
    folder = Path(cfg.images) if cfg.images else None
    crops, left_out = without_unusable(lambda left_out: draw_crops(folder, left_out, cfg.crops))
    warn_of(left_out, recipe_file(path))
    identity = {
        "backbone": net.backbone,
        "crops": {phase: f"{len(of)} {hashlib.sha256(in_order(of).data).hexdigest()}" for phase, of in crops.items()},
        "patches": cfg.patches,
        "seed": cfg.seed,
        **provenance(*METRICS, *CODE, libraries=PACKAGES),
    }
    if known and {key: known.get(key) for key in identity} == identity:
        log.info("%s: already there, with the same photographs and settings", path)
        return
    if known:
        log.warning("%s: weights of other photographs or settings are replaced: their command makes them again", path)
    record = fill_backbone(metric, crops["train"], cfg.patches, cfg.seed)
    held_out = rates_of_change(metric.backbone.features, _images(metric, crops["held_out"]), cfg.seed + 1)
    record["rates_held_out"] = relative(held_out).tolist()
    record["left_out"] = left_out
    state = {key: value.contiguous() for key, value in metric.backbone.state_dict().items()}
    save_whole(path, state)
    write_recipe(path, f"made here from {len(crops['train'])} crops", {**identity, **record})
    picture = path.with_name(f"{path.stem}-filters.png")
    write_picture(picture, picture_filters(metric))
    _report(record)
    print(f"written: {path}, {recipe_file(path)}, {picture}")


def _keep_if_damaged(path: Path) -> None:
    """Set aside unreadable weights whose recipe says that they were made here."""
    try:
        made_here = "patches" in read_json(recipe_file(path), finite=False)
    except (OSError, ValueError, TypeError):
        return
    if made_here and path.is_file():
        try:
            read_state(path)
        except UserError:
            keep_damaged(path, said=f"{path}: damaged", then="made again")


def fill_backbone(metric: LPIPS, crops: np.ndarray, patches: int, seed: int) -> dict[str, Any]:
    """Set the parameters of a metric's backbone. They do not depend on the order of the crops.

    Args:
        metric: a metric whose backbone passes `check_row`; changed in place.
        crops: uint8 (N, H, W, 3): every other crop gives patches, the others are for normalization.
        patches: number of patches of each layer's input.
        seed: seed of all random numbers.

    Returns:
        The filters and patches of each convolution, and rates of change over their geometric mean: "rates_before" the
        layers are scaled, and after each of the "rounds".
    """
    layers = metric.backbone.features
    images = _images(metric, in_order(crops))
    filters = []
    with Progress(total=sum(isinstance(layer, nn.Conv2d) for layer in layers), desc="k-means", unit="layer") as bar:
        for layer in stack_kmeans(layers, images[::2], images[1::2], patches, seed):
            filters.append(layer)
            bar.update()
    with Progress(desc="equal rates of change", unit="round") as bar:
        rates = []
        for now in equalise_rates(layers, images[1::2], seed):
            rates.append(now.tolist())
            bar.set_postfix_str(f"largest departure {max(abs(rate - 1) for rate in rates[-1]):.2g}")
            bar.update()
    return {"layers": filters, "rates_before": rates[0], "rounds": rates[1:]}


def draw_crops(
    folder: Path | None, left_out: Mapping[str, str], count: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Crops, uint8 (N, SIZE, SIZE, 3), to learn from ("train") and of other photographs ("held_out").

    Args:
        folder: of photographs; None for those of the mini dataset.
        left_out: photographs of it that are not used.
        count: crops to learn from, at least; of as many photographs as can be.

    Returns:
        The crops, and the photographs that cannot be used: their reasons by name.
    """
    crops: dict[str, np.ndarray] = {}
    unusable: dict[str, str] = {}
    for (phase, files), wanted in zip(split_photographs(folder, left_out).items(), (count, HELD_OUT), strict=True):
        if len(files) > wanted:
            files = [files[place] for place in np.linspace(0, len(files) - 1, wanted).astype(int)]
        each = -(-wanted // len(files))
        crops[phase] = np.empty((each * len(files), SIZE, SIZE, 3), np.uint8)
        unusable |= fill_crops(crops[phase], files, 0, each, folder)[1]
    return crops, unusable


def in_order(crops: np.ndarray) -> np.ndarray:
    """Crops ordered by content, so that nothing depends on the order of reading."""
    return crops[sorted(range(len(crops)), key=lambda number: crops[number].tobytes())]


def picture_filters(metric: LPIPS) -> Image.Image:
    """The first convolution's filters as weights of red, green and blue. Gray is zero."""
    weight = metric.backbone.features[0].weight.detach()
    # The gradient through the preprocessing, which may change the order of colors.
    pixels = torch.zeros(weight.shape, requires_grad=True)
    (gradient,) = torch.autograd.grad((metric.preprocess((pixels,)) * weight).sum(), pixels)
    filters = (gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True) + 1) / 2
    grid = make_grid(filters, nrow=round(math.sqrt(1.5 * len(filters))), padding=1, pad_value=1)
    picture = Image.fromarray((grid.permute(1, 2, 0) * 255).round().byte().numpy())
    return picture.resize((picture.width * ZOOM, picture.height * ZOOM), Image.Resampling.NEAREST)


def _images(metric: LPIPS, crops: np.ndarray) -> Tensor:
    """Crops as the input of the backbone."""
    return metric.preprocess((torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1,))


def _report(record: dict[str, Any]) -> None:
    """Print the rates of each layer."""
    columns = {"before": record["rates_before"], "after": record["rounds"][-1], "held out": record["rates_held_out"]}
    rows = [
        {"layer": f"conv{number}", **layer, **{key: f"{rates[number - 1]:.3g}" for key, rates in columns.items()}}
        for number, layer in enumerate(record["layers"], 1)
    ]
    print(
        "Rates of change over their geometric mean, before and after the layers are scaled, and on other photographs.\n"
    )
    print(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True))
