"""A run's watchdog: a small process that ends what the run has started should the orchestrator die, however it dies."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

from orchestrator import watchdog_process
from orchestrator.watchdog_process import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.services.process import Birth, Server

__all__ = ["Kind", "Watchdog", "Watched", "watchdog"]

#: What the embedded servers are called.
_SERVERS: Final = {"PostgreSQL": Kind.DATABASE, "Valkey": Kind.BROKER}

#: How long it may take to end, seconds; all that it may have to end included.
_PATIENCE: Final = 15.0


class Watchdog:
    """Tells the process what to watch; every method may be called from any thread."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-I", "-S", watchdog_process.__file__, str(os.getpid()), str(log)]
        self._lock = threading.Lock()
        # Its own session keeps the terminal's Ctrl-C away; nothing of ours but the pipe stays open in it.
        self._child = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Number of the watchdog's process."""
        return self._child.pid

    def lives(self) -> bool:
        """Say whether anybody watches."""
        return self._child.poll() is None

    def add(self, birth: Birth, kind: Kind) -> None:
        """Watch a process, which must lead a group of its own; one that was added before is watched anew."""
        self._tell({"add": [birth.pid, birth.start, kind.value]})

    def drop(self, pid: int) -> None:
        """Watch a process no more: it has ended, and nothing of its group is left."""
        self._tell({"drop": pid})

    def done(self) -> None:
        """Have it end without touching anything."""
        self._tell({"done": True})
        self.leave()

    def leave(self) -> None:
        """Have it end what still lives of all that it watches, and then itself."""
        with self._lock:
            if self._child.stdin is not None:
                self._child.stdin.close()
        try:
            self._child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _tell(self, said: dict[str, object]) -> None:
        line = json.dumps(said).encode() + b"\n"
        # A run goes on without its watchdog; one write is whole or not at all, even if we are killed in it.
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._child.stdin is not None:
                self._child.stdin.write(line)


class Watched(list["Server"]):
    """The embedded servers that live (`open_services(watched=...)`); each is watched from its start on."""

    def __init__(self, watching: Watchdog) -> None:
        super().__init__()
        self._watching = watching

    def append(self, server: Server) -> None:
        """Enter a server that was just started."""
        super().append(server)
        self._watching.add(server.birth, _SERVERS[server.name])


@contextlib.contextmanager
def watchdog(log: Path) -> Iterator[Watchdog]:
    """Watch over a block; where it ends in order nothing is left to end, and where it fails what is left is ended."""
    watching = Watchdog(log)
    try:
        yield watching
    except BaseException:
        watching.leave()
        raise
    watching.done()
