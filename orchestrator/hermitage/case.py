"""What a case is: plain bodies on two rows, and what its anomaly looks like in what they return and leave."""

from __future__ import annotations

from enum import Enum
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.errors import DeadlockDetected, SerializationFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]
    #: Rows as read: (id, value).
    Rows = list[tuple[Any, ...]]

#: Before each schedule; Hermitage's own table.
SET_UP: Final = (
    "CREATE TABLE test (id int PRIMARY KEY, value int)",
    "INSERT INTO test (id, value) VALUES (1, 10), (2, 20)",
)


class Level(Enum):
    """PostgreSQL's isolation levels."""

    READ_COMMITTED = "read committed"
    REPEATABLE_READ = "repeatable read"
    SERIALIZABLE = "serializable"


class Aborted(Enum):
    """What a body returns whose transaction the server did not let commit."""

    ABORTED = "aborted"


ABORTED: Final = Aborted.ABORTED


class Outcome(NamedTuple):
    """What one schedule came to."""

    #: What each body returned: what it read, or ABORTED.
    values: tuple[Any, ...]
    #: The table at the end: value by id.
    rows: Mapping[int, int]

    @property
    def all_committed(self) -> bool:
        """Whether no transaction was aborted by the server."""
        return ABORTED not in self.values


class Case(NamedTuple):
    """One anomaly that two or three transactions may show."""

    #: Unique among the cases.
    name: str
    #: The column of the published table.
    anomaly: str
    #: In words, for the table.
    title: str
    bodies: tuple[Callable[[Connection], object], ...]
    #: Whether an outcome proves that the anomaly happened; its docstring gives the definition and its source.
    shows: Callable[[Outcome], bool]


def transaction(work: Callable[[Connection], object]) -> Callable[[Connection], object]:
    """Commit what `work` did and return what it returned; a conflict that the server reports makes it ABORTED."""

    @wraps(work)
    def body(connection: Connection) -> object:
        try:
            value = work(connection)
            connection.commit()
        except (SerializationFailure, DeadlockDetected):
            connection.rollback()
            return ABORTED
        return value

    return body


def read(connection: Connection, key: int) -> int | None:
    """Read one row's value; None where there is no such row."""
    row = connection.execute("SELECT value FROM test WHERE id = %s", (key,)).fetchone()
    return None if row is None else row[0]


def read_all(connection: Connection) -> dict[int, int]:
    """Read the whole table: value by id."""
    return dict(connection.execute("SELECT id, value FROM test ORDER BY id").fetchall())


def write(connection: Connection, key: int, value: int) -> int:
    """Change one row's value and say how many rows that were."""
    return connection.execute("UPDATE test SET value = %s WHERE id = %s", (value, key)).rowcount
