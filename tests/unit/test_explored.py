"""rowrace's own scenarios under search on SQLite: what is found, what is proven absent, and how tasks are run."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from celery.signals import task_prerun

from orchestrator.errors import UsageError
from orchestrator.explored import ScenarioArena
from orchestrator.explored_judge import ScenarioJudge
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.exhaustive import Exhaustive
from orchestrator.explorer.judging import serial_outcome
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from orchestrator.explorer.sameness import compare
from orchestrator.explorer.scheduler import ExplorerError
from orchestrator.explorer.search import Budget, search
from worker import runtime, tasks
from worker.contract import Isolation, StartLine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Policy, Step
    from orchestrator.explorer.search import Findings

_ABOVE = (Isolation.REPEATABLE_READ, Isolation.SERIALIZABLE)


class Crashing:
    """Lets worker 0 work alone, crash once where it stands at a point of a kind, and work on."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Choose the crash as soon as it is offered there."""
        crash = len(step.points)
        return crash if step.points[0].kind == self.kind and crash in ready else ready[0]


def _search(strategy: str, *args: Any, keep_going: bool = True, **options: Any) -> Findings:  # noqa: ANN401 - the arena's
    with ScenarioArena("credits", strategy, *args, **options) as arena:
        return search(arena, Dpor(arena.isolation), ScenarioJudge(arena), Budget(), keep_going=keep_going)


def _names(findings: Findings) -> set[str]:
    return {failure.anomaly.name for failure in findings.failures}


def _starts(execution: Execution) -> list[StartLine]:
    return [line for line in execution.state.story.lines if isinstance(line, StartLine)]


def test_the_lost_update_is_found_by_the_second_schedule() -> None:
    """Two naive tasks on one row need no third schedule."""
    findings = _search("naive", keep_going=False)
    assert (2, True) == (findings.schedules, "lost-update" in _names(findings))


def test_a_search_of_two_naive_tasks_is_complete() -> None:
    """Six schedules are all that can matter, and each two runs of one are the same."""
    findings = _search("naive")
    assert (True, 6, "") == (findings.complete, findings.schedules, findings.unstable)


@pytest.mark.parametrize(
    ("strategy", "levels", "options"),
    [
        ("optimistic", (Isolation.READ_COMMITTED, *_ABOVE), {}),
        ("atomic", (Isolation.READ_COMMITTED, *_ABOVE), {}),
        ("naive", _ABOVE, {}),
        ("optimistic", (Isolation.READ_COMMITTED,), {"operations": 3, "workers": 3}),
        ("optimistic", (Isolation.READ_COMMITTED,), {"operations": 3}),
        ("atomic", (Isolation.READ_COMMITTED,), {"kinds": ("transfer",), "rows": 2}),
        ("atomic", (Isolation.READ_COMMITTED,), {"crashes": 1}),
        ("optimistic", (Isolation.READ_COMMITTED,), {"crashes": 1}),
    ],
)
def test_sound_strategies_are_proven_sound(
    strategy: str, levels: tuple[Isolation, ...], options: dict[str, Any]
) -> None:
    """A complete search finds nothing."""
    findings = [_search(strategy, level, **options) for level in levels]
    assert [(True, set(), 0, "")] * len(levels) == [
        (each.complete, _names(each), each.cut, each.unstable) for each in findings
    ]


def test_without_the_guard_a_crash_applies_twice() -> None:
    """What is redelivered after COMMIT is applied once more where nothing forbids it."""
    findings = _search("atomic", crashes=1, idempotency=False)
    assert (True, True) == (findings.complete, "applied-twice" in _names(findings))


@pytest.mark.parametrize("strategy", ["naive", "optimistic", "atomic"])
def test_reduction_leaves_no_outcome_out(strategy: str) -> None:
    """Every schedule there is ends as one of those that DPOR runs."""
    ends: list[set[Any]] = [set(), set()]
    with ScenarioArena("credits", strategy) as arena:
        policies: list[Policy] = [Dpor(arena.isolation), Exhaustive()]
        for found, policy in zip(ends, policies, strict=True):

            def note(execution: Execution, found: set[Any] = found) -> tuple[()]:
                found.add(serial_outcome(execution))
                return ()

            search(arena, policy, note, Budget())
    assert ends[0] == ends[1]


@pytest.mark.parametrize("crashes", [0, 1])
@pytest.mark.parametrize("strategy", ["naive", "optimistic", "atomic"])
def test_a_schedule_can_be_run_again(strategy: str, crashes: int) -> None:
    """The same choices give the same statements, values, rows and ends."""
    with ScenarioArena("credits", strategy, operations=4, workers=3, crashes=crashes) as arena:
        walks = [arena.run(RandomWalk(seed)) for seed in range(30)]
        assert [None] * 30 == [compare(each, arena.run(Replay(each.choices)), values=True) for each in walks]


def test_a_worker_begins_with_its_own_operation() -> None:
    """Who begins with which operation is no choice; who takes what is left is one."""
    taken = set()
    with ScenarioArena("credits", "atomic", operations=4, workers=3) as arena:
        for seed in range(30):
            starts = _starts(arena.run(RandomWalk(seed)))
            first = {line.operation: line.slot for line in starts if line.operation < 3}
            assert {0: 0, 1: 1, 2: 2} == first
            taken |= {line.slot for line in starts if line.operation == 3}
    assert {0, 1, 2} == taken


