"""Bodies over a link that keeps its rows in a dictionary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from worker import attempt
from worker.contract import EndLine, Isolation, Operation, Outcome, Reason, Retry, Settings, StartLine, Via
from worker.errors import Conflict, Duplicate, LostConnection
from worker.link import Answer
from worker.statements import UNLOCK_SESSION, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.sql.expression import ClauseElement

    from worker.contract import Line
    from worker.link import Begin, Link

SCHEMA = "rowrace_abcd_1"
WORDS = statements("credits", SCHEMA, "postgresql")
DEDUCT = Operation(3, "deduct", {"user": 1, "amount": 30})
TRANSFER = Operation(4, "transfer", {"source": 2, "target": 1, "amount": 30})


class Fake:
    """A link, and a runtime that hands it out; what happened is told in words."""

    dialect = "postgresql"
    backend = (42, 1)
    sent_ns = 0

    def __init__(self, rows: dict[int, int], failures: Mapping[str, list[Exception]] | None = None) -> None:
        self.rows = {key: (value, 0) for key, value in rows.items()}
        self.failures = {key: list(value) for key, value in (failures or {}).items()}
        self.told: list[str] = []
        self.lines: list[Line] = []
        self.clock = 0

    def connect(self) -> Link:
        """Hand itself out."""
        self._tell("connect")
        return self

    def journal(self, schema: str) -> Fake:
        """Be the journal too."""
        assert schema == SCHEMA
        return self

    def write(self, line: Line) -> None:
        """Keep a line."""
        self.lines.append(line)
        self.told.append(type(line).__name__)

    def tend(self, link: Link, schema: str) -> None:
        """Be asked with what was handed out."""
        assert (self, SCHEMA) == (link, schema)

    def token(self) -> int:
        """Count."""
        self.clock += 1
        return self.clock

    def slot(self) -> int:
        """Be the only one."""
        return 0

    def now(self) -> int:
        """Count."""
        self.clock += 1
        return self.clock

    def pause(self, seconds: float) -> None:
        """Tell."""
        assert seconds >= 0
        self.told.append("pause")

    def begin(self, begin: Begin) -> None:
        """Tell."""
        self._tell(f"begin {begin.isolation}")

    def commit(self, sent: Callable[[], None] | None = None) -> None:
        """Tell."""
        assert sent is None
        self._tell("commit")

    def rollback(self) -> None:
        """Tell."""
        self._tell("rollback")

    def disconnect(self) -> None:
        """Tell."""
        self._tell("disconnect")

    def close(self) -> None:
        """Tell."""
        self._tell("close")

    def execute(self, statement: ClauseElement, params: Mapping[str, Any]) -> Answer:
        """Find out which statement it is, and do that to the dictionary."""
        key = params.get("key", -1)
        value, version = self.rows.get(key, (0, 0))
        if statement in (WORDS.read, WORDS.read_locking):
            self._tell(f"{'lock' if statement is WORDS.read_locking else 'read'} {key}")
            return Answer([(value, version, version, 9)] if key in self.rows else [], 1)
        if statement in (WORDS.write, WORDS.write_checked):
            self._tell(f"write {key}={params['new']}")
            self.rows[key] = (params["new"], version + 1)
            return Answer([], int(params.get("seen", version) == version))
        if statement is WORDS.atomic["deduct"]:
            self._tell(f"deduct {key}")
            return Answer([], int(key in self.rows and value >= params["amount"]))
        self._tell("advisory")
        return Answer([], 1)

    def _tell(self, word: str) -> None:
        self.told.append(word)
        if failures := self.failures.get(word):
            raise failures.pop(0)


def _settings(strategy: str, isolation: Isolation = Isolation.READ_COMMITTED, **changes: Any) -> Settings:  # noqa: ANN401
    return Settings(
        run="abcd",
        schema=SCHEMA,
        scenario="credits",
        strategy=strategy,
        isolation=isolation,
        retry=changes.get("retry", Retry(attempts=3)),
        think_ms=changes.get("think_ms", (0, 0)),
        lock_timeout_ms=changes.get("lock_timeout_ms", 0),
        recording=changes.get("recording", True),
        seed=1,
    )


def _told(strategy: str, isolation: Isolation = Isolation.READ_COMMITTED, operation: Operation = TRANSFER) -> str:
    fake = Fake({1: 100, 2: 100})
    attempt.run(operation, _settings(strategy, isolation, think_ms=(1, 1)), fake)
    told = [word for word in fake.told if word not in ("connect", "close", "StartLine", "EndLine")]
    return ", ".join(told)


LOCKS = "advisory, advisory"
RC, RR, SER = Isolation.READ_COMMITTED, Isolation.REPEATABLE_READ, Isolation.SERIALIZABLE


@pytest.mark.parametrize(
    ("strategy", "isolation", "expected"),
    [
        ("naive", RC, "begin read committed, read 1, read 2, pause, write 1=130, write 2=70, commit"),
        ("naive", RR, "begin repeatable read, read 1, read 2, pause, write 1=130, write 2=70, commit"),
        ("naive-autocommit", SER, "read 1, read 2, pause, begin serializable, write 1=130, write 2=70, commit"),
        ("optimistic", RC, "begin read committed, read 1, read 2, pause, write 1=130, write 2=70, commit"),
        ("pessimistic", RC, "begin read committed, lock 1, lock 2, pause, write 1=130, write 2=70, commit"),
        (
            "advisory",
            RC,
            "begin read committed, advisory, advisory, read 1, read 2, pause, write 1=130, write 2=70, commit",
        ),
        (
            "advisory",
            RR,
            f"{LOCKS}, begin repeatable read, read 1, read 2, pause, write 1=130, write 2=70, commit, {LOCKS}",
        ),
        ("serializable", RC, "begin serializable, read 1, read 2, pause, write 1=130, write 2=70, commit"),
    ],
)
def test_a_strategy_says_this_to_the_database(strategy: str, isolation: Isolation, expected: str) -> None:
    """Rows are taken in key order, and the pause lies between read and write."""
    assert expected == _told(strategy, isolation)


def test_atomic_needs_one_statement_and_no_pause() -> None:
    """There is no gap between read and write to think in."""
    assert _told("atomic", operation=DEDUCT) == "begin read committed, deduct 1, commit"


def _run(strategy: str, fake: Fake, operation: Operation = DEDUCT, **changes: Any) -> attempt.Result:  # noqa: ANN401
    return attempt.run(operation, _settings(strategy, **changes), fake)


def _ends(fake: Fake) -> list[tuple[Outcome, Reason | None, bool]]:
    return [(line.outcome, line.reason, line.final) for line in fake.lines if isinstance(line, EndLine)]


@pytest.mark.parametrize(
    "strategy", ["naive", "naive-autocommit", "optimistic", "pessimistic", "atomic", "serializable"]
)
@pytest.mark.parametrize(("rows", "reason"), [({1: 10}, Reason.INSUFFICIENT), ({}, Reason.MISSING)])
def test_a_refusal_is_final(strategy: str, rows: dict[int, int], reason: Reason) -> None:
    """What a business rule refuses is not tried again."""
    fake = Fake(rows)
    assert (Outcome.FAIL, reason, 1, None) == _run(strategy, fake)
    assert [(Outcome.FAIL, reason, True)] == _ends(fake)


def test_a_refusal_by_one_statement_rests_on_a_recorded_read() -> None:
    """Atomic reads the row where its statement matched nothing, so that `insufficient` can be checked."""
    fake = Fake({1: 10})
    _run("atomic", fake)
    (end,) = [line for line in fake.lines if isinstance(line, EndLine)]
    assert [("w", 0, None), ("r", 1, 0)] == [(each.mode, each.rows, each.seq) for each in end.accesses]


def test_conflicts_are_retried_after_the_connection_is_back() -> None:
    """Rolled back, given back, and only then a pause."""
    fake = Fake({1: 100}, {"write 1=70": [Conflict(Reason.SERIALIZATION), Conflict(Reason.DEADLOCK)]})
    assert (Outcome.OK, None, 3, None) == _run("naive", fake)
    assert [
        (Outcome.FAIL, Reason.SERIALIZATION, False),
        (Outcome.FAIL, Reason.DEADLOCK, False),
        (Outcome.OK, None, True),
    ] == _ends(fake)
    first = fake.told[: fake.told.index("pause") + 1]
    assert ["rollback", "EndLine", "close", "pause"] == first[-4:]


def test_the_last_conflict_says_that_no_retry_follows() -> None:
    """A give-up's end is final."""
    fake = Fake({1: 100}, {"commit": [Conflict(Reason.SERIALIZATION)] * 3})
    assert (Outcome.FAIL, Reason.SERIALIZATION, 3, None) == _run("naive", fake)
    assert [False, False, True] == [final for _, _, final in _ends(fake)]


