"""rowrace's own scenarios under search on Postgres: every strategy at every level, crashes, deadlocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator import schema
from orchestrator.explored import ScenarioArena
from orchestrator.explored_judge import ScenarioJudge, anomalies
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from orchestrator.explorer.sameness import compare
from orchestrator.explorer.search import Budget, search
from orchestrator.groups import LOSES
from worker.contract import Isolation, StartLine

if TYPE_CHECKING:
    import psycopg

    from orchestrator.explorer.search import Findings

_READ_COMMITTED, _REPEATABLE_READ, _SERIALIZABLE = Isolation


def _search(
    url: str,
    strategy: str,
    level: Isolation = _READ_COMMITTED,
    *,
    keep_going: bool = True,
    **options: Any,  # noqa: ANN401 - the arena's
) -> Findings:
    with ScenarioArena("credits", strategy, level, backend="postgres", database=url, **options) as arena:
        return search(arena, Dpor(arena.isolation), ScenarioJudge(arena), Budget(), keep_going=keep_going)


def _names(findings: Findings) -> set[str]:
    return {failure.anomaly.name for failure in findings.failures}


def test_the_lost_update_is_found_by_the_second_schedule(database_url: str) -> None:
    """Two naive tasks on one row need no third schedule."""
    findings = _search(database_url, "naive", keep_going=False)
    assert (2, True) == (findings.schedules, "lost-update" in _names(findings))


@pytest.mark.parametrize("level", list(Isolation))
@pytest.mark.parametrize("strategy", list(LOSES))
def test_the_table_of_strategies_is_proven(database_url: str, strategy: str, level: Isolation) -> None:
    """A complete search finds the lost update where the table has it, and proves its absence everywhere else."""
    findings = _search(database_url, strategy, level)
    assert (True, "", level in LOSES[strategy], bool(findings.failures)) == (
        findings.complete,
        findings.unstable,
        "lost-update" in _names(findings),
        level in LOSES[strategy],
    )


@pytest.mark.parametrize(("idempotency", "found"), [(True, False), (False, True)])
def test_the_guard_keeps_a_crash_from_applying_twice(database_url: str, *, idempotency: bool, found: bool) -> None:
    """A worker that crashes after COMMIT has its message redelivered; the guard alone stands against that."""
    findings = _search(database_url, "atomic", crashes=1, idempotency=idempotency)
    assert (True, found, found) == (
        findings.complete,
        "applied-twice" in _names(findings),
        bool(findings.failures),
    )


def test_transfers_in_opposite_order_deadlock_and_nothing_is_lost(database_url: str) -> None:
    """The worker that closes the circle is the victim each time, tries again, and the sum stays."""
    options: dict[str, Any] = {"kinds": ("transfer",), "rows": 2, "mistakes": ("unordered-keys",), "seed": 3}
    victims: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    with ScenarioArena("credits", "pessimistic", backend="postgres", database=database_url, **options) as arena:
        assert {(0, 1), (1, 0)} == {(one.params["source"], one.params["target"]) for one in arena.plan}
        judge = ScenarioJudge(arena)
        findings = search(arena, Dpor(arena.isolation), judge, Budget(), keep_going=True)
        for execution in (arena.run(RandomWalk(seed % 20)) for seed in range(40)):
            lost = tuple(record.worker for record in execution.records if "DeadlockDetected" in record.error)
            victims.add((execution.choices, lost))
    assert (True, set(), True) == (findings.complete, _names(findings), any(lost for _, lost in victims))
    assert len({choices for choices, _ in victims}) == len(victims)


@pytest.mark.parametrize("crashes", [0, 1])
@pytest.mark.parametrize("strategy", ["naive", "pessimistic", "advisory", "serializable"])
def test_a_schedule_can_be_run_again(database_url: str, strategy: str, crashes: int) -> None:
    """The same choices give the same statements, values, rows and ends."""
    options: dict[str, Any] = {"operations": 4, "workers": 3, "rows": 2, "crashes": crashes}
    with ScenarioArena("credits", strategy, backend="postgres", database=database_url, **options) as arena:
        walks = [arena.run(RandomWalk(seed)) for seed in range(15)]
        assert [None] * 15 == [compare(each, arena.run(Replay(each.choices)), values=True) for each in walks]


@pytest.mark.prove
@pytest.mark.parametrize("strategy", list(LOSES))
def test_what_is_remembered_is_what_a_full_verification_says(database_url: str, strategy: str) -> None:
    """For 200 random schedules the judge, warm, agrees with the verdict on each one's own history."""
    with ScenarioArena(
        "credits", strategy, workers=2, operations=3, backend="postgres", database=database_url
    ) as arena:
        judge = ScenarioJudge(arena)
        executions = [arena.run(RandomWalk(seed)) for seed in range(200)]
        quick = [[each[::2] for each in judge(execution)] for execution in executions]
        full = [[each[::2] for each in anomalies(judge.verdict(each.state.story))] for each in executions]
    assert full == quick


def test_values_are_shown_as_they_were_read(database_url: str) -> None:
    """The first statement goes with BEGIN and its settings, and yet its rows are seen; the schema is not."""
    with ScenarioArena("credits", "naive", backend="postgres", database=database_url) as arena:
        first = arena.run(RandomWalk(1)).records[0]
        shown = (first.rows, first.count, "rowrace_" in first.point.statement, dict(first.point.parameters))
    assert ([(100, 0, 0, 0)], 1, False, {"key": 0}) == shown


def test_config_is_explored_too(database_url: str) -> None:
    """Rows may hold documents."""
    with ScenarioArena("config", "naive", backend="postgres", database=database_url) as arena:
        findings = search(arena, Dpor(arena.isolation), ScenarioJudge(arena), Budget())
    assert (True, True) == (findings.schedules <= 2, "lost-update" in _names(findings))


def test_both_databases_give_the_same_ends(database_url: str) -> None:
    """Where SQLite can express it, the same choices end in the same rows."""
    ends = []
    places: list[dict[str, Any]] = [{}, {"backend": "postgres", "database": database_url}]
    for options in places:
        with ScenarioArena("credits", "optimistic", operations=4, workers=3, **options) as arena:
            ends.append({arena.run(RandomWalk(seed)).state for seed in range(60)})
    assert ends[0] & ends[1] != set()


def test_a_redelivered_attempt_has_a_backend_of_its_own(database_url: str) -> None:
    """A crash ends the worker's backend; its next attempt is made by another one."""
    backends = set()
    with ScenarioArena("credits", "naive", crashes=1, backend="postgres", database=database_url) as arena:
        for seed in range(20):
            lines = arena.run(RandomWalk(seed)).state.story.lines
            starts = [line for line in lines if isinstance(line, StartLine)]
            again = {line.slot for line in starts if line.redelivered}
            backends |= {len({line.backend_pid for line in starts if line.slot == slot}) for slot in again}
    assert {2} == backends


def test_nothing_is_left(database_url: str, database: psycopg.Connection) -> None:
    """The schema is dropped, and so is what was kept beside it."""
    before = schema.schemas(database)
    with ScenarioArena("credits", "naive", backend="postgres", database=database_url) as arena:
        arena.run(RandomWalk(1))
        during = len(schema.schemas(database)) - len(before)
    kept = database.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rowrace_kept_%'").fetchone()
    assert (1, before, (0,)) == (during, schema.schemas(database), kept)
