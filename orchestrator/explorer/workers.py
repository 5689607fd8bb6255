"""Logical workers: a greenlet each, or an OS thread each for code that tells threads apart."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from greenlet import GreenletExit, getcurrent, greenlet

from orchestrator.explorer.scheduler import ExplorerError

if TYPE_CHECKING:
    from collections.abc import Callable

    #: A worker's whole life; it must not raise.
    Life = Callable[[], None]

#: Idents of the threads that are workers' now.
THREADS: set[int] = set()


class Worker(Protocol):
    """One logical worker: the hub steps it, it leaves at its points."""

    @property
    def dead(self) -> bool:
        """Whether its life is over."""

    def step(self) -> None:
        """Let it run until it leaves or ends; called by the hub."""

    def leave(self) -> None:
        """Hand control back to the hub; returns when stepped again, raises GreenletExit when it is to end."""

    def end(self) -> None:
        """Make it end where it stands; its `finally` blocks run."""


class GreenWorker:
    """A greenlet: a switch costs microseconds."""

    __slots__ = ("_green", "_hub")

    def __init__(self, life: Life) -> None:
        self._hub = getcurrent()
        self._green = greenlet(life, parent=self._hub)

    @property
    def dead(self) -> bool:
        """Whether its life is over."""
        dead: bool = self._green.dead
        return dead

    def step(self) -> None:
        """Switch to it."""
        self._green.switch()

    def leave(self) -> None:
        """Switch to the hub."""
        if getcurrent() is not self._green:
            raise ExplorerError(
                "A worker's code runs in a greenlet that the explorer did not start; such code needs threads=True."
            )
        self._hub.switch()

    def end(self) -> None:
        """Throw into it until it is over."""
        while not self._green.dead:
            self._green.throw(GreenletExit)


class ThreadWorker:
    """An OS thread that runs only while it holds the baton."""

    def __init__(self, life: Life) -> None:
        self._mine, self._hubs = threading.Semaphore(0), threading.Semaphore(0)
        self._ending = False
        self._thread = threading.Thread(target=self._run, args=(life,), daemon=True)
        self._thread.start()
        self.dead = False

    def _run(self, life: Life) -> None:
        THREADS.add(threading.get_ident())
        self._mine.acquire()
        try:
            if not self._ending:
                life()
        finally:
            THREADS.discard(threading.get_ident())
            self.dead = True
            self._hubs.release()

    def step(self) -> None:
        """Pass the baton, and wait for it."""
        self._mine.release()
        self._hubs.acquire()
        if self.dead:
            self._thread.join()

    def leave(self) -> None:
        """Give the baton back."""
        self._hubs.release()
        self._mine.acquire()
        if self._ending:
            raise GreenletExit

    def end(self) -> None:
        """Make `leave` raise until it is over."""
        self._ending = True
        while not self.dead:
            self.step()
