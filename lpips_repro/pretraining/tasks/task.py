"""The pretext tasks by name: what each gives the loop, and what they share, such as views of crops.

A task is a class with a dataclass of its settings, and a file in `configs/task/`:

    @dataclass
    class RotationSettings(TaskConfig):
        hidden: int

    @register_task("rotation", RotationSettings)
    class Rotation(PretextTask):
        def __init__(self, *, seed, side, hidden):    # `side` of all tasks, and its own settings
            ...

`configs/task/rotation.yaml` then has `name: rotation`, what `TaskConfig` names, and `hidden`. A class in a file outside
`pretraining/tasks/` is named there by `module: FILE.py`, and a YAML file outside `configs/`, as
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

BENT = 0.5  # standard deviation of the logarithm of the exponent that a recoloured channel is raised to


class Score(NamedTuple):
    """How well a task is solved, and how well without looking: a mean over the examples each."""

    value: float
    chance: float


class PretextTask(nn.Module):
    """A backbone, what is put on top of it for the task, and the task itself.

    Attributes:
        shown: names of the numbers that `loss` gives beside the loss.
        scores: names of the scores that `score` gives.

    Args:
        backbone: name of the network that learns, from Gaussian weights; what is put on top begins as PyTorch makes it.
        seed: of the Gaussian weights.
    """

    shown: tuple[str, ...]
    scores: tuple[str, ...]

    def __init__(self, backbone: str, seed: int):
        super().__init__()
        self.backbone = Backbone(backbone, gaussian_state(backbone, seed))

    def draw(self, crops: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Examples of the task: what the network is given and what it is to answer, on the device of the crops.

        Args:
            crops: uint8 (N, S, S, 3).
            generator: of the CPU, for all that is drawn.
        """
        raise NotImplementedError

    def loss(self, given: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of examples, whose gradient is what is learned from, and numbers to be shown with it."""
        raise NotImplementedError

    def score(self, given: Tensor, wanted: Tensor) -> dict[str, Score]:
        """How well examples are solved, by name; a higher value is better."""
        raise NotImplementedError


TASKS: dict[str, type[PretextTask]] = {}

Task = TypeVar("Task", bound=type[PretextTask])


def register_task(name: str, settings: type[TaskConfig]) -> Callable[[Task], Task]:
    """Register a class and the dataclass of its settings; UserError if the name is taken."""

    def register(task: Task) -> Task:
        register_settings("task", name, settings)
        TASKS[name] = task
        return task

    return register


def draw_views(crops: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square at a random place of each crop, mirrored half of the time.

    Args:
        crops: uint8 (N, S, S, 3); side: of the square.
        generator: of the CPU.

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
    """Images in other colours: what few photographs have of them says little about those of others.

    Args:
        images: RGB (N, 3, H, W) in [-1, 1].
        share: of the images that change: their channels change places, and each is made lighter or darker.
        generator: of the CPU.
    """
    count = len(images)
    places = torch.rand((count, 3), generator=generator).argsort(dim=1)
    exponents = torch.randn((count, 3, 1, 1), generator=generator).mul_(BENT).exp_()
    changed = torch.rand((count, 1, 1, 1), generator=generator) < share
    places, exponents, changed = send_draws(images.device, places, exponents, changed)
    permuted = images[torch.arange(count, device=images.device)[:, None], places]
    return torch.where(changed, ((permuted + 1) / 2).clamp(0, 1) ** exponents * 2 - 1, images)


def send_draws(device: torch.device, *draws: Tensor) -> list[Tensor]:
    """What was drawn on the CPU, on a device: one copy for all, which is not waited for.

    Args:
        device: where they go.
        draws: (N, ...) each, for the same N examples; of dtypes that float64 holds exactly.

    Returns:
        The same values, shapes and dtypes.
    """
    together = torch.cat([draw.double().view(len(draw), -1) for draw in draws], dim=1)
    parts = send(together, device).split([draw[0].numel() for draw in draws], dim=1)
    return [part.reshape(draw.shape).to(draw.dtype) for part, draw in zip(parts, draws, strict=True)]
