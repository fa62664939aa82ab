import logging
import os
import signal
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from lpips_repro import entry_point
from lpips_repro.distributed import Ranks, started_ranks
from lpips_repro.errors import Terminated, UserError
from lpips_repro.runs.signals import ended_by_sigterm
from tests.processes import as_ranks


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


def sum_gradients(folder):
    """Each of two ranks has a gradient of its own layer and of a common one, and none of the last."""
    with started_ranks() as ranks:
        layers = torch.nn.ModuleList(torch.nn.Linear(1, 2, bias=False) for _ in range(4))
        for layer in (layers[ranks.rank], layers[2]):
            layer(torch.full((1, 1), 1.0 + ranks.rank)).sum().backward()
        ranks.sum_gradients(layers)
        torch.save([layer.weight.grad for layer in layers], folder / f"{ranks.rank}.pt")


def test_ranks_may_have_gradients_of_different_parameters(tmp_path):
    as_ranks(2, tmp_path / "output", sum_gradients, tmp_path)
    for rank in range(2):
        *sums, last = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert [found.flatten().tolist() for found in sums] == [[1, 1], [2, 2], [3, 3]]
        assert last is None


def copy_from_first(folder):
    """Each rank begins with weights and a buffer of its own."""
    with started_ranks() as ranks:
        torch.manual_seed(ranks.rank)
        layer = torch.nn.BatchNorm1d(3)
        torch.nn.init.normal_(layer.weight)
        layer.running_mean.fill_(ranks.rank)
        before = {key: value.clone() for key, value in layer.state_dict().items()}
        ranks.copy_from_first(layer)
        torch.save((before, layer.state_dict()), folder / f"{ranks.rank}.pt")


def test_all_ranks_get_the_state_of_the_first(tmp_path):
    as_ranks(2, tmp_path / "output", copy_from_first, tmp_path)
    (first, _), (second, copied) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert not torch.equal(first["weight"], second["weight"])
    torch.testing.assert_close(copied, first, rtol=0, atol=0)


def warn_in_both():
    with started_ranks() as ranks:
        logging.basicConfig(stream=sys.stdout, force=True)
        with warnings.catch_warnings(record=True) as caught, ranks.first_before_others():
            logging.getLogger("photographs").warning("left out: a.png")
            warnings.warn("slow", stacklevel=1)
        print(*(one.message for one in caught))
        logging.getLogger("photographs").warning("of rank %d", ranks.rank)


def test_warnings_of_what_all_ranks_do_are_those_of_the_first(tmp_path):
    output = as_ranks(2, tmp_path / "output", warn_in_both)
    assert output.count("left out: a.png") == output.count("slow") == 1
    assert "of rank 0" in output
    assert "of rank 1" in output


@pytest.fixture
def argv(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py"])


ERRORS = {
    "error: size=0": UserError("size=0"),
    "ZeroDivisionError": ZeroDivisionError(),
    "interrupted": KeyboardInterrupt(),
}


def fail_in_both(error):
    """What scripts do. The ranks end together, since the first one has the store that torchrun has otherwise."""

    def main():
        raise error

    with started_ranks() as ranks:
        try:
            entry_point.run(main)
        except SystemExit as end:
            print(end.code if isinstance(end.code, str) else "")
        except ZeroDivisionError as shown:
            print(repr(shown))
        ranks.meet()


@pytest.mark.usefixtures("argv")
@pytest.mark.parametrize("shown", ERRORS)
def test_an_error_of_all_processes_is_reported_once(tmp_path, shown):
    assert as_ranks(2, tmp_path / "output", fail_in_both, ERRORS[shown]).count(shown) == 1


def fail_differently():
    with started_ranks() as ranks:
        try:
            entry_point.run(lambda: (_ for _ in ()).throw(UserError(f"rank {ranks.rank}")))
        except SystemExit as end:
            print(end.code)
        ranks.meet()


@pytest.mark.usefixtures("argv")
def test_different_errors_are_all_reported(tmp_path):
    output = as_ranks(2, tmp_path / "output", fail_differently)
    assert sorted(output.split("\n")) == ["", "error: rank 0", "error: rank 1"]


def wait_for_first():
    with started_ranks() as ranks, ended_by_sigterm():
        if ranks.first:
            time.sleep(1.5)
            return
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        start = time.monotonic()
        try:
            ranks.meet()
        except Terminated:
            print(f"ended after {time.monotonic() - start:.1f} s", flush=True)
            os._exit(0)  # as after an error: without the other rank


def test_sigterm_ends_a_rank_that_waits_for_the_first_one_to_read_photographs(tmp_path):
    output = as_ranks(2, tmp_path / "output", wait_for_first)
    assert float(output.split()[2]) < 1


def test_torchrun_with_several_runs_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(mode=RunMode.MULTIRUN))
    with pytest.raises(UserError, match=r"^--multirun: torchrun starts one run: .* start torchrun once per run"):
        started_ranks().__enter__()


@pytest.mark.parametrize("local", [0, 2])
def test_too_few_gpus_are_the_same_error_on_every_rank(monkeypatch, local):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"^3 processes and 2 GPUs on this machine: start no more processes"):
        Ranks(local, 6, local, 3).device(torch.device("cuda"))
    assert Ranks(1, 4, 1, 2).device(torch.device("cuda")) == torch.device("cuda", 1)
