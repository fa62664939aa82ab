"""The registry of pretext tasks, their base class, and functions that they share, such as views of crops.

A task is a class, a dataclass of its settings, and a file in `configs/task/`:

    @dataclass
    class RotationSettings(TaskConfig):
        hidden: int

    @register_task("rotation", RotationSettings)
    class Rotation(PretextTask):
        def __init__(self, *, seed, side, hidden): # `side`, which all tasks have, and its own settings
            ...

`configs/task/rotation.yaml` then has `name: rotation`, the settings of `TaskConfig`, and `hidden`. If the class is in a
file outside `pretraining/tasks/`, the YAML file names it by `module: FILE.py`. A YAML file outside `configs/`, such as
FOLDER/task/rotation.yaml, is found with `hydra.searchpath=[file:///FOLDER]`.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from lpips_repro.backbones import Backbone, gaussian_state
from lpips_repro.config import TaskConfig
from lpips_repro.config.choices import register_settings
from lpips_repro.devices import send

BENT = 0.5  # standard deviation of the log of the exponent of a recolored channel


class Score(NamedTuple):
    """A score of a task, and its value by chance, each a mean over examples."""

    value: float
    chance: float


class PretextTask(nn.Module):
    """The base class of tasks: a backbone and layers on top of it.

    With several processes, `loss` gets a share of the examples of a step, and batch normalization uses those of all
    shares. So the loss must be a mean over examples, must not compare examples in another way, and must use all layers
    with batch normalization in every call. Its random numbers, as of dropout, are others in each process. `score`
    always gets whole batches.

    Attributes:
        shown: names of the other numbers that `loss` returns.
        scores: names of the scores that `score` returns.

    Args:
        backbone: name of the network, which starts from Gaussian weights; other layers start from PyTorch's defaults.
        seed: seed of the Gaussian weights.
    """

    shown: tuple[str, ...]
    scores: tuple[str, ...]

    def __init__(self, backbone: str, seed: int):
        super().__init__()
        self.backbone = Backbone(backbone, gaussian_state(backbone, seed))

    def draw(self, crops: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Examples of the task: the network's inputs and the right answers, on the device of the crops.

        Both have one entry per example, often one example per crop.

        Args:
            crops: uint8 (N, S, S, 3).
            generator: a generator of the CPU, for all random numbers.
        """
        raise NotImplementedError

    def loss(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of examples, and other numbers to show, by name."""
        raise NotImplementedError

    def score(self, given: Tensor, wanted: Tensor) -> dict[str, Score]:
        """The scores of examples, by name; higher is better."""
        raise NotImplementedError


TASKS: dict[str, type[PretextTask]] = {}

Task = TypeVar("Task", bound=type[PretextTask])


def register_task(name: str, settings: type[TaskConfig]) -> Callable[[Task], Task]:
    """Return a decorator that registers a class with its dataclass of settings; UserError if the name is taken."""

    def register(task: Task) -> Task:
        register_settings("task", name, settings)
        TASKS[name] = task
        return task

    return register


def draw_views(crops: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square at a random place of each crop, mirrored with probability 1/2.

    Args:
        crops: uint8 (N, S, S, 3); side: side of the square.
        generator: a generator of the CPU.

    Returns:
        RGB images (N, 3, side, side) in [-1, 1], channels last.
    """
    count, room = len(crops), crops.shape[1] - side + 1
    corner = torch.randint(room, (count, 2, 1), generator=generator)
    mirrored = torch.rand((count, 1), generator=generator) < 0.5
    corner, mirrored = send_draws(crops.device, corner, mirrored)
    number, along = (torch.arange(length, device=crops.device) for length in (count, side))
    rows, columns = corner[:, 0] + along, corner[:, 1] + torch.where(mirrored, along.flip(0), along)
    views = crops[number[:, None, None], rows[:, :, None], columns[:, None, :]]
    return views.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def recolour(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Images with changed colors, since a few photographs do not have the colors of all others.

    Args:
        images: RGB (N, 3, H, W) in [-1, 1].
        share: share of changed images, whose channels are permuted and made lighter or darker.
        generator: a generator of the CPU.
    """
    count = len(images)
    places = torch.rand((count, 3), generator=generator).argsort(dim=1)
    exponents = torch.randn((count, 3, 1, 1), generator=generator).mul_(BENT).exp_()
    changed = torch.rand((count, 1, 1, 1), generator=generator) < share
    places, exponents, changed = send_draws(images.device, places, exponents, changed)
    permuted = images[torch.arange(count, device=images.device)[:, None], places]
    return torch.where(changed, ((permuted + 1) / 2).clamp(0, 1) ** exponents * 2 - 1, images)


def send_draws(device: torch.device, *draws: Tensor) -> list[Tensor]:
    """Random numbers from the CPU on a device, in one copy that does not wait.

    Args:
        device: the device to send them to.
        draws: tensors (N, ...) for the same N examples, of dtypes that float64 represents exactly.

    Returns:
        The same values, shapes and dtypes.
    """
    together = torch.cat([draw.double().view(len(draw), -1) for draw in draws], dim=1)
    parts = send(together, device).split([draw[0].numel() for draw in draws], dim=1)
    return [part.reshape(draw.shape).to(draw.dtype) for part, draw in zip(parts, draws, strict=True)]
