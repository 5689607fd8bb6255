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
#: Holders of a greenlet that nobody else remembers: its worker, a name in `_over`, and the count's own argument.
_OURS: Final = 3
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
        self._hub, self._life = getcurrent(), life
        idle = _threads.idle
        self._green = idle.pop() if idle else greenlet(_live)
        self._green.parent = self._hub
        self._begun = False

    def step(self) -> bool:
        """Switch to it."""
        if self._begun:
            return self._over(self._green.switch())
        self._begun = True
        return self._over(self._green.switch(self._life))

    def leave(self) -> None:
        """Switch to the hub."""
        if getcurrent() is not self._green:
            raise ExplorerError(
                "A worker's code runs in a greenlet that the explorer did not start; such code needs threads=True."
            )
        self._hub.switch()

    def end(self) -> None:
        """Throw into it until it is over."""
        while self._begun and not self._green.dead and not self._over(self._green.throw(GreenletExit)):
            pass

    def _over(self, said: object) -> bool:
        """Say whether its life is over; then the greenlet, unless somebody else holds it, waits for another one."""
        if said is not _OVER:
            return False
        green = self._green
        self._begun = False
        if getrefcount(green) == _OURS and not getweakrefcount(green) and len(idle := _threads.idle) < _IDLE:
            green.gr_context = None
            idle.append(green)
        return True


def _live(life: Life) -> None:
    """Live one life after another."""
    while True:
        life()
        del life
        life = getcurrent().parent.switch(_OVER)


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
