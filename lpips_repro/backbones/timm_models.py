"""Networks of the package timm that return feature maps, as `timm/NAME`: `timm/resnet50`, `timm/test_vit`.

NAME is timm's name. Its tag, the part after the point, selects the preprocessing of those weights:
`timm/vit_base_patch16_224.mae` (ImageNet's mean and deviation) differs from timm's default for that network. The
feature maps are timm's, one per stage. For networks with a single resolution (vision transformers) they are the outputs
after a quarter, half, three quarters and all of the blocks. Position embeddings are interpolated to the image's size.
The smallest image side is the coarsest stride, or the smallest multiple of it, up to four, that the network accepts.

timm is optional: pip install "lpips_repro[timm]".
"""

import contextlib
import functools
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from lpips_repro.backbones.registry import FAMILIES, NotInstalledError, register_backbone
from lpips_repro.color import shift_and_scale
from lpips_repro.errors import UserError, likely_names

log = logging.getLogger(__name__)

BEGIN = "timm/"
# Settings with which networks with position embeddings accept images of any size. Others have one of them or none.
ANY_SIZE: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"dynamic_img_size": True},
    {},
)
MULTIPLES = (1, 2, 3, 4)
# Prefixes of other entries in checkpoints of self-supervised learning.
HEADS = ("head.", "fc.", "mask_token", "decoder_")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class TimmMaps(nn.Module):
    """timm's network up to its last feature map."""

    net: Any  # timm's network: its `feature_info` describes the maps

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net
        self.channels_last = str(getattr(net, "output_fmt", "")).endswith("NHWC")

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps (N, channels, H', W') of images (N, 3, H, W)."""
        maps = self.net(x)
        return [m.permute(0, 3, 1, 2) for m in maps] if self.channels_last else list(maps)


def register_timm(name: str) -> None:
    """Register the network `timm/NAME`.

    Raises:
        NotInstalledError: if timm is not installed.
        UserError: if timm has no such network, or if the network returns no feature maps or accepts only one image
            size.
    """
    timm, model = _timm(), name.removeprefix(BEGIN)
    if not timm.is_model(model):
        likely = [f"{BEGIN}{other}" for other in likely_names(model, timm.list_models())]
        remedy = f"did you mean {' or '.join(likely)}?" if likely else "timm.list_models() lists them all"
        raise UserError(f"net={name!r}: timm {timm.__version__} has no such network: {remedy}")
    with torch.device("meta"):  # only shapes: nothing is computed
        settings = _settings(timm, name, model)
        build = functools.partial(timm.create_model, model, features_only=True, **settings)
        net = build()
        whole = timm.create_model(model, **{k: v for k, v in settings.items() if k != "out_indices"}).state_dict()
        min_size = _min_size(name, TimmMaps(net).eval(), net.feature_info.channels())

    own = {_canonical(key): f"features.net.{key}" for key in net.state_dict()}

    def layers() -> TimmMaps:
        return TimmMaps(build())

    def rename(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {own.get(_canonical(key), key): value for key, value in state.items()}

    def fetch() -> dict[str, Tensor]:
        log.info("timm loads the weights of %s from its cache, or downloads them", model)
        _check_hub(net.pretrained_cfg.get("hf_hub_id"))
        state = TimmMaps(build(pretrained=True)).state_dict()
        return {f"features.{key}": value for key, value in state.items()}

    register_backbone(
        name,
        channels=tuple(net.feature_info.channels()),
        min_size=min_size,
        preprocess=_preprocess(*(tuple(net.pretrained_cfg[key]) for key in ("mean", "std"))),
        left_out=(*(key for key in whole if _canonical(key) not in own), *HEADS),
        fetch=fetch,
        rename=rename,
    )(layers)


FAMILIES[BEGIN] = register_timm


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError:
        raise NotInstalledError('timm is not installed: run pip install "lpips_repro[timm]"') from None
    return timm


def _check_hub(hub_id: str | None) -> None:
    """Raise the error of a request if weights are neither in the cache of the Hugging Face Hub nor can be downloaded.

    A download repeats requests that fail, for half a minute and with a warning each.

    Args:
        hub_id: the repository of the weights, or None if they are elsewhere.
    """
    if not hub_id:
        return
    import huggingface_hub as hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repository, _, revision = hub_id.partition("@")
    try:
        hub.snapshot_download(repository, revision=revision or None, local_files_only=True)
    except LocalEntryNotFoundError:
        with contextlib.suppress(EntryNotFoundError):  # an answer
            hub.get_hf_file_metadata(hub.hf_hub_url(repository, "config.json", revision=revision or None))


def _canonical(key: str) -> str:
    """A key in one spelling. If timm taps a network, it wraps it, or writes `_` instead of some points."""
    return key.removeprefix("model.").removeprefix("body.").replace("_", ".")


def _settings(timm: ModuleType, name: str, model: str) -> dict[str, Any]:
    """The settings to build the network with: for images of any size if possible, and the maps to return."""
    for settings in ANY_SIZE:
        try:
            net = timm.create_model(model, features_only=True, **settings)
        except TypeError:  # a setting that the network does not have
            continue
        except Exception as error:
            raise UserError(f"net={name!r}: timm returns no feature maps of it: {_first_line(error)}") from None
        blocks, strides = len(net.feature_info.info), set(net.feature_info.reduction())
        if len(strides) == 1 and blocks > 4:
            settings = settings | {"out_indices": [blocks * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]}
        return settings
    raise UserError(f"net={name!r}: timm returns no feature maps of it")


@torch.no_grad()
def _min_size(name: str, maps: TimmMaps, channels: list[int]) -> int:
    """The smallest multiple of the coarsest stride for which every map has at least one place."""
    stride = max(maps.net.feature_info.reduction())
    for size in (stride * multiple for multiple in MULTIPLES):
        try:
            shapes = [tuple(m.shape) for m in maps(torch.empty(1, 3, size, size))]
        except Exception as error:  # networks raise different errors
            reason = _first_line(error)
            continue
        if [shape[1] for shape in shapes] == channels and min(min(shape[2:]) for shape in shapes) > 0:
            return size
        reason = f"{size} x {size} gives maps of {shapes}"
    raise UserError(f"net={name!r}: no maps of images of {stride} to {size} pixels: {reason}: choose another network")


def _preprocess(mean: tuple[float, ...], std: tuple[float, ...]) -> Callable[[Tensor], Tensor] | None:
    """The preprocessing of the weights; None for ImageNet's mean and deviation, which the metric applies."""
    if (mean, std) == IMAGENET:
        return None

    def preprocess(images: Tensor) -> Tensor:
        return shift_and_scale((images + 1) / 2, mean, std)

    return preprocess


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