def test_via_celery_only_one_attempt_is_made_here() -> None:
    """The caller learns how long to wait, and the attempt's number goes on where the message says."""
    fake = Fake({1: 100}, {"commit": [Conflict(Reason.SERIALIZATION)]})
    retry = Retry(attempts=9, via=Via.CELERY)
    result = attempt.run(DEDUCT, _settings("naive", retry=retry), fake, attempt=4, redelivered=True)
    assert (Outcome.FAIL, Reason.SERIALIZATION, 4) == result[:3]
    assert result.again is not None
    (start,) = [line for line in fake.lines if isinstance(line, StartLine)]
    assert (3, 4, True, 42) == (start.operation, start.attempt, start.redelivered, start.backend_pid)


@pytest.mark.parametrize(
    ("failures", "ends"),
    [
        ({"commit": [LostConnection(in_commit=True)]}, [(Outcome.INFO, Reason.LOST_CONNECTION, True)]),
        (
            {"read 1": [LostConnection(in_commit=False)]},
            [(Outcome.FAIL, Reason.LOST_CONNECTION, False), (Outcome.OK, None, True)],
        ),
        (
            {"connect": [LostConnection(in_commit=False)]},
            [(Outcome.FAIL, Reason.LOST_CONNECTION, False), (Outcome.OK, None, True)],
        ),
        ({"write 1=70": [Duplicate()]}, [(Outcome.FAIL, Reason.DUPLICATE, True)]),
        ({"write 1=70": [ZeroDivisionError("boom")]}, [(Outcome.FAIL, Reason.ERROR, True)]),
    ],
)
def test_every_way_to_fail_has_its_outcome(
    failures: dict[str, list[Exception]], ends: list[tuple[Outcome, Reason | None, bool]]
) -> None:
    """What is unknown stays unknown; what surely had no effect failed."""
    fake = Fake({1: 100}, failures)
    _run("naive", fake)
    assert ends == _ends(fake)


