"""Holds a server's processes in mid-step, and lets them go on."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from orchestrator.services.process import Server

#: Pause between two looks at a process, seconds.
_TICK: Final = 0.001

#: How long a signalled process may take to stand still, seconds; one inside a disk's driver may need it.
_PATIENCE: Final = 5.0


def offspring(server: Server) -> list[psutil.Process]:
    """The processes that a server has forked and that live now: a backend for each of its clients, and more."""
    try:
        return psutil.Process(server.birth.pid).children(recursive=True) if server.lives() else []
    except psutil.Error:
        return []


def pause(server: Server) -> int:
    """SIGSTOP every process of a server; how many they are."""
    main = psutil.Process(server.birth.pid)
    main.suspend()
    _await_stop(main)  # from here on it forks no more, so nobody is missed below
    others = offspring(server)
    for process in others:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    return 1 + len(others)


def resume(server: Server) -> None:
    """SIGCONT every process of a server; those that run take no notice."""
    with contextlib.suppress(psutil.Error):  # it died just now, and its children end by themselves
        for process in (*offspring(server), *([psutil.Process(server.birth.pid)] if server.lives() else ())):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def paused(server: Server) -> bool:
    """Whether a server's main process stands still."""
    try:
        return psutil.Process(server.birth.pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def _await_stop(process: psutil.Process) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(_TICK)
