"""Which steps depend on each other, rule by rule."""

from __future__ import annotations

import pytest

from orchestrator.explorer.dependence import Dependence, dependent
from orchestrator.explorer.model import EVERY, EVERYTHING, NOTHING, Event, Footprint, Place

COMMITTED, REPEATABLE, SERIALIZABLE, SQLITE = LEVELS = (
    "read committed",
    "repeatable read",
    "serializable",
    "sqlite",
)


def _row(key: object, table: str = "t") -> frozenset[Place]:
    return frozenset([Place(table, key)])


def _read(key: object, table: str = "t") -> Footprint:
    return Footprint(reads=_row(key, table))


def _write(key: object, table: str = "t") -> Footprint:
    return Footprint(writes=_row(key, table), locks=_row(key, table))


def _lock(key: object) -> Footprint:
    return Footprint(locks=_row(key))


def _share(key: object) -> Footprint:
    return Footprint(shares=_row(key))


def _sends(worker: int, footprint: Footprint, **more: bool) -> Event:
    return Event(worker, "statement", footprint, **more)  # type: ignore[arg-type]  # flags only


def _ends(worker: int, kind: str, footprint: Footprint) -> Event:
    return Event(worker, kind, footprint, closes=True)


def _levels(a: Event, b: Event) -> tuple[str, ...]:
    """Name the levels at which two events depend on each other, whichever comes first."""
    both = [(dependent(a, b, level), dependent(b, a, level)) for level in LEVELS]
    assert all(one == other for one, other in both)
    return tuple(level for level, (one, _) in zip(LEVELS, both, strict=True) if one)


