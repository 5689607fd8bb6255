"""Bodies a few statements long, for either backend: what people write, and what goes wrong with it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

    Body = Callable[[Any], object]

#: What either driver raises for a duplicate or a missing parent.
REFUSED = (sqlite3.IntegrityError, psycopg.IntegrityError)


def ask(connection: Any, sql: str, *parameters: object) -> Any:  # noqa: ANN401 - either driver's cursor
    """Send a statement in the backend's own parameter style."""
    text = sql if isinstance(connection, sqlite3.Connection) else sql.replace("?", "%s")
    return connection.execute(text, parameters)


def begun(body: Body, how: str = "BEGIN") -> Body:
    """Begin a transaction by hand, as SQLite's driver does not before it reads."""

    def whole(connection: Any) -> object:  # noqa: ANN401 - either driver's
        ask(connection, how)
        return body(connection)

    return whole


def refusing(body: Body) -> Body:
    """Take a violated constraint for an outcome."""

    def whole(connection: Any) -> object:  # noqa: ANN401 - either driver's
        try:
            return body(connection)
        except REFUSED as error:
            connection.rollback()
            return type(error).__name__

    return whole


def alone(body: Body) -> Body:
    """Make each statement a transaction of its own."""

    def whole(connection: psycopg.Connection) -> object:
        connection.autocommit = True
        try:
            return body(connection)
        finally:
            connection.autocommit = False

    return whole


def naive(key: int = 1, *, lock: str = "") -> Body:
    """Read a balance, reckon, write it."""

    def body(connection: Any) -> object:  # noqa: ANN401 - either driver's
        (balance,) = ask(connection, f"SELECT balance FROM account WHERE id = ? {lock}", key).fetchone()  # noqa: S608 - a test's own words
        ask(connection, "UPDATE account SET balance = ? WHERE id = ?", balance - 10, key)
        connection.commit()
        return balance

    return body


def torn(key: int = 1) -> Body:
    """Commit between the read and the write."""

    def body(connection: Any) -> object:  # noqa: ANN401 - either driver's
        (balance,) = ask(connection, "SELECT balance FROM account WHERE id = ?", key).fetchone()
        connection.commit()
        ask(connection, "UPDATE account SET balance = ? WHERE id = ?", balance - 10, key)
        connection.commit()
        return balance

    return body


def optimistic(key: int = 1, tries: int = 1) -> Body:
    """Write only if the version is the one that was read; else try again, so often."""

    def body(connection: Any) -> object:  # noqa: ANN401 - either driver's
        for attempt in range(tries):
            sql = "SELECT balance, version FROM account WHERE id = ?"
            balance, version = ask(connection, sql, key).fetchone()
            sql = "UPDATE account SET balance = ?, version = version + 1 WHERE id = ? AND version = ?"
            if ask(connection, sql, balance - 10, key, version).rowcount == 1:
                connection.commit()
                return attempt
            connection.rollback()
        return "gave up"

    return body


def atomic(key: int = 1) -> Body:
    """Let the database reckon."""

    def body(connection: Any) -> None:  # noqa: ANN401 - either driver's
        ask(connection, "UPDATE account SET balance = balance - 10 WHERE id = ?", key)
        connection.commit()

    return body


def transfer(source: int, target: int) -> Body:
    """Take from one row, give to the other, in this order."""

    def body(connection: Any) -> None:  # noqa: ANN401 - either driver's
        ask(connection, "UPDATE account SET balance = balance - 10 WHERE id = ?", source)
        ask(connection, "UPDATE account SET balance = balance + 10 WHERE id = ?", target)
        connection.commit()

    return body


def reader(*keys: int) -> Body:
    """Read rows, one statement each."""

    def body(connection: Any) -> object:  # noqa: ANN401 - either driver's
        seen = [ask(connection, "SELECT balance FROM account WHERE id = ?", key).fetchone() for key in keys]
        connection.commit()
        return seen

    return body


