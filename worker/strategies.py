"""The strategies: how a body guards against conflict, each a plain function as a user would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.contract import Isolation, Reason
from worker.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.access import Access
    from worker.scenarios.model import Change


def naive(db: Access, change: Change) -> None:
    """Read, think, write an absolute value in one transaction: loses updates at read committed."""
    with db.transaction():
        _read_think_write(db, change)


def naive_autocommit(db: Access, change: Change) -> None:
    """Read before the transaction, then write an absolute value in one: loses updates at every level."""
    old = {key: db.read(key).value for key in change.keys}
    new = change.new(old)
    db.think()
    with db.transaction():
        for key in change.keys:
            db.update(key, new[key])


def optimistic(db: Access, change: Change) -> None:
    """Read without a lock, write only where the version is still the one read."""
    with db.transaction():
        rows = {key: db.read(key) for key in change.keys}
        new = change.new({key: row.value for key, row in rows.items()})
        db.think()
        for key in change.keys:
            db.update(key, new[key], seen=rows[key].version)


def pessimistic(db: Access, change: Change) -> None:
    """Lock the rows while reading them, in key order."""
    with db.transaction():
        old = {key: db.read(key, lock=True).value for key in change.keys}
        new = change.new(old)
        db.think()
        for key in change.keys:
            db.update(key, new[key])


def atomic(db: Access, change: Change) -> None:
    """Let one statement read and write; where it matched nothing, the row's own state must say why."""
    with db.transaction():
        for step in change.steps(db.dialect):
            if not db.apply(step):
                change.new({key: db.read(key).value for key in change.keys})  # refuses, as a rule
                raise Conflict(Reason.VERSION)  # the row has changed since the statement looked


def advisory(db: Access, change: Change) -> None:
    """Hold an advisory lock per row, in key order, past COMMIT."""
    if db.isolation is Isolation.READ_COMMITTED:
        with db.transaction():
            db.advisory(change.keys)
            _read_think_write(db, change)
        return
    # Above read committed the transaction's first statement fixes what it sees: the lock must come before.
    with db.advisory_session(change.keys), db.transaction():
        _read_think_write(db, change)


def serializable(db: Access, change: Change) -> None:
    """Read and write plainly, and trust SERIALIZABLE to abort what can't be serial."""
    with db.transaction(Isolation.SERIALIZABLE):
        _read_think_write(db, change)


def _read_think_write(db: Access, change: Change) -> None:
    new = change.new({key: db.read(key).value for key in change.keys})
    db.think()
    for key in change.keys:
        db.update(key, new[key])


STRATEGIES: Final[Mapping[str, Callable[[Access, Change], None]]] = {
    "naive": naive,
    "naive-autocommit": naive_autocommit,
    "optimistic": optimistic,
    "pessimistic": pessimistic,
    "atomic": atomic,
    "advisory": advisory,
    "serializable": serializable,
}
