"""What is explored: bodies a few statements long on a connection of the driver's own, for either tool and database.

Imports nothing but the standard library, since the peer's interpreter may have neither the project nor its drivers.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Body = Callable[[Any], object]

#: Both databases take them.
TABLES: Final = (
    "DROP TABLE IF EXISTS account",
    "DROP TABLE IF EXISTS booking",
    "CREATE TABLE account (id integer PRIMARY KEY, balance integer NOT NULL, version integer NOT NULL)",
    "CREATE TABLE booking (id integer PRIMARY KEY, seat varchar(8) NOT NULL)",
)
START: Final = 100
ROWS: Final = f"INSERT INTO account (id, balance, version) VALUES (1, {START}, 0), (2, {START}, 0)"  # noqa: S608 - a number of this file's
AMOUNT: Final = 10
#: What a withdrawal of the write skew takes: more than one account has.
_BOTH: Final = 150
#: Reads between what matters in `checker`, and before it in `flipper`.
_CHECKED, _FLIPPED = 3, 10


def set_up(connection: Any) -> None:  # noqa: ANN401 - either driver's
    """Make both tables, and two accounts."""
    for statement in (*TABLES, ROWS):
        connection.execute(statement)
    connection.commit()


def ask(connection: Any, sql: str, *parameters: object) -> Any:  # noqa: ANN401 - either driver's cursor
    """Send a statement, its parameters in the driver's own style."""
    text = sql if isinstance(connection, sqlite3.Connection) else sql.replace("?", "%s")
    return connection.execute(text, parameters)


def naive(connection: Any) -> None:  # noqa: ANN401 - either driver's
    """Read a balance, reckon, write it."""
    (balance,) = ask(connection, "SELECT balance FROM account WHERE id = ?", 1).fetchone()
    ask(connection, "UPDATE account SET balance = ? WHERE id = ?", balance - AMOUNT, 1)
    connection.commit()


def optimistic(connection: Any) -> int:  # noqa: ANN401 - either driver's
    """Write only if the version is the one that was read, else try again; gives the tries that failed."""
    failed = 0
    while True:
        balance, version = ask(connection, "SELECT balance, version FROM account WHERE id = ?", 1).fetchone()
        sql = "UPDATE account SET balance = ?, version = version + 1 WHERE id = ? AND version = ?"
        if ask(connection, sql, balance - AMOUNT, 1, version).rowcount == 1:
            connection.commit()
            return failed
        connection.rollback()
        failed += 1


def transfer(source: int, target: int, connection: Any) -> None:  # noqa: ANN401 - either driver's
    """Take from one row, give to the other, in this order."""
    ask(connection, "UPDATE account SET balance = balance - 10 WHERE id = ?", source)
    ask(connection, "UPDATE account SET balance = balance + 10 WHERE id = ?", target)
    connection.commit()


def withdraw(key: int, connection: Any) -> str:  # noqa: ANN401 - either driver's
    """Take from one row if both together allow it."""
    balances = [ask(connection, "SELECT balance FROM account WHERE id = ?", each).fetchone()[0] for each in (1, 2)]
    if sum(balances) >= _BOTH:
        ask(connection, "UPDATE account SET balance = balance - 150 WHERE id = ?", key)
    connection.commit()
    return "took" if sum(balances) >= _BOTH else "refused"


def book(key: int, connection: Any) -> str:  # noqa: ANN401 - either driver's
    """Insert a row if a read finds none of its name."""
    if ask(connection, "SELECT id FROM booking WHERE seat = ?", "1a").fetchone() is not None:
        connection.commit()
        return "taken"
    ask(connection, "INSERT INTO booking (id, seat) VALUES (?, ?)", key, "1a")
    connection.commit()
    return "booked"


def checker(connection: Any) -> tuple[int, ...]:  # noqa: ANN401 - either driver's
    """Read one version three times, a transaction each, with reads of another row between."""
    seen = []
    for _ in range(3):
        _pad(connection, _CHECKED)
        seen.append(ask(connection, "SELECT version FROM account WHERE id = ?", 1).fetchone()[0])
        connection.commit()
    return tuple(seen)


def flipper(version: int, connection: Any) -> None:  # noqa: ANN401 - either driver's
    """Read another row for long, then set the version."""
    _pad(connection, _FLIPPED)
    ask(connection, "UPDATE account SET version = ? WHERE id = ?", version, 1)
    connection.commit()


def _pad(connection: Any, times: int) -> None:  # noqa: ANN401 - either driver's
    for _ in range(times):
        ask(connection, "SELECT balance FROM account WHERE id = ?", 2).fetchone()


#: By name, a worker each.
BODIES: Final[dict[str, tuple[Body, ...]]] = {
    "naive x2": (naive,) * 2,
    "naive x3": (naive,) * 3,
    "optimistic x3": (optimistic,) * 3,
    "transfers in opposite order": (partial(transfer, 1, 2), partial(transfer, 2, 1)),
    "write skew": (partial(withdraw, 1), partial(withdraw, 2)),
    "check, then insert": (partial(book, 1), partial(book, 2)),
    "checker, two flippers": (checker, partial(flipper, 1), partial(flipper, 2)),
}


def holds(name: str, balances: Iterable[int], bookings: int, results: Iterable[object] = ()) -> bool:
    """Say whether what is left is right: the invariant of the bodies of a name."""
    total, workers = sum(balances), len(BODIES[name])
    if name.startswith(("naive", "optimistic")):
        return total == 2 * START - workers * AMOUNT
    if name == "transfers in opposite order":
        return total == 2 * START
    if name == "checker, two flippers":
        return (0, 1, 2) not in tuple(results)
    return bookings <= 1 if name == "check, then insert" else total >= 0