def test_an_error_is_known_by_its_class_alone() -> None:
    """An error's text may hold anything, so it stays out of the journal."""
    fake = Fake({1: 100}, {"commit": [ZeroDivisionError("secret")]})
    _run("naive", fake)
    assert ["ZeroDivisionError"] == [line.detail for line in fake.lines if isinstance(line, EndLine)]


def test_a_failed_statement_is_an_access_too() -> None:
    """A statement that touched the row and conflicted proves an overlap, so it is recorded."""
    fake = Fake({1: 100}, {"lock 1": [Conflict(Reason.SERIALIZATION)]})
    _run("pessimistic", fake)
    first = next(line for line in fake.lines if isinstance(line, EndLine))
    assert [("r", "1", None, 0)] == [(each.mode, each.key, each.seq, each.rows) for each in first.accesses]


def test_session_locks_are_given_back_whatever_happens() -> None:
    """As many unlocks as locks, even where the body raised."""
    fake = Fake({1: 100}, {"write 1=70": [ZeroDivisionError()]})
    _run("advisory", fake, isolation=RR)
    assert fake.told.count("advisory") == 2


def test_without_recording_nothing_is_written() -> None:
    """Benchmarks may switch the journal off."""
    fake = Fake({1: 100})
    _run("naive", fake, recording=False)
    assert [] == fake.lines


def test_an_unlock_that_fails_changes_no_outcome() -> None:
    """COMMIT was answered before: whatever goes wrong with the lock then, the attempt is ok."""
    fake = Fake({1: 100, 2: 100})
    execute = fake.execute

    def broken(statement: ClauseElement, params: Mapping[str, Any]) -> Answer:
        if statement is UNLOCK_SESSION:
            raise RuntimeError("another command is in progress")
        return execute(statement, params)

    fake.execute = broken  # type: ignore[method-assign]  # this one link refuses to unlock
    result = attempt.run(DEDUCT, _settings("advisory", Isolation.REPEATABLE_READ), fake)
    assert (Outcome.OK, None) == result[:2]
