"""What an exploration needs of a database; sqlite.py and postgres.py provide one each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from orchestrator.explorer.scheduler import ExplorerError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orchestrator.explorer.hub import Hub

    #: Each table's rows.
    Rows = dict[str, tuple[tuple[Any, ...], ...]]


ELSEWHERE: Final = (
    "A thread that is no worker's uses the explored database while bodies run, so nobody decides when: bodies must not "
    "start threads that do; code that needs a thread of its own for each worker is explored with threads=True."
)

#: What was said since a schedule began: a body may have caught it, or a thread of its own has ended with it.
MET: Final[list[str]] = []


class Uncontrolled(ExplorerError):
    """Bodies do something that the explorer can neither decide nor repeat; the message says what, and what to do."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        MET.append(said)


class Database(Protocol):
    """One database whose connections switch at each statement, and whose rows can be put back."""

    #: "sqlite" or "postgres".
    backend: str
    #: "read committed", "repeatable read" or "serializable"; "sqlite" for SQLite's own semantics.
    isolation: str

    def control(self) -> AbstractContextManager[None]:
        """Hook the driver for the time of an exploration."""

    def under(self, hub: Hub | None) -> None:
        """Make statements that this hub's workers send its steps; None: nobody's."""

    def connect(self) -> Any:  # noqa: ANN401 - a DBAPI connection, of the driver's own class
        """Open a connection for a body that is given one."""

    def keep(self) -> None:
        """Remember the rows of every table as they stand."""

    def reset(self) -> None:
        """Roll back what is open, and put rows and sequences back as they were kept."""

    def harden(self, *, anyway: bool = False) -> bool:
        """See to it that rows lie as they were kept, where that matters or `anyway`; says whether that is new."""

    def rows(self) -> Rows:
        """Give the rows of every table, in the order of their keys."""

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Name the columns of every table."""

    def crash(self, worker: int) -> None:
        """Cut a worker's connections; when it returns, the database has rolled back what they had open."""

    def close(self) -> None:
        """Leave nothing behind."""
