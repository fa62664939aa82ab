"""Checks and conversions of images that all metrics share."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lpips_repro.metrics.tracing import is_recorded, is_transformed, quiet_checks

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
GREY_OR_RGB = (1, 3)  # channels
# Rounding may move a value out of the range: in a conversion, even through bfloat16 ...
RANGE_TOLERANCE = 1e-3
# ... or in the image's own dtype, by this many times its epsilon.
LAST_DIGITS = 2


def check_images(
    x: Tensor,
    y: Tensor,
    low: float,
    high: float,
    min_size: int = 1,
    *,
    channels: Sequence[int] = (3,),
    validate: bool = True,
) -> None:
    """Raise ValueError unless x and y are two equally sized batches of images in [low, high].

    Args:
        x, y: floating point tensors of shape (N, C, H, W), of one dtype (under autocast any), on one device.
        low, high: ends of the value range.
        min_size: smallest allowed H and W.
        channels: allowed C.
        validate: whether to check the values, with one read of the device. Values that cannot be read are not checked:
            see `lpips_repro.metrics.tracing.is_recorded`.
    """
    images = {"first": x, "second": y}
    with quiet_checks():
        check_forms(images, min_size, channels)
    if validate:
        check_ranges(images, read_extremes(images), low, high)


def check_forms(images: Mapping[str, Tensor], min_size: int = 1, channels: Sequence[int] = (3,)) -> None:
    """Raise ValueError if an image has a wrong type, dtype, shape or size, or if images differ in these or in device.

    Args:
        images: the images by the name that messages use; min_size, channels: as for `check_images`.
    """
    for name, image in images.items():
        _check_form(name, image, min_size, channels)
    (_, first), *others = images.items()
    for _, other in others:
        if first.shape != other.shape:
            raise ValueError(f"images have shapes {_shape(first)} and {_shape(other)}: expected the same shape")
        if first.device != other.device or (first.dtype != other.dtype and not is_autocast(first)):
            raise ValueError(
                f"images are {first.dtype} on {first.device} and {other.dtype} on {other.device}: expected one dtype"
                " and device"
            )


def _check_form(name: str, image: Tensor, min_size: int, channels: Sequence[int]) -> None:
    if not isinstance(image, Tensor):
        raise ValueError(f"{name} image is a {type(image).__name__}: expected a torch.Tensor")
    if image.dtype not in DTYPES:
        raise ValueError(
            f"{name} image has dtype {image.dtype}: expected a floating point tensor (divide uint8 by 255 first)"
        )
    if image.ndim != 4 or image.shape[1] not in channels:
        remedy = ""
        if image.ndim == 4 and image.shape[1] == 1:
            remedy = ": give an image of one channel as image.expand(-1, 3, -1, -1)"
        raise ValueError(f"{name} image has shape {_shape(image)}: expected (N, {_either(channels)}, H, W){remedy}")
    if image.shape[0] == 0:
        raise ValueError(f"{name} image has shape {_shape(image)}: expected at least one image")
    if min(image.shape[2:]) < min_size:
        raise ValueError(f"{name} image is {image.shape[2]} x {image.shape[3]}: expected sides of at least {min_size}")


def broadcast(images: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The images, with batches of one image repeated to the size of the others. All else is returned unchanged."""
    batches = {name: image for name, image in images.items() if isinstance(image, Tensor) and image.ndim == 4}
    single = [name for name, batch in batches.items() if batch.shape[0] == 1]
    counts = [batch.shape[0] for name, batch in batches.items() if name not in single]
    if not single or not counts:
        return dict(images)
    return {**images, **{name: batches[name].expand(counts[0], -1, -1, -1) for name in single}}


def read_extremes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    """The least and the largest value of each tensor, with one read of the device.

    Returns:
        (least, largest) by name; empty if values cannot be read: see `lpips_repro.metrics.tracing.is_recorded`.
    """
    if any(is_recorded(tensor) for tensor in tensors.values()):
        return {}
    # Converted before they are stacked: autocast cannot combine some half dtypes. MPS has no float64.
    dtypes = {name: torch.float32 if tensor.device.type == "mps" else torch.float64 for name, tensor in tensors.items()}
    pairs = [[value.to(dtypes[name]) for value in tensor.detach().aminmax()] for name, tensor in tensors.items()]
    found = torch.stack([torch.stack(pair) for pair in pairs])
    # torch 2.6 reads only single numbers of a transformed tensor.
    extremes = [[value.item() for value in pair] for pair in found] if is_transformed(found) else found.tolist()
    return {name: (least, most) for name, (least, most) in zip(tensors, extremes, strict=True)}


def check_ranges(
    images: Mapping[str, Tensor], extremes: Mapping[str, tuple[float, float]], low: float, high: float
) -> None:
    """Raise ValueError unless all values are in [low, high], up to rounding.

    Args:
        images: the images by the name that messages use.
        extremes: the result of `read_extremes` for them. If it is empty, nothing is checked.
        low, high: ends of the value range.
    """
    for name, image in images.items() if extremes else ():
        least, most = extremes[name]
        tolerance = max(RANGE_TOLERANCE, LAST_DIGITS * torch.finfo(image.dtype).eps)
        # Written so that NaN fails too.
        if not (least >= low - tolerance and most <= high + tolerance):
            raise ValueError(
                f"{name} image has values in [{least:g}, {most:g}]: expected [{low:g}, {high:g}]: scale it, clip it"
                f" with .clamp({low:g}, {high:g}), or switch this check off: validate=False (LPIPS: in its constructor)"
            )


def is_autocast(image: Tensor) -> bool:
    """Whether autocast is on for the device of an image."""
    kind = image.device.type
    # torch 2.6 cannot compile is_autocast_available. Devices that code is compiled for have autocast.
    return (torch.compiler.is_compiling() or torch.amp.is_autocast_available(kind)) and torch.is_autocast_enabled(kind)


def as_rgb(image: Tensor) -> Tensor:
    """Images of one channel as RGB with three equal channels; RGB images unchanged."""
    return image.expand(-1, 3, -1, -1)


def at_least_float32(image: Tensor) -> Tensor:
    """Half precision images as float32, in which the classic metrics compute; other images unchanged."""
    return image.to(torch.promote_types(image.dtype, torch.float32))


def _shape(image: Tensor) -> tuple[int, ...]:
    return tuple(image.shape)


def _either(channels: Sequence[int]) -> str:
    return " or ".join(map(str, channels))
