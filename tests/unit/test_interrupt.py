"""Ctrl-C, SIGTERM and SIGHUP."""

from __future__ import annotations

import errno
import io
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.interrupt import Interrupt, ending, interruptible
from orchestrator.progress import Counts
from orchestrator.reports.live import LiveView
from tests.stand_ins import wait_until

_ON_A_TERMINAL = """\
import fcntl, sys, termios
from pathlib import Path
from orchestrator.interrupt import interruptible
from orchestrator.reports.live import LiveView

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
with interruptible() as interrupt, LiveView(sys.stderr) as view:
    Path(sys.argv[1]).write_text("up")
    interrupt.asked.wait()
    view.end()
print("the report", flush=True)
Path(sys.argv[1]).write_text("ended in order" if sys.stdout is sys.__stdout__ else "redirected")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_an_ignored_sighup_stays_ignored() -> None:
    """Who started us under nohup wants the run to go on without its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert (signal.SIGINT, signal.SIGTERM) == ending()
        with interruptible() as interrupt:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupt.asked.is_set()
        assert signal.SIG_IGN is signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_ends_a_run_in_order(tmp_path: Path) -> None:
    """Neither the live view nor the report fails on it."""
    said = tmp_path / "said"
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", _ON_A_TERMINAL, str(said)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        wait_until(lambda: said.exists() and said.read_text(encoding="utf-8") == "up")
        os.close(ours)
        assert (0, "ended in order") == (process.wait(30), said.read_text(encoding="utf-8"))


class _Closed(io.StringIO):
    """A terminal that was closed after the run had begun."""

    open = True

    def isatty(self) -> bool:
        """It was one."""
        return True

    def write(self, text: str, /) -> int:
        """Fail as the kernel has it."""
        if not self.open:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().write(text)


def test_a_view_on_a_closed_terminal_fails_nothing() -> None:
    """A run that ignores SIGHUP goes on to its end."""
    terminal = _Closed()
    with LiveView(terminal) as view:
        terminal.open = False
        view.progress(1, Counts(1, 1, 0, 0, 1, 0, {}), 1.0)
        view.end()
    assert not terminal.open


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
