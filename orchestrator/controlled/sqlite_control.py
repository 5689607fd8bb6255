"""What the connections to one explored SQLite file have in common."""

from __future__ import annotations

from collections.abc import Hashable
from copy import copy
from marshal import dumps
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from orchestrator.controlled.database import ELSEWHERE, Uncontrolled
from orchestrator.controlled.sqlite_words import SETTINGS, setting
from orchestrator.explorer.model import NOTHING, Point
from orchestrator.explorer.workers import THREADS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.controlled.footprints import Reading
    from orchestrator.controlled.sqlite_hook import ConnectionHook
    from orchestrator.explorer.hub import Hub

#: Points that are remembered.
_POINTS: Final = 10_000
#: The last version of marshal's format whose bytes tell values only, and not which objects are the same one.
_BY_VALUE: Final = 2
#: Types of values whose bytes tell them from all others: 1, 1.0 and True are equal, and not the same.  Not bytes:
#: marshal takes whatever has a buffer for some.
_PLAIN: Final = frozenset({int, float, bool, str, type(None)})


class Control:
    """Whose steps statements are, and which of a worker's transactions are open."""

    __slots__ = ("_open", "_points", "_read", "hub", "known", "thread", "used")

    def __init__(self, read: Callable[[str, Any], Reading]) -> None:
        self.hub: Hub | None = None
        #: Where the hub runs, and workers that are greenlets.
        self.thread = 0
        self._read = read
        self.known: WeakSet[ConnectionHook] = WeakSet()
        #: Those that workers have used since the last reset.  The driver's statement cache refers back to its
        #: connection, so one that a body drops lives until garbage is collected; here, always until the reset.
        self.used: list[ConnectionHook] = []
        self._points: dict[tuple[object, ...], Point | None] = {}
        self._open: dict[int | None, set[int]] = {}

    def under(self, hub: Hub | None) -> None:
        """Make statements this hub's steps from now on; it runs in this thread, or its workers in their own."""
        self.hub, self.thread = hub, get_ident()

    def check_thread(self) -> None:
        """Refuse what comes from a thread that is no worker's."""
        thread = get_ident()
        if thread != self.thread and thread not in THREADS:
            raise Uncontrolled(ELSEWHERE)

    def roll_back(self) -> None:
        """Undo what workers have left open, and forget who used which connection."""
        for connection in self.used:
            connection.undo()
            connection.owner = None
        self.used.clear()
        self._open.clear()

    def reads_by(self, read: Callable[[str, Any], Reading]) -> None:
        """Take what tells which rows a statement with its parameters touches."""
        self._read = read
        self._points.clear()

    def reading(self, text: str, parameters: object) -> Reading:
        """Tell what a statement is and touches."""
        return self._read(text, parameters)

    def working(self) -> Hub | None:
        """Give the hub where one of its workers runs now."""
        hub = self.hub
        return None if hub is None or hub.current is None else hub

    def point(self, text: str, parameters: Any, session: int, alone: bool) -> Point | None:  # noqa: ANN401, FBT001 - any parameters; a point's fields
        """Give the point before a statement, None where it is no step; schedules send the same ones again and again."""
        try:
            key = (text, dumps(parameters, _BY_VALUE), session, alone)
            return self._points[key]
        except KeyError:
            if _plain(parameters):
                if len(self._points) >= _POINTS:
                    self._points.clear()
                point = self._points[key] = self._make(text, copy(parameters), session, alone)
                return point
        except ValueError:  # something of a class that is not Python's own
            pass
        return self._make(text, parameters if isinstance(parameters, Hashable) else copy(parameters), session, alone)

    def _make(self, text: str, parameters: object, session: int, alone: bool) -> Point | None:  # noqa: FBT001 - as above
        reading = self._read(text, parameters)
        if reading.kind != "statement" or reading.footprint == NOTHING or setting(text)[0] in SETTINGS:
            return None  # it takes no snapshot, and frees no lock
        return Point("statement", text, parameters, reading.footprint, session, alone, reading.frees)

    def free(self, worker: int) -> int:
        """Give the lowest number that none of a worker's open transactions has.

        Pools hand out connections in an order that earlier schedules decide, so the number is not the connection's.
        """
        taken = self._open.get(worker)
        if not taken:
            return 0
        number = 0
        while number in taken:
            number += 1
        return number

    def take(self, worker: int | None, session: int) -> None:
        """Note an open transaction."""
        self._open.setdefault(worker, set()).add(session)

    def drop(self, worker: int | None, session: int) -> None:
        """Note that it has ended."""
        self._open.get(worker, set()).discard(session)


class Busy:
    """A statement that waits for the write lock; it tries again whenever something was freed."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False

    def over(self) -> bool:
        """Let it try again."""
        return True

    def by(self) -> Sequence[int]:
        """Name nobody: SQLite does not say who holds the lock, and with one lock nobody waits in a circle."""
        return ()

    def cancel(self, why: str) -> None:  # noqa: ARG002 - the error is SQLite's own, whatever the reason
        """Let SQLite's own error come out."""
        self.cancelled = True


def _plain(parameters: Any) -> bool:  # noqa: ANN401 - whatever a driver is given
    """Say whether they are what most drivers are given, plain values in a tuple, a list or a dictionary."""
    if type(parameters) not in {tuple, list, dict}:
        return False
    return _PLAIN.issuperset(map(type, parameters.values() if isinstance(parameters, dict) else parameters))