def skew(key: int, *, lock: str = "") -> Body:
    """Take from one row if both together allow it."""

    def body(connection: Any) -> object:  # noqa: ANN401 - either driver's
        rows = ask(connection, f"SELECT balance FROM account WHERE id IN (1, 2) ORDER BY id {lock}").fetchall()  # noqa: S608 - a test's own words
        total = sum(balance for (balance,) in rows)
        if total >= 150:
            ask(connection, "UPDATE account SET balance = balance - 150 WHERE id = ?", key)
        connection.commit()
        return total

    return body


def sends(*statements: str, undo: bool = False) -> Body:
    """Send statements one after another, commit or roll back, and return what each gave."""

    def body(connection: Any) -> object:  # noqa: ANN401 - either driver's
        gave = []
        for sql in statements:
            cursor = ask(connection, sql)
            gave.append(cursor.fetchall() if cursor.description is not None else cursor.rowcount)
        connection.rollback() if undo else connection.commit()
        return gave

    return body


def checked_insert(key: int) -> Body:
    """Insert a row if a read finds none of its name."""

    def body(connection: Any) -> object:  # noqa: ANN401 - either driver's
        if ask(connection, "SELECT count(*) FROM booking WHERE seat = ?", "1a").fetchone()[0]:
            connection.commit()
            return "taken"
        ask(connection, "INSERT INTO booking (id, seat) VALUES (?, ?)", key, "1a")
        connection.commit()
        return "booked"

    return body


def next_number(connection: Any) -> object:  # noqa: ANN401 - either driver's
    """Insert under the highest id plus one."""
    number = ask(connection, "SELECT max(id) FROM account").fetchone()[0] + 1
    ask(connection, "INSERT INTO account (id, balance, version) VALUES (?, 0, 0)", number)
    connection.commit()
    return number


def claim(connection: psycopg.Connection[Any]) -> object:
    """Take the first row that nobody else has."""
    sql = "SELECT id FROM account WHERE version = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
    row = connection.execute(sql).fetchone()
    if row is not None:
        connection.execute("UPDATE account SET version = 1 WHERE id = %s", row)
    connection.commit()
    return row


def impatient(connection: psycopg.Connection[Any]) -> object:
    """Give up where the row is locked."""
    try:
        connection.execute("SELECT balance FROM account WHERE id = 1 FOR UPDATE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        connection.rollback()
        return "locked"
    connection.execute("UPDATE account SET balance = balance - 10 WHERE id = 1")
    connection.commit()
    return "done"


def savepoint(key: int, *, undo: bool) -> Body:
    """Update both rows, the second inside a savepoint that may be undone."""

    def body(connection: Any) -> None:  # noqa: ANN401 - either driver's
        ask(connection, "UPDATE account SET balance = balance - 10 WHERE id = ?", key)
        ask(connection, "SAVEPOINT inner_one")
        ask(connection, "UPDATE account SET version = version + 1 WHERE id = ?", 3 - key)
        ask(connection, f"{'ROLLBACK TO' if undo else 'RELEASE'} SAVEPOINT inner_one")
        connection.commit()

    return body


def advisory(how: str) -> Body:
    """Read and write a row under an advisory lock: "xact", "session" or "try"."""
    lock = {
        "xact": "SELECT pg_advisory_xact_lock(7)",
        "session": "SELECT pg_advisory_lock(7)",
        "try": "SELECT pg_try_advisory_xact_lock(7)",
    }[how]

    def body(connection: psycopg.Connection[Any]) -> object:
        got = ask(connection, lock).fetchone()
        if got == (False,):
            connection.rollback()
            return "busy"
        balance = naive()(connection)
        if how == "session":
            ask(connection, "SELECT pg_advisory_unlock(7)")
            connection.commit()
        return balance

    return body


def forgetful(connection: Any) -> None:  # noqa: ANN401 - either driver's
    """Update and end without a commit."""
    ask(connection, "UPDATE account SET balance = balance - 10 WHERE id = 1")
