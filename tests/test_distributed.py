import pytest
import torch

from lpips_repro.distributed import Ranks, started_ranks


def test_without_torchrun_a_process_is_the_only_rank():
    with started_ranks() as ranks:
        assert ranks == Ranks(rank=0, world=1, local=0)
        assert ranks.first
        assert ranks.gather("value") == ["value"]
        assert ranks.from_first("value") == "value"
        assert ranks.any(True, False) == (True, False)
        with ranks.first_before_others():
            pass
        module = torch.nn.Linear(1, 1)
        assert ranks.parallel(module) is module


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 50])
def test_shares_cover_everything_once_and_have_equal_sizes(world, count):
    shares = [range(count)[Ranks(rank, world).share(count)] for rank in range(world)]
    assert [number for share in shares for number in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
