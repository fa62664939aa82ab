import signal

import pytest

from lpips_repro.runs import signals
from lpips_repro.runs.signals import ended_by_sigterm, stop_on_signals

EXPECTED = {signal.SIGTERM: SystemExit, signal.SIGINT: KeyboardInterrupt}


def send(number):
    signal.raise_signal(number)


def test_sigterm_ends_a_run_outside_its_epochs_too():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, ended_by_sigterm():
        send(signal.SIGTERM)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", EXPECTED)
def test_a_signal_waits_for_the_end_of_the_step(number, caplog):
    done = []
    with pytest.raises(EXPECTED[number]), stop_on_signals() as check_stop:
        send(number)
        done.append("the rest of the step")
        check_stop()
        done.append("more")
    assert done == ["the rest of the step"]
    assert f"{number.name}: the state is saved after this step" in caplog.text


def test_the_meeting_of_a_step_says_whether_a_flag_is_set_on_any_rank():
    with stop_on_signals() as check_stop:
        assert check_stop(True)
        assert not check_stop(False)
        assert not check_stop()


@pytest.mark.parametrize("number", EXPECTED)
def test_a_signal_after_the_last_step_is_not_lost(number):
    with pytest.raises(EXPECTED[number]), stop_on_signals():
        send(number)


@pytest.mark.parametrize("number", EXPECTED)
def test_a_second_signal_does_not_wait(number, monkeypatch):
    monkeypatch.setattr(signals, "REPEATED", -1.0)
    with pytest.raises(EXPECTED[number]), ended_by_sigterm(), stop_on_signals():
        send(number)
        send(number)
        pytest.fail("it waited")


def test_a_sigterm_to_the_whole_process_group_that_a_parent_repeats_is_one_request():
    done = []
    with pytest.raises(SystemExit), ended_by_sigterm(), stop_on_signals() as check_stop:
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        done.append("the rest of the step")
        check_stop()
    assert done == ["the rest of the step"]
