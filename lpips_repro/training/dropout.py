"""The dropout of training: one random bit per squared difference.

Random bits belong to triplets of the whole batch, so that several processes that share a batch drop the same
differences as one process would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lpips_repro.runs.example_order import mixed_seed

# The integer type of a dtype's width, and the only bit that is set in 2.0, the one below the sign.
_INTEGER = {torch.float32: (torch.int32, 30), torch.float64: (torch.int64, 62)}


@dataclass(frozen=True)
class Dropout:
    """Random draws for some triplets of a batch.

    Attributes:
        generator: the generator, on the model's device.
        batch: triplets of the whole batch; None: those of this process.
        first: index in the batch of the first triplet of this process.
    """

    generator: torch.Generator
    batch: int | None = None
    first: int = 0

    def words(self, count: int, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Random bits for the two pairs of `count` triplets, for maps with these (places, channels).

        Returns:
            int32 (2, count, Q, channels) for each map, whose bits `factors` uses.
        """
        lengths = [_per_channel(places) * channels for places, channels in shapes]
        shape = (2, self.batch or count, -(-sum(lengths) // 2))
        drawn = torch.empty(shape, dtype=torch.int64, device=self.generator.device)
        # Drawing words and using their bits is a hundred times faster than drawing single numbers.
        drawn.random_(torch.iinfo(torch.int64).min, None, generator=self.generator)
        words = drawn[:, self.first : self.first + count].view(torch.int32)[..., : sum(lengths)].split(lengths, dim=2)
        return [part.unflatten(2, (-1, channels)) for part, (_, channels) in zip(words, shapes, strict=True)]

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape of `like`, whose first dimension is triplets."""
        shape = (self.batch or len(like), *like.shape[1:])
        drawn = torch.empty(shape, dtype=like.dtype, device=like.device).normal_(generator=self.generator)
        return drawn[self.first : self.first + len(like)]


class DropoutOfSteps:
    """The draws of a run's steps. Each depends only on the run's seed and the step's number: there is no state to save.

    Args:
        seed: the run's seed.
        device: the model's device.
    """

    def __init__(self, seed: int, device: torch.device):
        self.seed, self.generator = seed, torch.Generator(device)

    def of(self, step: int, batch: int, first: int = 0) -> Dropout:
        """The draws of a step; batch, first: as for `Dropout`."""
        return Dropout(self.generator.manual_seed(mixed_seed(self.seed, step)), batch, first)


def factors(words: Tensor, places: int, dtype: torch.dtype) -> Tensor:
    """The factors of dropout with p = 1/2, 0 or 2, (..., places, C), from the bits of words (..., Q, C)."""
    integer, top = _INTEGER[dtype]
    bits = -(-places // words.shape[-2])
    shifts = torch.arange(top - 30, top - 30 + bits, dtype=integer, device=words.device)
    drawn = (words.to(integer)[..., None, :, :] << shifts[:, None, None]).bitwise_and_(1 << top)
    return drawn.view(dtype).flatten(-3, -2)[..., :places, :]


def _per_channel(places: int) -> int:
    """The number of words per channel, of which 31 bits each are used."""
    return -(-places // 31)