def test_a_queue_is_asked_only_where_there_is_one() -> None:
    """Taking a message is a step where the plan has more of them than workers."""
    kinds = []
    for operations in (2, 3):
        with ScenarioArena("credits", "atomic", operations=operations) as arena:
            kinds.append({record.point.kind for record in arena.run(RandomWalk(1)).records})
    assert [False, True] == ["dequeue" in each for each in kinds]


def test_a_retry_is_a_new_message_for_the_same_worker() -> None:
    """An operation stays with its worker, and no wall time passes until its next attempt."""
    with ScenarioArena("credits", "optimistic") as arena:
        executions = [arena.run(RandomWalk(seed)) for seed in range(20)]
    slots = {(line.operation, line.slot) for each in executions for line in _starts(each)}
    again = {record.point.statement for each in executions for record in each.records if record.point.kind == "retry"}
    assert ({(0, 0), (1, 1)}, {"explored.0.0.2", "explored.1.1.2"}) == (slots, again)


@pytest.mark.parametrize("kind", ["statement", "commit", "acknowledge"])
def test_a_crash_brings_the_message_again(kind: str) -> None:
    """Wherever a worker crashes, its message comes again and says so; the guard keeps one application."""
    with ScenarioArena("credits", "naive", crashes=1) as arena:
        execution = arena.run(Crashing(kind))
        first, second = (line for line in _starts(execution) if line.operation == 0)
        effects = [effect[8] for effect in execution.state.story.effects]
        assert () == tuple(ScenarioJudge(arena)(execution))
    seen = [(line.slot, line.attempt, line.redelivered) for line in (first, second)]
    assert ([(0, 1, False), (0, 1, True)], [0, 1], False) == (seen, sorted(effects), first.token == second.token)


def test_celery_runs_the_task() -> None:
    """Celery's own signals tell of each message, by its id."""
    heard: list[str] = []

    def hear(task_id: str, **_signal: object) -> None:
        heard.append(task_id)

    task_prerun.connect(hear, sender=tasks.race)
    try:
        with ScenarioArena("credits", "atomic", operations=3) as arena:
            arena.run(RandomWalk(1))
    finally:
        task_prerun.disconnect(hear, sender=tasks.race)
    assert ["explored.0", "explored.1", "explored.2"] == sorted(heard)


def test_equal_arenas_have_equal_hashes() -> None:
    """What a schedule depends on decides the hash, and nothing else does."""
    made: list[dict[str, Any]] = [
        {},
        {},
        {"seed": 2},
        {"rows": 2},
        {"workers": 1},
        {"crashes": 1},
        {"idempotency": False},
    ]
    hashes = []
    for options in made:
        with ScenarioArena("credits", "naive", **options) as arena:
            hashes.append(arena.hash)
    assert (True, 6) == (hashes[0] == hashes[1], len(set(hashes)))


def test_a_part_is_judged_by_its_own_plan() -> None:
    """Operations that were left out with their workers are not lost."""
    with ScenarioArena("credits", "atomic", operations=3) as arena:
        judge = ScenarioJudge(arena)
        parts = [arena.part(kept) for kept in ((0,), (1,), (0, 1))]
        found = [tuple(judge(part.run(RandomWalk(1)))) for part in parts]
    assert ([1, 1, 2], [()] * 3) == ([part.workers for part in parts], found)


def test_config_is_explored_too() -> None:
    """Rows may hold documents."""
    with ScenarioArena("config", "naive") as arena:
        findings = search(arena, Dpor(arena.isolation), ScenarioJudge(arena), Budget())
    assert (True, True) == (findings.schedules <= 2, "lost-update" in _names(findings))


def test_what_the_explorer_has_against_a_statement_is_no_failure_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the explorer's own ends the exploration."""
    with ScenarioArena("credits", "naive") as arena:
        slots = arena._ground.slots

        def refuse(*_: object) -> None:
            raise ExplorerError("not this statement")

        monkeypatch.setattr(slots, "_read", refuse)
        with pytest.raises(ExplorerError, match="not this statement"):
            arena.run(RandomWalk(1))


def test_a_schedule_that_is_cut_has_nothing_to_judge() -> None:
    """A schedule that was ended at its limit of steps shows no anomaly, and says that it was cut."""
    with ScenarioArena("credits", "naive", limit=5) as arena:
        execution = arena.run(RandomWalk(1))
        assert (True, ()) == (execution.cut, tuple(ScenarioJudge(arena)(execution)))


def test_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, runtime and task are as they were before."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("orchestrator.explored._MEMORY", tmp_path / "no such folder")
    with ScenarioArena("credits", "naive") as arena:
        arena.run(RandomWalk(1))
        used = len(list(tmp_path.iterdir()))
    assert (1, [], None, False) == (
        used,
        list(tmp_path.iterdir()),
        runtime._installed,
        "apply_async" in tasks.race.__dict__,
    )


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (partial(ScenarioArena, "requests", "naive"), "needs a producer"),
        (partial(ScenarioArena, "credits", "lucky"), "Unknown strategy lucky"),
        (partial(ScenarioArena, "credits", "pessimistic"), "pessimistic can't run on SQLite, since .*no row locks"),
        (partial(ScenarioArena, "credits", "naive", workers=3), "3 workers can't begin"),
        (partial(ScenarioArena, "credits", "naive", backend="oracle"), "no backend 'oracle'"),
    ],
)
def test_what_can_not_be_explored_is_refused(make: partial[ScenarioArena], why: str) -> None:
    """A usage error says what is wrong."""
    with pytest.raises(UsageError, match=why):
        make()
