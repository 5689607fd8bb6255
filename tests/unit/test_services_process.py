"""Processes: known again, stopped, and never left half started by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchestrator.interrupt import ending
from orchestrator.services.process import Birth, Server, deferred_signals, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

_IGNORING = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes no notice of SIGTERM."""
    with subprocess.Popen([sys.executable, "-c", _IGNORING], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_process_is_known_by_number_and_start(child: subprocess.Popen[bytes]) -> None:
    """A later process of the same number would be another one."""
    birth = Birth.of(child.pid)
    assert birth is not None
    assert birth.lives()
    assert not Birth(child.pid, "another start").lives()


def test_a_dead_process_lives_no_more_before_it_is_reaped(child: subprocess.Popen[bytes]) -> None:
    """A zombie holds no port and no file: it counts as dead."""
    birth = Birth.of(child.pid)
    assert birth is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not birth.lives()


def test_stopping_gets_harder(child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ignores the kind signal gets the next."""
    monkeypatch.setattr("orchestrator.services.process._PATIENCE", (0.05, 10.0))
    birth = Birth.of(child.pid)
    assert birth is not None
    stop([Server(name="stubborn", birth=birth, signals=(signal.SIGTERM, signal.SIGKILL), child=child)])
    assert child.returncode == -signal.SIGKILL


def test_stopping_never_signals_a_successor(child: subprocess.Popen[bytes]) -> None:
    """A process that merely has the number of ours is left alone."""
    stop([Server(name="gone", birth=Birth(child.pid, "another start"), signals=(signal.SIGKILL,))])
    assert child.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_until_the_block_is_over(number: signal.Signals) -> None:
    """A signal inside arrives right after, so that nothing is half done."""
    done: list[str] = []

    def interrupted() -> None:
        with deferred_signals():
            signal.raise_signal(number)
            done.append("inside")
        done.append("after")

    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(number, before)
    assert done == ["inside"]


def test_handlers_are_as_before() -> None:
    """Deferring leaves the handlers as it found them."""
    before = [signal.getsignal(number) for number in ending()]
    with deferred_signals():
        pass
    assert before == [signal.getsignal(number) for number in ending()]
