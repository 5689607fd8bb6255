"""Schedules on SQLite, replayed: every record is the same again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest

from orchestrator.explorer.hub import Crash
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from tests.unit.exploring_sqlite import ACCOUNTS, explored, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.exploring_sqlite import Explored

TABLES = """
    CREATE TABLE entry (id INTEGER PRIMARY KEY AUTOINCREMENT, account REFERENCES account, name TEXT UNIQUE);
    CREATE TABLE audit (what TEXT);
    CREATE TRIGGER note AFTER UPDATE ON account BEGIN INSERT INTO audit VALUES (old.balance || '>' || new.balance); END;
"""


def _reads_and_writes(path: Path, level: Literal["DEFERRED", "IMMEDIATE"] | None, begin: str) -> str:
    with closing(sqlite3.connect(path, isolation_level=level)) as connection:
        if begin:
            connection.execute(begin)
        (balance,) = connection.execute("SELECT balance FROM account WHERE id = 1").fetchone()
        connection.execute("UPDATE account SET balance = ? WHERE id = 1", (balance + 1,))
        connection.commit()
    return "done"


def _tries_again(path: Path) -> int:
    for tries in range(5):
        try:
            _reads_and_writes(path, None, "BEGIN")
        except sqlite3.OperationalError:
            continue
        return tries
    return -1


def _names(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        try:
            connection.execute("INSERT INTO entry (account, name) VALUES (2, 'only')")
        except sqlite3.IntegrityError as error:
            return str(error)
        connection.execute("SAVEPOINT a")
        connection.execute("DELETE FROM entry")
        connection.execute("ROLLBACK TO a")
        connection.commit()
    return "named"


def _removes(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        try:
            with connection:
                connection.execute("DELETE FROM account WHERE id = 2")
        except sqlite3.IntegrityError as error:
            return str(error)
    return "removed"


def _forgets(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE account SET balance = 0")


def _survives(path: Path) -> str:
    try:
        return _reads_and_writes(path, "DEFERRED", "")
    except Crash:
        return "crashed"


BODIES: dict[str, list[Callable[[Path], object]]] = {
    "naive": [partial(_reads_and_writes, level="DEFERRED", begin="")] * 3,
    "modes": [
        partial(_reads_and_writes, level="DEFERRED", begin=""),
        partial(_reads_and_writes, level="IMMEDIATE", begin="BEGIN IMMEDIATE"),
        partial(_reads_and_writes, level=None, begin=""),
        partial(_reads_and_writes, level=None, begin="BEGIN"),
    ],
    "tries": [_tries_again] * 3,
    "constraints": [_names, _names, _removes],
    "stuck": [_forgets, partial(_reads_and_writes, level="DEFERRED", begin=""), _names],
    "crashes": [_survives] * 3,
}


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Explored]:
    """Accounts, what refers to them, and a trigger."""
    with explored(tmp_path / "bank.db", f"{ACCOUNTS}{TABLES}") as exploration:
        yield exploration


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a body that forgets its connection is among them
@pytest.mark.parametrize(("threads", "schedules"), [(False, 167), (True, 20)])
@pytest.mark.parametrize("what", BODIES)
def test_same_choices_same_records(bank: Explored, what: str, threads: bool, schedules: int) -> None:  # noqa: FBT001 - a parameter
    """A thousand random schedules, each replayed by its choices alone: events, records, rows and errors are equal."""
    bodies = [partial(body, bank.path) for body in BODIES[what]]
    crashes = 2 if what == "crashes" else 0
    seen = set()
    for seed in range(schedules):
        first = bank.run(RandomWalk(seed), *bodies, threads=threads, crashes=crashes)
        again = bank.run(Replay(first.choices), *bodies, threads=threads, crashes=crashes)
        assert shown(first) == shown(again)
        seen.add(repr([each.shown for each in first.endings]) + repr(first.state))
    assert len(seen) > 1
