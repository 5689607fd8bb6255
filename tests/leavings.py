"""What a run may leave behind, and a look for each kind of it: by the processes that were seen while it went on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from orchestrator.watchdog_process import look
from tests.acceptance.racing import HOME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.watchdog_process import Table
    from tests.acceptance.racing import Racing

#: Pause between two looks, seconds: what comes and goes within it does not stay.
_TICK: Final = 0.15
#: How long the kernel and a server may take to be rid of what has ended, seconds.
_SETTLING: Final = 3.0
#: Where `ip netns` keeps names of network namespaces.
_NETNS: Final = Path("/run/netns")
#: Listening, in /proc/net/tcp.
_LISTENS: Final = "0A"

#: Keys that all of kombu's clients share, whoever they are.
_KOMBU: Final = frozenset({b"_kombu.binding_deadlines", b"_kombu.binding.celery.pidbox"})

#: Sessions of any run, and those that anybody has left open in a transaction.
_SESSIONS: Final = """
    SELECT pid, application_name, state FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND (starts_with(application_name, 'rowrace') OR state LIKE 'idle in transaction%')
"""


class Traces:
    """Every process that descends from a command or shares a group with one that does; its sockets and namespaces."""

    def __init__(self, pid: int) -> None:
        found = look()
        self._known = {pid: found[pid].start}
        self._sockets: set[str] = set()
        self._spaces: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def left(self) -> list[str]:
        """Name what is still there."""
        table = look()
        self._grow(table)
        own = _space("self")
        return [
            *(f"process {pid}: {_command(pid)}" for pid in self._living(table)),
            *(f"listening port {port}" for inode, port in _listening().items() if inode in self._sockets),
            *(f"namespace {each}" for each in self._spaces - {own} if each in map(_space, map(str, table))),
        ]

    def _follow(self) -> None:
        while not self._over.wait(_TICK):
            table = look()
            self._grow(table)
            living = self._living(table)
            self._spaces |= {space for pid in living if (space := _space(str(pid)))}
            self._sockets |= {inode for pid in living for inode in _sockets(pid)} & _listening().keys()

    def _grow(self, table: Table) -> None:
        while grown := {pid: seen.start for pid, seen in table.items() if self._ours(pid, table)}:
            self._known.update(grown)

    def _ours(self, pid: int, table: Table) -> bool:
        """Say whether a process not known yet is a child or in the group of one that is."""
        seen = table[pid]
        above = (seen.parent, seen.group)
        return self._known.get(pid) != seen.start and any(
            each in self._known and (each not in table or table[each].start == self._known[each]) for each in above
        )

    def _living(self, table: Table) -> list[int]:
        return [
            pid
            for pid, start in self._known.items()
            if pid in table and table[pid].start == start and not table[pid].dead
        ]


@dataclass
class Command:
    """A `rowrace run` under way, or ended."""

    place: Place
    process: subprocess.Popen[str]
    traces: Traces
    out: str = ""
    error: str = ""
    seconds: float = 0.0

    def end(self, patience: float = 120.0) -> int:
        """Wait for its end; what it ends with."""
        began = time.monotonic()
        self.out, self.error = self.process.communicate(timeout=patience)
        self.seconds = time.monotonic() - began
        return self.process.returncode


@dataclass(frozen=True)
class Place:
    """A place of its own for runs and for the data of their services; given services, where there are any."""

    folder: Path
    given: Racing | None = None
    sessions: frozenset[int] = frozenset()
    keys: frozenset[bytes] = frozenset()
    spaces: frozenset[str] = field(default_factory=lambda: _names(_NETNS))

    @classmethod
    def on(cls, folder: Path, given: Racing | None = None) -> Place:
        """Make the place, and look at what is there already."""
        (folder / "data").mkdir()
        if given is None:
            return cls(folder)
        with given.broker() as client:
            return cls(folder, given, frozenset(_sessions(given)), frozenset(client.scan_iter()))

    @property
    def run(self) -> Path:
        """The one run's folder, once it is there."""
        return next(iter((self.folder / "runs").glob("*")), self.folder / "none yet")

    @contextlib.contextmanager
    def command(self, *arguments: str, **environment: str) -> Iterator[Command]:
        """Start `rowrace`; with the block it ends at the latest, killed if it must be."""
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**self._environment(), **environment},
            start_new_session=True,
        )
        traces = Traces(process.pid)
        with process:
            try:
                yield Command(self, process, traces)
            finally:
                process.kill()
                traces.stop()

    def struck(self) -> str:
        """What the plan's faults have done so far."""
        return "".join(path.read_text() for path in self.run.glob("*/strikes"))

    def left(self, command: Command, *, patience: float = _SETTLING) -> list[str]:
        """List what a command has left, once it has had the time to be gone."""
        deadline = time.monotonic() + patience
        while (found := self._left(command)) and time.monotonic() < deadline:
            time.sleep(_TICK)
        return found

    def _environment(self) -> dict[str, str]:
        usual = {key: value for key, value in os.environ.items() if not key.startswith("ROWRACE_")}
        given = self.given.environment if self.given else {}
        return {
            **usual,
            **given,
            "PYTHONPATH": str(HOME),
            "ROWRACE_RUNS_DIR": str(self.folder / "runs"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "TMPDIR": str(self.folder / "data"),
        }

    def _left(self, command: Command) -> list[str]:
        return [
            *command.traces.left(),
            *(f"process {each.pid}" for each in psutil.process_iter() if _mentions(each, str(self.folder))),
            *(f"namespace {name}" for name in _names(_NETNS) - self.spaces),
            *(f"temporary {path.name}" for path in (self.folder / "data").iterdir()),
            *(f"in the run's folder {path.name}" for path in self._marks()),
            *(self._given(self.given) if self.given else ()),
        ]

    def _marks(self) -> Iterator[Path]:
        """List what a run needs only while it goes on, and what tells of an error that nobody expected."""
        for pattern in ("journals", "state.json*", "*/published", "*/strikes", "logs/error.log"):
            yield from self.run.glob(pattern)

    def _given(self, given: Racing) -> Iterator[str]:
        """List what is left on given services."""
        if self.run.is_dir():
            yield from given.left(self.run.name)
        for pid, told in _sessions(given).items():
            if pid not in self.sessions:
                yield told
        with given.broker() as client:
            yield from (key.decode() for key in client.scan_iter() if key not in self.keys | _KOMBU)
            for table in client.scan_iter("_kombu.binding.*"):
                yield from (each.decode() for each in client.sscan_iter(table) if self.run.name in each.decode())
            yield from (each["name"] for each in client.client_list() if self.run.name in each["name"])


def _sessions(given: Racing) -> dict[int, str]:
    with given.database() as connection:
        return {pid: f"session {name} ({state})" for pid, name, state in connection.execute(_SESSIONS)}


def _listening() -> dict[str, int]:
    """Number the ports that are listened on, by their sockets."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS:
                found[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    return found


def _sockets(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                kind, _, inode = str(handle.readlink()).partition(":")
                if kind == "socket":
                    yield inode.strip("[]")


def _space(pid: str) -> str:
    """Name a process's network namespace; empty where it has ended."""
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    return ""


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _mentions(process: psutil.Process, place: str) -> bool:
    """Say whether another process works at a place: by its command line, its environment or its folder."""
    if process.pid == os.getpid():
        return False
    for said in (process.cmdline, lambda: list(process.environ().values()), lambda: [process.cwd()]):
        with contextlib.suppress(psutil.Error, OSError):
            if any(place in each for each in said()):
                return True
    return False
