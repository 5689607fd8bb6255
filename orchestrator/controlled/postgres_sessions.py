"""Connections that workers have used: whose they are now, and what their open transactions hold."""

from __future__ import annotations

import select
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.waiting import Ready, Wait

from orchestrator.explorer.model import NOTHING, meet, union

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGconn

    from orchestrator.explorer.model import Footprint

#: Under this name a connection knows its session.
MARK: Final = "_rowrace_session"

_MASKS: Final = {
    Wait.W: select.POLLOUT,
    Wait.RW: select.POLLIN | select.POLLOUT,
}


#: Writes what sets a session as it is set now.
_SET_NOW: Final = b"""
    SELECT string_agg(format('SET %I = %L;', name, current_setting(name)), '') FROM pg_settings WHERE source = 'session'
"""


@lru_cache(4096)
def sets(text: str) -> bool:
    """Say whether a text may set something of the session's."""
    low = text.lower()
    return low.lstrip().startswith(("set", "reset", "discard")) or "set_config" in low


@lru_cache(4096)
def says(word: str, text: str) -> bool:
    """Say whether a text has a word in it, in whichever case."""
    return word in text.lower()


class Session:
    """A connection to the explored database."""

    __slots__ = (
        "_polls",
        "_reads",
        "_socket",
        "advisory",
        "cancelled",
        "connection",
        "cursors",
        "dead",
        "held",
        "many",
        "number",
        "pid",
        "set",
        "settled",
        "stepped",
        "stood",
        "strict",
        "worker",
    )

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = weakref.ref(connection)
        self.pid = connection.pgconn.backend_pid
        #: The worker that used it last in this schedule.
        self.worker: int | None = None
        #: Its number among that worker's.
        self.number = 0
        #: What its open transaction has locked, as far as statements tell.
        self.held: Footprint = NOTHING
        #: Its open transaction has had a statement that a worker stood before.
        self.stood = False
        #: The settings that an exploration needs are made.
        self.settled = False
        #: How to set it as it was before a body set something.
        self.set = b""
        #: A worker has stood before a statement of its, in whichever schedule.
        self.stepped = False
        #: It may hold advisory locks of the session's.
        self.advisory = False
        #: Its transactions may be at another level than the exploration's.
        self.strict = False
        #: Why a statement of its was cancelled, until that was told.
        self.cancelled = ""
        #: Its worker crashed.
        self.dead = False
        #: What its server-side cursors read, by name.
        self.cursors: dict[str, Footprint] = {}
        #: The cursor of an executemany that has no answer yet.
        self.many: Any = None
        self._socket = connection.pgconn.socket
        self._reads = select.poll()
        self._reads.register(self._socket, select.POLLIN)
        self._polls: dict[Wait, select.poll] = {}

    @property
    def pgconn(self) -> PGconn | None:
        """What libpq knows of the connection, while somebody has it."""
        connection = self.connection()
        return None if connection is None else connection.pgconn

    def ready(self, wanted: Wait, patience: float) -> Ready:
        """Look whether the socket is ready, for so many seconds; a poll takes whole milliseconds only."""
        milliseconds = int(patience * 1000)
        if patience and not milliseconds:
            select.select((), (), (), patience)  # time.sleep may be pinned
        if wanted is Wait.R:
            return Ready.R if self._reads.poll(milliseconds) else Ready.NONE
        poll = self._polls.get(wanted)
        if poll is None:
            poll = self._polls[wanted] = select.poll()
            poll.register(self._socket, _MASKS[wanted])
        found = poll.poll(milliseconds)
        if not found:
            return Ready.NONE
        events = found[0][1]
        if not events & (select.POLLIN | select.POLLOUT):
            return Ready(wanted)
        reads = Ready.R if events & select.POLLIN else Ready.NONE
        return Ready(reads | (Ready.W if events & select.POLLOUT else Ready.NONE))

    def hold(self, footprint: Footprint) -> None:
        """Count a statement to the open transaction."""
        self.stood = True
        self.held = union(self.held, footprint) if self.held is not NOTHING else footprint

    def remember(self) -> None:
        """Note how it is set now: a pool hands it out again, and a schedule must not see what an earlier one set."""
        pgconn = self.pgconn
        found = None if pgconn is None else pgconn.exec_(_SET_NOW)
        if found is not None and found.status == ExecStatus.TUPLES_OK:
            self.set = b"RESET ALL;" + (found.get_value(0, 0) or b"")

    def ended(self) -> None:
        """Forget the open transaction."""
        self.stood, self.held = False, NOTHING
        self.cursors.clear()

    def free(self) -> None:
        """Belong to nobody, as before a schedule."""
        self.ended()
        self.worker, self.cancelled, self.many, self.dead = None, "", None, False

    def stands_against(self, wanted: Footprint) -> bool:
        """Say whether its locks would hold up a statement."""
        held = self.held
        return meet(wanted.locks, held.locks) or meet(wanted.locks, held.shares) or meet(wanted.shares, held.locks)


class Sessions:
    """All that are known, and may be alive."""

    def __init__(self) -> None:
        self._known: list[Session] = []
        self._elsewhere: list[weakref.ref[Connection[Any]]] = []

    def elsewhere(self, connection: Connection[Any]) -> None:
        """Leave a connection alone from now on: it leads to another database."""
        setattr(connection, MARK, False)
        self._elsewhere.append(weakref.ref(connection))

    def add(self, connection: Connection[Any], session: Session) -> None:
        """Know one more."""
        setattr(connection, MARK, session)
        self._known.append(session)

    def alive(self) -> list[Session]:
        """Give those whose connections are open, and forget the others."""
        self._known = [
            each for each in self._known if (connection := each.connection()) is not None and not connection.closed
        ]
        return self._known

    def of(self, worker: int) -> list[Session]:
        """Give those that a worker used last."""
        return [each for each in self._known if each.worker == worker]

    def owners(self, pids: tuple[int, ...]) -> tuple[int, ...]:
        """Name the workers behind backends, as far as they are workers'."""
        return tuple({each.worker for each in self._known if each.worker is not None and each.pid in pids})

    def take(self, session: Session, worker: int) -> None:
        """Make a connection a worker's."""
        session.number = sum(1 for each in self._known if each.worker == worker)
        session.worker = worker

    def predict(self, wanted: Footprint, worker: int | None) -> bool:
        """Say whether another worker's locks would hold up a statement."""
        for each in self._known:  # asked before each statement, and `any` costs twice as much
            if each.held is not NOTHING and each.worker != worker and each.stands_against(wanted):
                return True
        return False

    def forget(self) -> None:
        """Take the marks off."""
        for known in (*(each.connection for each in self._known), *self._elsewhere):
            connection = known()
            if connection is not None and hasattr(connection, MARK):
                delattr(connection, MARK)
        self._known, self._elsewhere = [], []


def roll_back(session: Session, also: bytes = b"") -> None:
    """End what a session has open, past psycopg; what can't be ended so is closed."""
    pgconn = session.pgconn
    if pgconn is None:
        return
    text = also
    if pgconn.transaction_status != TransactionStatus.IDLE:
        text = b"ROLLBACK;" + also
    if text:
        result = pgconn.exec_(text)
        if result.status == ExecStatus.FATAL_ERROR or pgconn.transaction_status != TransactionStatus.IDLE:
            pgconn.finish()
