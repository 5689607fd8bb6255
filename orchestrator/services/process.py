"""Server processes: starting one, knowing it again, stopping it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import psutil

from orchestrator.errors import ServiceError
from orchestrator.interrupt import ending
from orchestrator.services import launch
from orchestrator.services.pausing import resume

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from orchestrator.services.rights import Account

#: Pause between two looks at a process, seconds.
TICK: Final = 0.01

#: A server sees nothing of our environment: neither PG* variables nor passwords.
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

#: How long a server may take to end before the next, harder signal, seconds.
_PATIENCE: Final = (15.0, 5.0, 5.0)


class Birth(msgspec.Struct, frozen=True):
    """A process that can't be mistaken for a later one of the same number."""

    pid: int
    #: When it started, in the system's own words.
    start: str

    @classmethod
    def of(cls, pid: int) -> Birth | None:
        """The process of this number, or None where none lives (a dead one waiting to be reaped doesn't)."""
        start = _start(pid)
        return None if start is None else cls(pid, start)

    def lives(self) -> bool:
        """Whether this very process lives."""
        return _start(self.pid) == self.start


class Spawn(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a server."""

    argv: tuple[str, ...]
    #: Receives stdout and stderr.
    log: Path
    account: Account
    #: Sent by the kernel when the starter dies (Linux); None outlives it.
    death_signal: signal.Signals | None
    #: Somebody else ends it should we die; the kernel leaves it alone then.
    watched: bool = False


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A running server: ours to stop."""

    name: str
    birth: Birth
    #: Signals that end it, the kindest first.
    signals: tuple[int, ...]
    #: Set where it is our child, which must be reaped.
    child: subprocess.Popen[bytes] | None = None

    def lives(self) -> bool:
        """Whether it still runs."""
        if self.child is not None:
            return self.child.poll() is None
        return self.birth.lives()


def spawn(name: str, order: Spawn, signals: Sequence[int]) -> Server:
    """Start a server in a session of its own, so that the terminal's Ctrl-C doesn't reach it before us."""
    with order.log.open("ab") as log:
        if order.death_signal is None:
            pid, child = _detached(order, log.fileno()), None
        else:
            child = _popen(order, log.fileno())
            pid = child.pid
    # A server that ended already has no start; the caller, waiting for it to be ready, finds it dead.
    return Server(name=name, birth=Birth.of(pid) or Birth(pid, ""), signals=tuple(signals), child=child)


def run(order: Spawn, name: str, timeout: float = 120.0) -> int:
    """Run a program to its end under the same care, never beyond ours; its exit code."""
    mortal = msgspec.structs.replace(order, death_signal=signal.SIGTERM, watched=False)
    with order.log.open("ab") as log:
        child = _popen(mortal, log.fileno())
    try:
        return child.wait(timeout)
    except subprocess.TimeoutExpired:
        raise ServiceError(f"{name} did not end within {timeout:.0f} s: {order.log} says more") from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)  # with its own children: it leads a session
            child.wait()


def stop(servers: Sequence[Server]) -> None:
    """End all of them at once: kindly, then harder; returns when none lives."""
    for server in servers:
        resume(server)  # a paused process hears of no signal but SIGKILL, and would leave paused children behind
    for step, patience in enumerate(_PATIENCE):
        for server in servers:
            if server.lives():
                _signal(server, server.signals[min(step, len(server.signals) - 1)])
        if all_ended(servers, patience):
            return
    names = ", ".join(f"{server.name} (process {server.birth.pid})" for server in servers if server.lives())
    raise ServiceError(f"{names} would not stop: end it by hand")


def all_ended(servers: Sequence[Server], patience: float) -> bool:
    """Wait until none of them lives; False when time was up first."""
    deadline = time.monotonic() + patience
    while any(server.lives() for server in servers):
        if time.monotonic() > deadline:
            return False
        time.sleep(TICK)
    return True


@contextlib.contextmanager
def deferred_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP wait until the block is over, so that starting and stopping are never half done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs handlers in the main thread only
        return
    pending: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        pending.append(number)

    before = {number: signal.signal(number, remember) for number in ending()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for received in dict.fromkeys(pending):
            signal.raise_signal(received)


def _popen(order: Spawn, log: int, stdout: int | None = None) -> subprocess.Popen[bytes]:
    account, fatal = order.account, order.death_signal
    command = launch.command(
        {
            "rights": account.rights,
            "uid": account.uid,
            "gid": account.gid,
            "parent": 0 if fatal is None else os.getpid(),
            # Without a signal, a starter that died before the server is there still keeps it from starting.
            "signal": 0 if order.watched else int(fatal or 0),
            "detach": fatal is None,
            "argv": list(order.argv),
        }
    )
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log if stdout is None else stdout,
        stderr=log,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


def _detached(order: Spawn, log: int) -> int:
    with _popen(order, log, subprocess.PIPE) as starter:
        answer, _ = starter.communicate(timeout=30)
    if starter.returncode or not answer.strip():
        raise ServiceError(f"{order.argv[0]} can't be started: {order.log} says why")
    return int(answer)


def _signal(server: Server, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.birth.pid, number)


def _start(pid: int) -> str | None:
    stat = Path(f"/proc/{pid}/stat")
    try:
        if sys.platform.startswith("linux"):
            # Behind the name, which may hold anything: the state, and 20th the start in clock ticks since boot.
            fields = stat.read_text().rpartition(")")[2].split()
            return None if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.3f}"
    except (OSError, psutil.Error):
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
