"""Traps: runs that show nothing are never VALID, and a message that is lost is found."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from psycopg import sql

from orchestrator import schema
from orchestrator.interrupt import Interrupt
from orchestrator.profile import Pool, Think
from orchestrator.reports.result import Exit
from orchestrator.verifier.verdict import Value
from tests.acceptance.racing import Spectator, histories, quick
from worker.contract import Retry

if TYPE_CHECKING:
    import pytest

    from orchestrator.groups import Group
    from orchestrator.progress import Counts
    from tests.acceptance.racing import Racing

ONE_TRY = Retry(attempts=1, base_ms=0.0, cap_ms=0.0)


def _newest(racing: Racing, before: set[str]) -> str:
    with racing.database() as connection:
        (found,) = set(schema.schemas(connection)) - before
    return found


class Locker:
    """Locks the rows of the group that begins, until enough of its operations have ended."""

    def __init__(self, racing: Racing, until: int) -> None:
        self._racing = racing
        self._until = until
        self._stack = ExitStack()
        with racing.database() as connection:
            self._before = set(schema.schemas(connection))

    def begin(self, _group: Group) -> None:
        """Lock."""
        connection = self._stack.enter_context(self._racing.database())
        self._stack.enter_context(connection.transaction())
        table = sql.Identifier(_newest(self._racing, self._before), "users")
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table))

    def progress(self, _published: int, counts: Counts) -> None:
        """Unlock when it is time."""
        if counts.settled >= self._until:
            self.release()

    def release(self) -> None:
        """Unlock."""
        self._stack.close()

    def spectator(self) -> Spectator:
        """Watch a run."""
        return Spectator(self.begin, self.progress)


def test_a_run_whose_tasks_all_fail_is_unknown(shared: Racing) -> None:
    """Nobody got the lock: nothing was lost, and nothing was shown."""
    locker = Locker(shared, until=60)
    row, _ = shared.row(quick(operations=60, lock_timeout_ms=5, retry=ONE_TRY), locker.spectator())
    assert (Value.UNKNOWN, 0, 60) == (row.verdict, row.ok, row.give_ups)
    assert 1.0 == row.conflict_rate


def test_a_run_of_give_ups_and_hardly_a_success_is_unknown(shared: Racing) -> None:
    """A handful of successes among a hundred give-ups does not earn VALID."""
    locker = Locker(shared, until=99)
    row, report = shared.row(quick(operations=100, lock_timeout_ms=5, retry=ONE_TRY), locker.spectator())
    assert Value.UNKNOWN == row.verdict
    assert 95 <= row.give_ups <= 99 + 1
    assert row.ok + row.refused + row.give_ups == 100
    (history,) = histories(report)
    assert history.effects.num_rows <= 2 * row.ok
    assert row.give_ups == history.attempts.column("reason").to_pylist().count("lock-timeout")


def test_a_run_of_no_operations_is_unknown(shared: Racing) -> None:
    """Nothing planned, nothing shown."""
    row, report = shared.row(quick(operations=0))
    assert (Value.UNKNOWN, Exit.UNKNOWN) == (row.verdict, report.exit_code)


def test_a_run_whose_attempts_never_overlap_is_unknown(shared: Racing) -> None:
    """One message carries everything, so one worker does everything, one operation after another."""
    row, _ = shared.row(quick(operations=50, per_message=50))
    assert (Value.UNKNOWN, 0) == (row.verdict, row.overlaps)


def test_a_run_with_one_worker_is_unknown(racing: Racing) -> None:
    """Alone, nobody can be raced."""
    row, report = racing.row(quick(operations=50, nodes=1, concurrency=1, pool=Pool.SOLO))
    assert (Value.UNKNOWN, 0) == (row.verdict, row.overlaps)
    assert [] == racing.left(report.run)


def test_an_interrupted_run_is_unknown(shared: Racing) -> None:
    """What was gathered is judged, what was not is not claimed, and nothing is left behind."""
    interrupt = Interrupt()

    def stop(_published: int, counts: Counts) -> None:
        if counts.settled >= 100:
            interrupt.asked.set()

    report = shared.race(quick(operations=20_000, strategies=("atomic", "naive")), Spectator(progress=stop), interrupt)
    (row,) = report.rows
    assert (Value.UNKNOWN, Exit.INTERRUPTED, 2) == (row.verdict, report.exit_code, report.asked)
    assert row.ok >= 50
    assert 0 == row.lost
    assert row.unpublished > 10_000
    assert [] == shared.left(report.run)


def test_a_run_at_its_time_limit_is_unknown(shared: Racing) -> None:
    """Out of time is not lost."""
    row, report = shared.row(quick(operations=20_000, timeout=1.0))
    assert (Value.UNKNOWN, 0) == (row.verdict, row.lost)
    assert [] == shared.left(report.run)


def test_one_lost_message_of_a_thousand_is_found(shared: Racing) -> None:
    """A message that vanishes from the queue is an operation lost, and named."""
    taken: list[bytes] = []

    def steal(published: int, _counts: Counts) -> None:
        if published == 1_000 and not taken:
            with shared.broker() as client:
                (queue,) = [key for key in client.scan_iter("rowrace.*") if client.llen(key) > 0]
                found = client.lpop(queue)  # the one that would be taken last
            assert isinstance(found, bytes)
            taken.append(found)

    row, report = shared.row(quick(operations=1_000), Spectator(progress=steal))
    assert (Value.INVALID, 1, 999) == (row.verdict, row.lost, row.ok + row.fail)
    (finding,) = report.findings
    lost = next(check for check in finding.verdict.checks if check.name == "lost operations")
    assert [(999,)] == [witness.operations for witness in lost.witnesses]


def test_attempts_under_way_do_not_keep_a_run_from_ending(shared: Racing) -> None:
    """An attempt that holds its row at the time limit is ended, so that the schema can be removed."""
    slow = Think(min_ms=4_000.0, max_ms=4_000.0)
    row, report = shared.row(quick(operations=8, strategies=("pessimistic",), think=slow, timeout=1.5, grace=0.5))
    assert (Value.UNKNOWN, 0) == (row.verdict, row.lost)
    assert [] == shared.left(report.run)


def test_a_table_that_others_keep_locked_does_not_keep_a_run_from_ending(
    shared: Racing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema that can't be dropped stays, and the report says who removes it."""
    monkeypatch.setattr("orchestrator.group_race._DROP_WAIT_MS", 100)
    locker = Locker(shared, until=10_000)
    row, report = shared.row(quick(operations=0), locker.spectator())
    locker.release()
    assert Value.UNKNOWN == row.verdict
    (note,) = [note for note in report.notes if "rowrace clean" in note]
    assert report.run in note
    with shared.database() as connection:
        schema.drop(connection, f"rowrace_{report.run}_1")
