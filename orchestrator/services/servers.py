"""The handle by which embedded servers are stopped, started again and paused while they are in use.

The kernel ends a server when the *thread* that started it ends, and whoever asks for a restart may be a thread that
ends soon.  So one thread, which lasts as long as the handle, carries out everything, one thing after another.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import psutil

from orchestrator.errors import ServiceError
from orchestrator.services import boot, pausing
from orchestrator.services import folder as folders
from orchestrator.services.process import stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.services.boot import Program
    from orchestrator.services.process import Server

#: How PostgreSQL is stopped: clients cut off and a checkpoint, or at once, to recover as after a crash.
Mode = Literal["fast", "immediate"]

#: How long a server's children may outlive it, seconds; PostgreSQL's notice its death by themselves.
_ORPHANS_S: Final = 10.0

_ENDED: Final = "the embedded services have ended: none of them is started or paused any more"


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A server's place: how and where it can be started again."""

    program: Program
    port: int
    #: Remove its data, while it is down.
    forget: Callable[[], None] | None = None


class EmbeddedServers:
    """Embedded servers, to be struck from any thread; `started` always holds those that live and are to be stopped."""

    def __init__(self, folder: Path, started: list[Server], database: Site | None, broker: Site | None) -> None:
        #: Holds their data.
        self.folder = folder
        self._started = started
        self._sites = {"database": database, "broker": broker}
        self._held: dict[str, socket.socket] = {}
        self._ending = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rowrace servers")

    def database_runs(self) -> bool:
        """Whether the database runs: neither stopped nor paused; a ServiceError where it is not embedded."""
        return self._runs("database")

    def restart_database(self, mode: Mode = "fast", down_s: float = 0) -> None:
        """Stop the database and start it again, so many seconds later; returns when it has recovered."""

        def restart() -> None:
            self._stop_database(mode)
            self._ending.wait(down_s)
            self._start(self._site("database"))

        self._do(restart)

    def stop_database(self, mode: Mode = "fast") -> None:
        """Stop the database; one that is stopped stays so."""
        self._do(lambda: self._stop_database(mode))

    def start_database(self) -> None:
        """Start the database where it was, with its data; returns when it has recovered."""
        self._do(lambda: self._start(self._site("database")))

    def pause_database(self) -> None:
        """Hold every process of the database in mid-step: it neither answers nor refuses."""
        self._do(lambda: self._pause(self._site("database")))

    def resume_database(self) -> None:
        """Let the database go on."""
        self._do(lambda: self._resume(self._site("database")))

    def broker_runs(self) -> bool:
        """Whether the broker runs: neither stopped nor paused; a ServiceError where it is not embedded."""
        return self._runs("broker")

    def stop_broker(self, *, keep_data: bool = True) -> None:
        """Stop the broker, in order, so that all of its data is on disk; then remove that unless it is to be kept."""

        def stop_it() -> None:
            site = self._site("broker")
            self._stop(site, site.program.signals)
            if not keep_data and site.forget is not None:
                site.forget()

        self._do(stop_it)

    def start_broker(self) -> None:
        """Start the broker where it was; returns when it has read its data."""
        self._do(lambda: self._start(self._site("broker")))

    def pause_broker(self) -> None:
        """Hold the broker in mid-step: it neither answers nor refuses."""
        self._do(lambda: self._pause(self._site("broker")))

    def resume_broker(self) -> None:
        """Let the broker go on."""
        self._do(lambda: self._resume(self._site("broker")))

    def end(self) -> None:
        """Wait for what is being done, and refuse everything from then on."""
        self._ending.set()
        self._thread.submit(lambda: None).result()
        for name in list(self._held):
            self._release(name)

    def close(self) -> None:
        """End the thread that servers were started by; for when they have ended."""
        self._ending.set()
        self._thread.shutdown()

    def _do(self, action: Callable[[], None]) -> None:
        def act() -> None:
            if self._ending.is_set():
                raise ServiceError(_ENDED)
            action()

        try:
            done = self._thread.submit(act)
        except RuntimeError:  # the thread has ended
            raise ServiceError(_ENDED) from None
        done.result()

    def _runs(self, name: str) -> bool:
        server = self._server(self._site(name))
        return server is not None and not pausing.paused(server)

    def _stop_database(self, mode: Mode) -> None:
        kind = signal.SIGQUIT if mode == "immediate" else signal.SIGINT
        self._stop(self._site("database"), tuple(dict.fromkeys((kind, signal.SIGQUIT, signal.SIGKILL))))

    def _site(self, name: str) -> Site:
        site = self._sites[name]
        if site is None:
            raise ServiceError(f"the {name} is not an embedded one: only those can be stopped, restarted or paused")
        return site

    def _server(self, site: Site) -> Server | None:
        """The server of this place that lives."""
        return next((each for each in self._started if each.name == site.program.name and each.lives()), None)

    def _stop(self, site: Site, signals: tuple[int, ...]) -> None:
        server = self._server(site)
        if server is None:
            return
        children = pausing.offspring(server)
        try:
            stop([msgspec.structs.replace(server, signals=signals)])
            _end(children)
        finally:
            self._hold(site)
        self._started.remove(server)
        self._mark()

    def _start(self, site: Site) -> None:
        if self._server(site) is not None:
            return
        # One that ended by itself may still stand there.
        self._started[:] = [each for each in self._started if each.name != site.program.name]
        try:
            boot.again(site.program, site.port, self._started, self._mark)
        finally:
            self._release(site.program.name)

    def _pause(self, site: Site) -> None:
        server = self._server(site)
        if server is not None:
            pausing.pause(server)

    def _resume(self, site: Site) -> None:
        server = self._server(site)
        if server is not None:
            pausing.resume(server)

    def _mark(self) -> None:
        """Say in the folder's marker which processes live from it now."""
        folders.mark(self.folder, self._started)

    def _hold(self, site: Site) -> None:
        """Keep the port while no server listens on it: a client that tries it again and again could else become it."""
        if not sys.platform.startswith("linux"):
            return  # elsewhere a port that is bound can't be bound again
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that the server may bind it beside us
        try:
            holder.bind(("127.0.0.1", site.port))
        except OSError:
            holder.close()
        else:
            self._held[site.program.name] = holder

    def _release(self, name: str) -> None:
        holder = self._held.pop(name, None)
        if holder is not None:
            holder.close()


def _end(children: list[psutil.Process]) -> None:
    """Wait for a dead server's children: the next server must not meet them at its data."""
    _, living = psutil.wait_procs(children, timeout=_ORPHANS_S)
    for process in living:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(living, timeout=_ORPHANS_S)
