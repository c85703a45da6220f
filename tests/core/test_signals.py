"""Handlers of SIGTERM and Ctrl-C apply inside a block only."""

import signal
import threading

import pytest

from histoforge.core.signals import handled_signals, sigterm_as_interrupt


def test_handlers_are_restored_after_the_block():
    before, received = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGUSR1)}, []
    with handled_signals({signum: lambda signum, frame: received.append(signum) for signum in before}):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR1)
    assert received == [signal.SIGTERM, signal.SIGUSR1]
    assert {signum: signal.getsignal(signum) for signum in before} == before


def test_an_ignored_ctrl_c_stays_ignored():
    received = []
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with handled_signals({signal.SIGINT: lambda signum, frame: received.append(signum)}):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)
    assert received == []


def test_other_threads_keep_the_handlers():
    inside = []

    def work():
        with handled_signals({signal.SIGUSR1: lambda signum, frame: None}):
            inside.append(signal.getsignal(signal.SIGUSR1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [signal.getsignal(signal.SIGUSR1)]


def test_sigterm_interrupts_and_the_clean_up_runs():
    cleaned = []
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleaned.append(True)
    assert cleaned
