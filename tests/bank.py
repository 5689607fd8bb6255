"""Bodies on a bank's two accounts, as someone would write them who knows nothing of the explorer, for either driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.explorer.judging import Outcome

    #: Takes a connection of either driver.
    Body = Callable[[Any], object]

#: What each account holds at first.
START: Final = 100
#: Attempts that a body makes before it gives up.
_TRIES: Final = 4


def accounts(connection: Any) -> None:  # noqa: ANN401 - either driver's
    """Make two accounts of 100 each."""
    connection.execute(
        "CREATE TABLE account (id integer PRIMARY KEY, balance integer NOT NULL, version integer NOT NULL)"
    )
    connection.execute("INSERT INTO account VALUES (1, 100, 0), (2, 100, 0)")


def _balance(connection: Any, account: int) -> tuple[int, int]:  # noqa: ANN401 - as above
    query = f"SELECT balance, version FROM account WHERE id = {account}"  # noqa: S608 - a number of ours
    balance, version = connection.execute(query).fetchone()
    return balance, version


def _set(connection: Any, account: int, change: str, condition: str = "") -> int:  # noqa: ANN401 - as above
    statement = f"UPDATE account SET {change} WHERE id = {account}{condition}"  # noqa: S608 - as above
    changed: int = connection.execute(statement).rowcount
    return changed


def deposit(connection: Any) -> None:  # noqa: ANN401 - as above
    """Add 10 to what was read: an update may be lost."""
    balance, _ = _balance(connection, 1)
    _set(connection, 1, f"balance = {balance + 10}")
    connection.commit()


def careful_deposit(connection: Any) -> str:  # noqa: ANN401 - as above
    """Add 10 if nobody came between, else try again."""
    for _ in range(_TRIES):
        balance, version = _balance(connection, 1)
        if _set(connection, 1, f"balance = {balance + 10}, version = {version + 1}", f" AND version = {version}"):
            connection.commit()
            return "done"
        connection.rollback()
    return "gave up"


def move(source: int, target: int) -> Body:
    """Move 10 from one account to the other, in two statements."""

    def moved(connection: Any) -> None:  # noqa: ANN401 - as above
        _set(connection, source, "balance = balance - 10")
        _set(connection, target, "balance = balance + 10")
        connection.commit()

    return moved


def withdraw(account: int) -> Body:
    """Take 150 from one account if both together have it."""

    def withdrawn(connection: Any) -> bool:  # noqa: ANN401 - as above
        both = _balance(connection, 1)[0] + _balance(connection, 2)[0]
        if both < 150:
            return False
        _set(connection, account, "balance = balance - 150")
        connection.commit()
        return True

    return withdrawn


def nothing_lost(deposits: int) -> Callable[[Outcome], bool]:
    """Say that all deposits are there."""

    def check(outcome: Outcome) -> bool:
        balance: int = outcome.rows["account"][0]["balance"]
        return balance == START + 10 * deposits

    return check


def in_credit(outcome: Outcome) -> str | None:
    """Hold that both accounts together are never below zero."""
    total = sum(row["balance"] for row in outcome.rows["account"])
    return None if total >= 0 else f"Both accounts together hold {total}."
