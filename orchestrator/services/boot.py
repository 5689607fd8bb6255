"""Brings a server up on a free port, and starts it again elsewhere where another process was quicker."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import ServiceError
from orchestrator.services.process import TICK, deferred_signals, spawn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.services.process import Server, Spawn

_TRIES: Final = 5
_PATIENCE: Final = 60.0
_TAKEN: Final = "Address already in use"

#: How long a server that starts again may take: after a crash it first replays what the log has.
_RECOVERY: Final = 300.0


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A server that could be started on any port."""

    name: str
    #: How to start it on a port.
    order: Callable[[int], Spawn]
    #: Whether the one on that port is ready.
    ready: Callable[[int], bool]
    #: Signals that end it, the kindest first.
    signals: tuple[int, ...]
    log: Path


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A server that was started and may not be ready yet."""

    program: Program
    port: int
    server: Server
    #: Where in the log this start begins.
    logged: int


def begin(program: Program, started: list[Server], port: int | None = None) -> Begun:
    """Start it, on a port that is free now unless one is given; it stands in `started`, to be stopped, at once."""
    logged = program.log.stat().st_size if program.log.exists() else 0
    port = _free_port() if port is None else port
    with deferred_signals():
        server = spawn(program.name, program.order(port), program.signals)
        started.append(server)
    return Begun(program=program, port=port, server=server, logged=logged)


def finish(begun: Begun, started: list[Server]) -> int:
    """Wait until it is ready; the port that it has in the end."""
    for _ in range(_TRIES):
        if _becomes_ready(begun):
            return begun.port
        started.remove(begun.server)
        begun = begin(begun.program, started)
    raise ServiceError(f"{begun.program.name} found no free port on 127.0.0.1: {begun.program.log} says more")


def again(program: Program, port: int, started: list[Server], began: Callable[[], None]) -> None:
    """Start it on the port that it had; `began` is called as soon as it lives, the return is when it is ready."""
    for _ in range(_TRIES):
        begun = begin(program, started, port)
        began()
        if _becomes_ready(begun, _RECOVERY):
            return
        started.remove(begun.server)
        time.sleep(TICK)
    raise ServiceError(
        f"{program.name} can't have its port {port} again, for another process took it while it was down"
    )


def last_words(log: Path, since: int = 0) -> str:
    """The last line that says something was wrong, or else the last line, from there on."""
    lines = [line.strip() for line in _text(log, since).splitlines() if line.strip()]
    bad = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "rror", "ermission", "refused"))]
    return (bad or lines or ["it said nothing"])[-1]


def _becomes_ready(begun: Begun, patience: float = _PATIENCE) -> bool:
    """True when it is ready, False when its port was taken; anything else is an error."""
    program, deadline = begun.program, time.monotonic() + patience
    while begun.server.lives():
        if program.ready(begun.port):
            return True
        if time.monotonic() > deadline:
            raise ServiceError(f"{program.name} was not ready within {patience:.0f} s: {program.log} says more")
        time.sleep(TICK)
    if _TAKEN in _text(program.log, begun.logged):
        return False
    raise ServiceError(f"{program.name} failed to start: {last_words(program.log, begun.logged)} (in {program.log})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _text(log: Path, since: int) -> str:
    with log.open("rb") as file:
        file.seek(since)
        return file.read().decode(errors="replace")
