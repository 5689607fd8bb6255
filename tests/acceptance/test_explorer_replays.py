"""Seeded random schedules run again from their choices: each record, each ending and each row must be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from tests.configurations import (
    ACCOUNT,
    BORN,
    BORN_TOO,
    COUNTED,
    FAMILY,
    IGNORED,
    LEVELS,
    MOVED,
    NAMED,
    ORPHANED,
    POSTGRES_TRIGGER,
    SEATED,
    SEATED_TOO,
    SQLITE_TRIGGER,
    TOTAL,
    UNIQUE,
    Configuration,
    on_postgres,
    on_sqlite,
)
from tests.small_bodies import (
    advisory,
    atomic,
    begun,
    claim,
    impatient,
    naive,
    optimistic,
    refusing,
    sends,
    skew,
    torn,
    transfer,
)

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.controlled.arena import BodiesArena
    from orchestrator.explorer.model import Execution
    from tests.small_bodies import Body

#: In every run of the tests, and in the long form, on each backend.
SHORT, LONG = 300, 10_000


class Mix(NamedTuple):
    """Five bodies that get into each other's way; three workers run the first three."""

    name: str
    set_up: tuple[str, ...]
    bodies: tuple[Body, ...]


_ROWS = (naive(1), transfer(1, 2), transfer(2, 1), optimistic(1, tries=2), skew(2))
_UNIQUE = (
    refusing(sends(SEATED)),
    sends(SEATED_TOO, undo=True),
    refusing(sends(SEATED_TOO + COUNTED)),
    sends("DELETE FROM place WHERE seat = '1a'", SEATED + IGNORED),
    refusing(sends("INSERT INTO place (id, seat, taken) VALUES (3, '1b', 1)", SEATED)),
)
_FAMILY = tuple(refusing(sends(*each)) for each in ((BORN,), (ORPHANED,), (BORN_TOO, NAMED), (MOVED,), (NAMED, BORN)))
_TRIGGER = (atomic(1), atomic(2), transfer(2, 1), skew(1), refusing(sends("UPDATE total SET changes = 9", SEATED)))
_LOCKS = (advisory("xact"), claim, naive(lock="FOR UPDATE"), impatient, naive(2, lock="FOR SHARE"))

SQLITE_MIXES = (
    Mix("rows", ACCOUNT, _ROWS),
    Mix("begun", ACCOUNT, (begun(naive()), begun(skew(1), "BEGIN IMMEDIATE"), torn(), begun(skew(2)), atomic())),
    Mix("unique", UNIQUE, _UNIQUE),
    Mix("foreign-key", FAMILY, tuple(begun(body, "PRAGMA foreign_keys = ON") for body in _FAMILY)),
    Mix("trigger", TOTAL + UNIQUE + SQLITE_TRIGGER, _TRIGGER),
)
POSTGRES_MIXES = (
    Mix("rows", ACCOUNT, _ROWS),
    Mix("unique", UNIQUE, _UNIQUE),
    Mix("foreign-key", FAMILY, _FAMILY),
    Mix("trigger", TOTAL + UNIQUE + POSTGRES_TRIGGER, _TRIGGER),
    Mix("locks", ACCOUNT, _LOCKS),
)
WORKERS = (3, 5)

_SQLITE = [Configuration(mix.name, "sqlite", "sqlite", mix.set_up, mix.bodies) for mix in SQLITE_MIXES]
_POSTGRES = [
    Configuration(f"{mix.name}-{level}", "postgres", level, mix.set_up, mix.bodies)
    for mix in POSTGRES_MIXES
    for level in LEVELS
]
_FORMS = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.prove)]


def traits(execution: Execution) -> list[Any]:
    """Everything that a replay must repeat, in a form whose first difference is easy to find."""
    steps = [
        (
            ready,
            record.worker,
            record.point.statement,
            record.point.parameters,
            record.blocked,
            record.answered,
            record.rows,
            record.count,
            record.error,
        )
        for ready, record in zip(execution.ready, execution.records, strict=True)
    ]
    return [*steps, tuple(ending.shown for ending in execution.endings), execution.state, execution.stuck]


def waits_replayed(arena: BodiesArena, schedules: int) -> int:
    """Run so many seeded schedules twice, hold the second against the first, and count the statements that waited."""
    waits = 0
    for seed in range(schedules):
        walked = arena.run(RandomWalk(seed))
        replayed = arena.run(Replay(walked.choices))
        assert traits(walked) == traits(replayed), f"seed {seed}"
        waits += sum(record.blocked for record in walked.records)
    return waits


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("schedules", _FORMS)
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("mix", _SQLITE, ids=lambda mix: mix.name)
def test_replays_on_sqlite_never_differ(mix: Configuration, workers: int, schedules: int, tmp_path: Path) -> None:
    """A schedule's choices give the same run again, blocked statements, errors and rows included."""
    with on_sqlite(mix._replace(bodies=mix.bodies[:workers]), tmp_path) as arena:
        assert waits_replayed(arena, -(-schedules // (len(_SQLITE) * len(WORKERS)))) > 0


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("schedules", _FORMS)
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("mix", _POSTGRES, ids=lambda mix: mix.name)
def test_replays_on_postgres_never_differ(mix: Configuration, workers: int, schedules: int, database_url: str) -> None:
    """A schedule's choices give the same run again: row, unique, foreign-key, trigger and advisory waits included."""
    with on_postgres(mix._replace(bodies=mix.bodies[:workers]), database_url) as arena:
        assert waits_replayed(arena, -(-schedules // (len(_POSTGRES) * len(WORKERS)))) > 0
