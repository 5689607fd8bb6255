"""The driver connection as the access layer needs it; postgres.py and sqlite.py provide one each.

A link sends what it is told when it is told, translates driver errors into worker.errors, and knows
nothing of recording.  Hooks are the explorer's place: they hear of every statement, COMMIT and ROLLBACK before it is
sent, and of what it gave.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.sql.expression import ClauseElement

    from worker.contract import Isolation

    #: Hears what a statement gave: rows (None where it reads none), how many it matched, and an error.
    Answered = Callable[[Sequence[tuple[Any, ...]] | None, int, str], None]


class Begin(NamedTuple):
    """How the next transaction starts; a link sends it in one round trip with the transaction's first statement."""

    isolation: Isolation
    #: "token:operation", which the triggers stamp; None where recording is off.
    writer: str | None
    lock_timeout_ms: int = 0


class Answer(NamedTuple):
    """What a statement gave."""

    rows: Sequence[tuple[Any, ...]]
    #: Rows matched.
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of an answer


class Sending(NamedTuple):
    """What a link is about to send, for whoever interleaves it."""

    #: "statement", "commit" or "rollback".
    kind: str
    text: str
    params: Mapping[str, Any] = MappingProxyType({})
    #: It is a transaction of its own.
    alone: bool = False


class Link(Protocol):
    """One connection, used by one slot at a time."""

    #: "postgresql" or "sqlite".
    dialect: str
    #: Process id and start (microseconds since 1970, database clock) of the server's backend; (0, 0) on SQLite.
    backend: tuple[int, int]
    #: When the last statement was sent, local monotonic clock; 0 where `execute` sends at once.
    sent_ns: int

    def begin(self, begin: Begin) -> None:
        """Open a transaction, lazily: nothing is sent before the first statement."""

    def execute(self, statement: ClauseElement, params: Mapping[str, Any]) -> Answer:
        """Run a Core statement, compiled once; inside the open transaction, else in autocommit."""

    def commit(self, sent: Callable[[], None] | None = None) -> None:
        """COMMIT; raises Conflict, or LostConnection(in_commit=True) where no answer came.

        `sent` is called when COMMIT has left for the server and its answer is not read.
        """

    def rollback(self) -> None:
        """ROLLBACK; never raises."""

    def disconnect(self) -> None:
        """Shut the connection's socket down, both ways; whatever uses it next finds it broken."""

    def close(self) -> None:
        """Give the connection back to its pool, clean: no transaction, no session lock."""