CASES: dict[str, tuple[Event, Event, tuple[str, ...]]] = {
    "a worker's own steps": (_sends(0, _read(1)), _sends(0, _read(2)), LEVELS),
    "a read and a write statement": (_sends(0, _read(1)), _sends(1, _write(1)), (SERIALIZABLE,)),
    "a read and a COMMIT that wrote the row": (_sends(0, _read(1)), _ends(1, "commit", _write(1)), LEVELS),
    "a read of the table and such a COMMIT": (_sends(0, _read(EVERY)), _ends(1, "commit", _write(1)), LEVELS),
    "a read and a COMMIT that only locked": (_sends(0, _read(1)), _ends(1, "commit", _lock(1)), ()),
    "a read and a ROLLBACK": (_sends(0, _read(1)), _ends(1, "rollback", _write(1)), (SERIALIZABLE,)),
    "a read and a crash": (_sends(0, _read(1)), _ends(1, "crash", _write(1)), (SERIALIZABLE,)),
    "two writes of a row": (_sends(0, _write(1)), _sends(1, _write(1)), LEVELS),
    "writes of two rows": (_sends(0, _write(1)), _sends(1, _write(2)), (SERIALIZABLE,)),
    "writes of two tables": (_sends(0, _write(1)), _sends(1, _write(1, "u")), ()),
    "a write and a ROLLBACK that frees the row": (_sends(0, _write(1)), _ends(1, "rollback", _write(1)), LEVELS),
    "a write and a crash that frees the row": (_sends(0, _write(1)), _ends(1, "crash", _lock(1)), LEVELS),
    "two shares": (_sends(0, _share(1)), _sends(1, _share(1)), ()),
    "a share and a lock": (_sends(0, _share(1)), _sends(1, _lock(1)), LEVELS),
    "COMMITs of two rows": (
        _ends(0, "commit", _write(1)),
        _ends(1, "commit", _write(2)),
        (SERIALIZABLE,),
    ),
    "COMMITs of two tables": (  # of three transactions in a row these may be the first and the last
        _ends(0, "commit", _read(1)),
        _ends(1, "commit", _write(1, "u")),
        (SERIALIZABLE,),
    ),
    "COMMITs whose deferred checks meet": (_ends(0, "commit", _share(1)), _ends(1, "commit", _write(1)), LEVELS),
    "a snapshot and a COMMIT of anything": (
        _sends(0, _read(1), opens=True),
        _ends(1, "commit", _write(1, "u")),
        (REPEATABLE, SERIALIZABLE, SQLITE),
    ),
    "a later read and such a COMMIT": (_sends(0, _read(1)), _ends(1, "commit", _write(1, "u")), ()),
    "a snapshot and a COMMIT of nothing": (_sends(0, _read(1), opens=True), _ends(1, "commit", _read(1)), ()),
    "an autocommit write and a read": (_sends(0, _write(1), closes=True), _sends(1, _read(1)), LEVELS),
    "an autocommit write and a snapshot": (
        _sends(0, _write(1), closes=True),
        _sends(1, _read(2, "u"), opens=True),
        (REPEATABLE, SERIALIZABLE, SQLITE),
    ),
    "autocommit reads": (_sends(0, _read(1), closes=True), _sends(1, _read(1), closes=True), ()),
    "two who wait": (_sends(0, _write(1), waits=True), _sends(1, _write(1, "u"), waits=True), LEVELS),
    "one who waits, one who doesn't": (_sends(0, _write(1), waits=True), _sends(1, _write(1, "u")), ()),
    "two crashes": (_ends(0, "crash", NOTHING), _ends(1, "crash", NOTHING), LEVELS),
    "a crash and a step of another": (_ends(0, "crash", NOTHING), _sends(1, _write(1)), ()),
    "what can't be read, and a read": (_sends(0, EVERYTHING), _sends(1, _read(1)), LEVELS),
    "what can't be read, and a reader's end": (_sends(0, EVERYTHING), _ends(1, "commit", _read(1)), LEVELS),
    "a snapshot of another level and a COMMIT of anything": (
        _sends(0, _read(1), opens=True, strict=True),
        _ends(1, "commit", _write(1, "u")),
        LEVELS,
    ),
    "writes of two rows at other levels": (
        _sends(0, _write(1), strict=True),
        _sends(1, _write(2), strict=True),
        LEVELS,
    ),
    "writes of two rows, one at another level": (
        _sends(0, _write(1), strict=True),
        _sends(1, _write(2)),
        (SERIALIZABLE,),
    ),
    "what can't be read, and a lock": (_sends(0, EVERYTHING), _sends(1, _lock(1)), LEVELS),
    "two messages": (Event(0, "dequeue", NOTHING), Event(1, "dequeue", NOTHING), ()),
    "two messages of one queue": (Event(0, "dequeue", _lock(1)), Event(1, "acknowledge", _lock(1)), LEVELS),
    "an acknowledgement that reads": (Event(0, "acknowledge", _read(1)), _ends(1, "commit", _write(1)), ()),
    "writers of one file": (
        _sends(0, Footprint(writes=_row(1), locks=_row(EVERY, EVERY))),
        _ends(1, "commit", Footprint(writes=_row(2, "u"), locks=_row(EVERY, EVERY))),
        LEVELS,
    ),
    "a ROLLBACK that lets a write go on, and a read": (
        Event(0, "rollback", _write(1), closes=True, wakes=(2,)),
        _sends(1, _read(1)),
        LEVELS,
    ),
    "a COMMIT that lets a read go on, and a COMMIT": (
        Event(0, "commit", _read(1), closes=True, wakes=(2,)),
        _ends(1, "commit", _write(1)),
        LEVELS,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rule(name: str) -> None:
    """Each pair depends on each other at just these levels, in both orders."""
    a, b, expected = CASES[name]
    assert expected == _levels(a, b)


def test_serializable_looks_at_the_whole_transaction() -> None:
    """A pivot is told at its next statement, whatever that touches."""
    statement = Event(0, "statement", _read(1, "elsewhere"), before=_read(2))
    assert (SERIALIZABLE,) == _levels(statement, _ends(1, "commit", _write(1)))


def test_numbers_stand_for_events() -> None:
    """Equal events have one number, and a pair of numbers the same answer each time."""
    dependence = Dependence(COMMITTED)
    one, other = dependence.number(_sends(0, _write(1))), dependence.number(_sends(1, _write(1)))
    assert one == dependence.number(_sends(0, _write(1)))
    assert [True, True, True] == [dependence(one, other), dependence(other, one), dependence(one, other)]
