"""The SQLite link: levels, blocking, stamps, the guard, and what it refuses."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from orchestrator.schema.sqlite import create
from worker.contract import Isolation, Reason
from worker.errors import Conflict, Duplicate
from worker.link import Begin
from worker.scenarios.config import INITIAL
from worker.sqlite import Hooks, Inexpressible, SqliteLink, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from worker.link import Sending

_META = sa.MetaData()
_USERS = sa.Table(
    "users", _META, *(sa.Column(name, sa.Integer) for name in ("id", "credits", "version", "seq", "writer"))
)
_CONFIGS = sa.Table("configs", _META, sa.Column("id", sa.Integer), sa.Column("config", sa.JSON))
_READ = sa.select(_USERS.c.credits, _USERS.c.seq, _USERS.c.writer).where(_USERS.c.id == sa.bindparam("key"))
_WRITE = sa.update(_USERS).where(_USERS.c.id == sa.bindparam("key")).values(credits=sa.bindparam("new"))
_ABOVE = [Isolation.REPEATABLE_READ, Isolation.SERIALIZABLE]


class Gave(Exception):
    """The write lock was taken; the test goes on elsewhere."""


class Bench:
    """Two links on one database, and what their hooks were told."""

    def __init__(self, path: Path) -> None:
        self.points: list[Sending] = []
        self.when_blocked: Callable[[], None] = self._give
        hooks = Hooks(self.points.append, self._blocked, count(1).__next__, count(7_000, 1_000).__next__)
        self.connections = [connect(path) for _ in range(2)]
        self.one, self.two = (SqliteLink(connection, hooks) for connection in self.connections)

    def create(self, scenario: str = "credits", *, idempotency: bool = True, recording: bool = True) -> None:
        """Make the scenario's tables with two rows."""
        create(self.connections[0], scenario, 2, idempotency=idempotency, recording=recording)

    def effects(self, columns: str = "*") -> list[tuple[Any, ...]]:
        """Read what the triggers recorded."""
        return self.connections[0].execute(f"SELECT {columns} FROM effects").fetchall()  # noqa: S608 - a test's own text

    def _blocked(self) -> None:
        self.when_blocked()

    @staticmethod
    def _give() -> None:
        raise Gave


@contextmanager
def _bench(path: Path) -> Iterator[Bench]:
    bench = Bench(path / "race.db")
    with closing(bench.connections[0]), closing(bench.connections[1]):
        yield bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench with the scenario credits."""
    with _bench(tmp_path) as made:
        made.create()
        yield made


def _begin(isolation: Isolation = Isolation.READ_COMMITTED, writer: str | None = "11:3") -> Begin:
    return Begin(isolation, writer)


def _credits(link: SqliteLink, key: int = 0) -> int:
    return int(link.execute(_READ, {"key": key}).rows[0][0])


def _set(link: SqliteLink, new: int, key: int = 0) -> int:
    return link.execute(_WRITE, {"key": key, "new": new}).count


def test_read_committed_sees_what_others_committed(bench: Bench) -> None:
    """At READ COMMITTED each statement sees the latest commit."""
    bench.one.begin(_begin())
    before = _credits(bench.one)
    bench.two.begin(_begin(writer="12:4"))
    _set(bench.two, 50)
    unseen = _credits(bench.one)
    bench.two.commit()
    assert (before, unseen, _credits(bench.one)) == (100, 100, 50)


def test_read_committed_overwrites_unseen(bench: Bench) -> None:
    """At READ COMMITTED an absolute write loses a commit that it hasn't seen, as on Postgres."""
    bench.one.begin(_begin())
    seen = _credits(bench.one)
    bench.two.begin(_begin(writer="12:4"))
    _set(bench.two, 50)
    bench.two.commit()
    _set(bench.one, seen - 1)
    bench.one.commit()
    assert _credits(bench.two) == 99


@pytest.mark.parametrize("isolation", _ABOVE)
def test_snapshot_stays(bench: Bench, isolation: Isolation) -> None:
    """Above READ COMMITTED a transaction reads from one snapshot."""
    bench.one.begin(_begin(isolation))
    before = _credits(bench.one)
    bench.two.begin(_begin(isolation, "12:4"))
    _set(bench.two, 50)
    bench.two.commit()
    assert (before, _credits(bench.one)) == (100, 100)


