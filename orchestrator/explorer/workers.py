"""Logical workers: a greenlet each, or an OS thread each for code that tells threads apart."""

from __future__ import annotations

import threading
from sys import getrefcount
from typing import TYPE_CHECKING, Final, Protocol
from weakref import getweakrefcount

from greenlet import GreenletExit, getcurrent, greenlet

from orchestrator.explorer.scheduler import ExplorerError

if TYPE_CHECKING:
    from collections.abc import Callable

    #: A worker's whole life; it must not raise.
    Life = Callable[[], None]

#: Idents of the threads that are workers' now.
THREADS: set[int] = set()
_OVER: Final = object()
#: Holders of a greenlet that nobody else remembers: its worker, and the count's own argument.
_OURS: Final = 2
#: Greenlets of a thread that may wait for a life.
_IDLE: Final = 64


class _Threads(threading.local):
    """A thread's own."""

    def __init__(self) -> None:
        #: Greenlets that nobody lives in; a greenlet belongs to a thread.
        self.idle: list[greenlet] = []


_threads: Final = _Threads()


class Worker(Protocol):
    """One logical worker: the hub steps it, it leaves at its points."""

    def step(self) -> bool:
        """Let it run until it leaves or ends, and say whether its life is over; called by the hub."""

    def leave(self) -> None:
        """Hand control back to the hub; returns when stepped again, raises GreenletExit when it is to end."""

    def end(self) -> None:
        """Make it end where it stands; its `finally` blocks run."""


class GreenWorker:
    """A greenlet: a switch costs microseconds, a new one twenty times as much, so they are used again.

    What tells greenlets apart must see a new one in each schedule, so one that anybody remembers is not used again.
    """

    __slots__ = ("_begun", "_green", "_hub", "_life")

    def __init__(self, life: Life) -> None:
        self._hub = getcurrent()
        #: None once it began: it leads back to the worker.
        self._life: Life | None = life
        idle = _threads.idle
        self._green = idle.pop() if idle else _new()
        self._green.parent = self._hub
        self._begun = False

    def step(self) -> bool:
        """Switch to it."""
        if self._begun:
            return self._over(self._green.switch())
        life, self._life, self._begun = self._life, None, True
        return self._over(self._green.switch(life))

    def leave(self) -> None:
        """Switch to the hub."""
        if getcurrent() is not self._green:
            raise ExplorerError(
                "A worker's code runs in a greenlet that the explorer did not start; such code needs threads=True."
            )
        self._hub.switch()

    def end(self) -> None:
        """Throw into it until it is over."""
        self._life = None
        while self._begun and not self._green.dead and not self._over(self._green.throw(GreenletExit)):
            pass

    def _over(self, said: object) -> bool:
        """Say whether its life is over; then the greenlet waits for another one, or dies where it is remembered."""
        if said is not _OVER:
            return False
        self._begun = False
        if self._forgotten() and len(idle := _threads.idle) < _IDLE:
            self._green.gr_context = None
            idle.append(self._green)
        else:
            self._green.throw(GreenletExit)
        return True

    def _forgotten(self) -> bool:
        """Say whether nobody holds the greenlet, looks for its end, or has left anything on it."""
        return getrefcount(self._green) == _OURS and not getweakrefcount(self._green) and not vars(self._green)


def _new() -> greenlet:
    """Make a greenlet that waits for a life; it is begun without one, for a greenlet holds to the end what began it."""
    made = greenlet(_live)
    made.switch()
    return made


def _live() -> None:
    """Live one life after another."""
    said = None
    while True:
        life = getcurrent().parent.switch(said)
        life()
        del life
        said = _OVER


class ThreadWorker:
    """An OS thread that runs only while it holds the baton."""

    def __init__(self, life: Life) -> None:
        self._mine, self._hubs = threading.Semaphore(0), threading.Semaphore(0)
        self._ending = False
        self._thread = threading.Thread(target=self._run, args=(life,), daemon=True)
        self._thread.start()
        self._dead = False

    def _run(self, life: Life) -> None:
        THREADS.add(threading.get_ident())
        self._mine.acquire()
        try:
            if not self._ending:
                life()
        finally:
            THREADS.discard(threading.get_ident())
            self._dead = True
            self._hubs.release()

    def step(self) -> bool:
        """Pass the baton, and wait for it."""
        self._mine.release()
        self._hubs.acquire()
        if self._dead:
            self._thread.join()
        return self._dead

    def leave(self) -> None:
        """Give the baton back."""
        self._hubs.release()
        self._mine.acquire()
        if self._ending:
            raise GreenletExit

    def end(self) -> None:
        """Make `leave` raise until it is over."""
        self._ending = True
        while not self._dead:
            self.step()
