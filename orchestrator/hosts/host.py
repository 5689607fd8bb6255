"""A host as its layout's owner sees it: programs are started on it, and told of when they end."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import UsageError
from orchestrator.hosts import init

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: How long a host may take to come up, and to be gone, seconds.
_PATIENCE: Final = 30.0

#: Where a host's programs look for others; a program sees nothing of our environment.
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Host:
    """One host, from its first process to its end; every method may be called from any thread."""

    def __init__(self, name: str, *, hosts: Path | None = None, folder: Path | None = None) -> None:
        """`hosts` is its /etc/hosts; without one it is a switch.  `folder` is removed when it ends."""
        self.name = name
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = init.Order(name=name, hosts=str(hosts or ""), folder=str(folder or ""))
        with theirs:
            self._child = subprocess.Popen(
                init.command(order),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PATH": PATH, "LC_ALL": "C"},
                cwd=os.sep,
                start_new_session=True,
            )
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._codes: dict[int, int] = {}
        self._facts: dict[str, Any] = {}
        self._gone = False
        self._reader = threading.Thread(target=self._read, name=f"host {name}", daemon=True)
        self._reader.start()

    def ready(self) -> int:
        """Wait until it is up; number of its first process, as the machine counts."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or "ready" in self._facts or "failed" in self._facts, _PATIENCE)
        if "ready" not in self._facts:
            why = self._facts.get("failed", "its first process died")
            raise UsageError(
                f"Hosts need root on Linux, with network namespaces: {self.name} can't be made, for {why}."
            )
        return int(self._facts.get("pid", self._child.pid))

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path | str, out: int, err: int | None = None
    ) -> Program:
        """Start a program; `out` and `err` are open files."""
        number = next(self._numbers)
        said = {"id": number, "argv": list(argv), "env": dict(env), "cwd": str(cwd)}
        socket.send_fds(self._ours, [json.dumps(said).encode()], [out, out if err is None else err])
        return Program(self, number)

    def ask(self, *argv: str, env: Mapping[str, str] | None = None, timeout: float = _PATIENCE) -> tuple[int, str]:
        """Run a program to its end; its code and what it said."""
        reading, writing = os.pipe()
        with open(reading, "rb") as stream:  # noqa: PTH123 -- it is a number
            try:
                program = self.start(argv, {"PATH": PATH, "LC_ALL": "C", **(env or {})}, os.sep, writing)
            finally:
                os.close(writing)
            code = program.wait(timeout)
            if code is None:
                program.signal(signal.SIGKILL)
                return 124, f"no end within {timeout:.0f} s"
            return code, stream.read().decode(errors="replace").strip()

    def tell(self, *words: str) -> None:
        """Run `ip` with these words."""
        code, said = self.ask("ip", *words)
        if code:
            raise UsageError(f"`ip {' '.join(words)}` failed on {self.name}: {' '.join(said.split())}")

    def close(self) -> None:
        """End it and all that runs on it; returns when nothing does."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        try:
            self._child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        self._reader.join()
        self._ours.close()

    def code(self, number: int, timeout: float | None) -> int | None:
        """Wait for a program's end; None when time was up first."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or number in self._codes, timeout)
            if number in self._codes:
                return self._codes[number]
            return -signal.SIGKILL if self._gone else None

    def send(self, number: int, signal_: int) -> None:
        """Signal a program; one that has ended gets none."""
        with contextlib.suppress(OSError):
            self._ours.send(json.dumps({"id": number, "signal": int(signal_)}).encode())

    def _read(self) -> None:
        while data := self._next():
            said: dict[str, Any] = json.loads(data)
            with self._changed:
                if "ended" in said:
                    self._codes[said["ended"]] = said["code"]
                else:
                    self._facts.update(said)
                self._changed.notify_all()
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def _next(self) -> bytes:
        try:
            return self._ours.recv(init.MESSAGE)
        except OSError:
            return b""


class Program:
    """A program that was started on a host."""

    def __init__(self, host: Host, number: int) -> None:
        self.host = host
        self._number = number

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; its exit code, or minus the signal that ended it, or None when time was up first."""
        return self.host.code(self._number, timeout)

    def lives(self) -> bool:
        """Say whether it still runs."""
        return self.wait(0) is None

    def signal(self, number: int) -> None:
        """Signal its process."""
        self.host.send(self._number, number)