@pytest.mark.parametrize("isolation", _ABOVE)
def test_stale_snapshot_may_not_write(bench: Bench, isolation: Isolation) -> None:
    """Above READ COMMITTED a write on a stale snapshot is a serialization failure; a rollback makes a new start."""
    bench.one.begin(_begin(isolation))
    _credits(bench.one)
    bench.two.begin(_begin(isolation, "12:4"))
    _set(bench.two, 50)
    bench.two.commit()
    with pytest.raises(Conflict) as met:
        _set(bench.one, 99)
    bench.one.rollback()
    bench.one.begin(_begin(isolation))
    _set(bench.one, _credits(bench.one) - 1)
    bench.one.commit()
    assert (met.value.reason, _credits(bench.two)) == (Reason.SERIALIZATION, 49)


@pytest.mark.parametrize("isolation", list(Isolation))
def test_blocked_write_waits_and_tries_again(bench: Bench, isolation: Isolation) -> None:
    """A write that meets the lock calls the hook and goes on when it returns."""
    bench.two.begin(_begin(isolation, "12:4"))
    _set(bench.two, 50, key=1)
    bench.when_blocked = bench.two.commit
    bench.one.begin(_begin(isolation))
    _set(bench.one, 99)
    bench.one.commit()
    assert (_credits(bench.two), _credits(bench.two, 1)) == (99, 50)


def test_rollback_after_blocking_is_right(bench: Bench) -> None:
    """A worker that gives up while blocked leaves nothing behind."""
    bench.two.begin(_begin(writer="12:4"))
    _set(bench.two, 50)
    bench.one.begin(_begin())
    with pytest.raises(Gave):
        _set(bench.one, 99)
    bench.one.rollback()
    bench.two.commit()
    assert (_credits(bench.one), [connection.in_transaction for connection in bench.connections]) == (
        50,
        [False, False],
    )


def test_switch_points_come_before_statements(bench: Bench) -> None:
    """Each statement, COMMIT and ROLLBACK is announced before it is sent."""
    bench.one.begin(_begin())
    _credits(bench.one)
    _set(bench.one, 1)
    bench.one.commit()
    bench.one.begin(_begin())
    bench.one.rollback()
    kinds = [point.kind for point in bench.points]
    assert (kinds, bench.points[1].text) == (
        ["statement", "statement", "commit", "rollback"],
        "UPDATE users SET credits=:new WHERE users.id = :key",
    )


def test_trigger_stamps_and_records(bench: Bench) -> None:
    """Row and effect carry seq and writer from the trigger, and the effect the values before and after."""
    bench.one.begin(_begin(writer="4294967297:3"))
    _set(bench.one, 90)
    _set(bench.one, 80)
    bench.one.commit()
    assert bench.effects() == [
        ("users", "0", 1, 0, 0, '{"id":0,"credits":100}', '{"id":0,"credits":90}', 4294967297, 3, 1, 9),
        ("users", "0", 2, 0, 0, '{"id":0,"credits":90}', '{"id":0,"credits":80}', 4294967297, 3, 1, 11),
    ]
    assert bench.one.execute(_READ, {"key": 0}).rows == [(80, 2, 4294967297)]


def test_insert_and_delete_are_recorded(bench: Bench) -> None:
    """A row's first and last change are effects too."""
    bench.one.begin(_begin())
    bench.one.execute(sa.insert(_USERS), {"id": 5, "credits": 1, "version": 0, "seq": 9, "writer": 9})
    bench.one.execute(sa.delete(_USERS).where(_USERS.c.id == sa.bindparam("key")), {"key": 5})
    bench.one.commit()
    assert bench.effects("key, seq, version_before, version_after, before, after, writer") == [
        ("5", 1, None, 0, None, '{"id":5,"credits":1}', 11),
        ("5", 2, 0, None, '{"id":5,"credits":1}', None, 11),
    ]


