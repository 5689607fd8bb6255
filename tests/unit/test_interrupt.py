"""Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
import threading

import pytest

from orchestrator.interrupt import Interrupt, interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_raises_nothing(number: signal.Signals) -> None:
    """The code that runs looks for itself."""
    with interruptible() as interrupt:
        signal.raise_signal(number)
        assert (True, False) == (interrupt.asked.is_set(), interrupt.hurry.is_set())
        signal.raise_signal(number)
        assert interrupt.hurry.is_set()


def test_a_raising_block_ends_with_the_first_signal_only() -> None:
    """What is being set up is left at once, and what cleans up after it is never disturbed."""
    with interruptible() as interrupt:
        with pytest.raises(KeyboardInterrupt), interrupt.raising():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupt.hurry.is_set()


def test_a_raising_block_is_not_entered_once_asked() -> None:
    """A signal between two blocks is not forgotten."""
    interrupt = Interrupt()
    interrupt.handle(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt), interrupt.raising():
        pytest.fail("entered")


def test_handlers_are_given_back() -> None:
    """Afterwards signals do what they did before."""
    before = signal.getsignal(signal.SIGTERM)
    with interruptible():
        assert before != signal.getsignal(signal.SIGTERM)
    assert before == signal.getsignal(signal.SIGTERM)


def test_other_threads_take_nothing_over() -> None:
    """Python lets only the main thread handle signals; elsewhere a run goes without."""
    found = []

    def look() -> None:
        with interruptible() as interrupt:
            found.append(interrupt.asked.is_set())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert [False] == found