def test_write_without_writer_is_nobodys(bench: Bench) -> None:
    """A write outside a transaction of rowrace's is recorded with writer 0 and operation -1."""
    _set(bench.one, 1)
    _set(bench.one, 2)
    assert bench.effects("seq, writer, operation, txid") == [(1, 0, -1, 1), (2, 0, -1, 2)]


def test_value_of_json_is_json(tmp_path: Path) -> None:
    """A configuration goes in and out as a value, and its effect nests it."""
    with _bench(tmp_path) as bench:
        bench.create("config")
        bench.one.begin(_begin())
        bench.one.execute(
            sa.update(_CONFIGS)
            .where(_CONFIGS.c.id == sa.bindparam("key"))
            .values(config=sa.bindparam("new", type_=sa.JSON)),
            {"key": 1, "new": {"calls": 1}},
        )
        bench.one.commit()
        rows = bench.one.execute(sa.select(_CONFIGS.c.id, _CONFIGS.c.config), {}).rows
        assert (rows, bench.effects("after")) == (
            [(0, INITIAL), (1, {"calls": 1})],
            [('{"id":1,"config":{"calls":1}}',)],
        )


def test_second_application_is_rolled_back_whole(bench: Bench) -> None:
    """The guard undoes all of a second application of an operation."""
    bench.one.begin(_begin(writer="11:3"))
    _set(bench.one, 90)
    _set(bench.one, 110, key=1)
    bench.one.commit()
    bench.two.begin(_begin(writer="12:3"))
    with pytest.raises(Duplicate):
        _set(bench.two, 80)
    bench.two.rollback()
    assert (_credits(bench.one), bench.effects("writer")) == (90, [(11,), (11,)])


def test_rolled_back_application_is_none(bench: Bench) -> None:
    """What was rolled back may be applied again."""
    bench.one.begin(_begin(writer="11:3"))
    _set(bench.one, 90)
    bench.one.rollback()
    bench.two.begin(_begin(writer="12:3"))
    _set(bench.two, 80)
    bench.two.commit()
    assert (_credits(bench.one), bench.effects("writer, seq")) == (80, [(12, 1)])


def test_without_guard_an_operation_applies_twice(tmp_path: Path) -> None:
    """Idempotency is the run's choice."""
    with _bench(tmp_path) as bench:
        bench.create(idempotency=False)
        for writer in ("11:3", "12:3"):
            bench.one.begin(_begin(writer=writer))
            _set(bench.one, 90)
            bench.one.commit()
        assert bench.effects("writer, seq") == [(11, 1), (12, 2)]


def test_without_recording_there_are_no_triggers(tmp_path: Path) -> None:
    """A benchmark's tables watch nothing."""
    with _bench(tmp_path) as bench:
        bench.create(recording=False)
        bench.one.begin(_begin(writer=None))
        _set(bench.one, 90)
        bench.one.commit()
        assert (bench.effects(), bench.one.execute(_READ, {"key": 0}).rows) == ([], [(90, 0, 0)])


def test_locking_read_is_refused(bench: Bench) -> None:
    """FOR UPDATE is an error here, never a plain read."""
    with pytest.raises(Inexpressible, match="no row locks"):
        bench.one.execute(_READ.with_for_update(), {"key": 0})


def test_other_errors_stay_what_they_are(bench: Bench) -> None:
    """An error that is no conflict reaches the body as the driver raised it."""
    with pytest.raises(sqlite3.OperationalError, match="no such function"):
        bench.one.execute(sa.select(sa.func.pg_advisory_xact_lock()), {})


def test_matched_rows_are_counted(bench: Bench) -> None:
    """Rows matched are the answer's count, by the statement alone and not by its triggers."""
    bench.one.begin(_begin())
    assert (_set(bench.one, 90), _set(bench.one, 90, key=7), bench.one.execute(_READ, {"key": 7}).count) == (1, 0, 0)


def test_close_leaves_no_transaction(bench: Bench) -> None:
    """A link that is given back in the middle is clean."""
    bench.one.begin(_begin())
    _set(bench.one, 90)
    bench.one.close()
    assert (bench.connections[0].in_transaction, _credits(bench.two)) == (False, 100)
