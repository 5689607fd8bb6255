"""Judging thousands of schedules: equal histories once, and never otherwise than the verifier does in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.explored import ScenarioArena
from orchestrator.explored_judge import ScenarioJudge, anomalies
from orchestrator.explored_story import Story, key_of
from orchestrator.explorer.judging import JudgeError
from orchestrator.explorer.model import Execution
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.verifier.verdict import Check, Value, Verdict, Witness
from worker.contract import Access, EndLine, Outcome, StartLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.judging import Anomaly


def _groups(found: Sequence[Anomaly]) -> list[tuple[str, str]]:
    return [(each.name, each.witness) for each in found]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("naive", {}),
        ("optimistic", {"operations": 3, "workers": 3}),
        ("atomic", {"crashes": 2, "idempotency": False}),
        pytest.param("naive", {"operations": 4, "workers": 3, "rows": 2}, marks=pytest.mark.prove),
        pytest.param("naive", {"operations": 3, "workers": 3, "crashes": 2}, marks=pytest.mark.prove),
        pytest.param("optimistic", {"crashes": 2, "idempotency": False}, marks=pytest.mark.prove),
        pytest.param("atomic", {"operations": 4, "workers": 3, "rows": 2}, marks=pytest.mark.prove),
    ],
)
def test_what_is_remembered_is_what_a_full_verification_says(strategy: str, options: dict[str, Any]) -> None:
    """For 200 random schedules the judge, warm, agrees with the verdict on each one's own history."""
    with ScenarioArena("credits", strategy, **options) as arena:
        judge = ScenarioJudge(arena)
        executions = [arena.run(RandomWalk(seed)) for seed in range(200)]
        quick = [_groups(judge(each)) for each in executions]
        judged = judge.judged
        full = [_groups(anomalies(judge.verdict(each.state.story))) for each in executions]
    assert (full, True) == (quick, judged < 200)


def test_an_equal_history_is_not_judged_again() -> None:
    """Schedules whose histories are the same to the verifier cost one verdict."""
    with ScenarioArena("credits", "naive") as arena:
        judge = ScenarioJudge(arena)
        for seed in range(50):
            judge(arena.run(RandomWalk(seed)))
    assert judge.judged == 4  # each one first, and each other's update lost


def _story(
    *times: tuple[int, int | None], accesses: Sequence[int] = (), effects: Sequence[tuple[Any, ...]] = ()
) -> Story:
    """Tell of one attempt a pair of times; None: it never ended."""
    lines: list[Any] = []
    for token, (start, end) in enumerate(times, start=1):
        lines.append(StartLine(token, token, 1, token, start, 0, 0, redelivered=False))
        if end is not None:
            seen = [Access("r", "users", "0", 0, 0, 0, at, 1) for at in accesses]
            lines.append(EndLine(token, Outcome.OK, None, final=True, mono_ns=end, accesses=seen))
    return Story(lines, list(effects), [])


def _effect(writer: int, txid: int, at: int) -> tuple[Any, ...]:
    return ("users", "0", 1, 0, 1, "{}", "{}", writer, 1, txid, at)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (_story((1, 5), (2, 6)), _story((20, 60), (10, 50)), True),  # nothing but that they overlap
        (_story((1, 2), (3, 4)), _story((1, 3), (2, 4)), False),  # one before the other, or not
        (_story((1, 2), (3, 4)), _story((3, 4), (1, 2)), False),  # which one is before
        (_story((1, 5), (2, 3), (4, 6)), _story((2, 8), (1, 4), (6, 7)), True),
        (_story((1, 5), (2, 3), (4, 6)), _story((2, 8), (1, 5), (4, 7)), False),  # the second before the third, or not
        (_story((1, None)), _story((1, 2)), False),
        (_story((1, 9), effects=[_effect(1, 7, 3)]), _story((1, 9), effects=[_effect(1, 8, 4)]), True),
        (_story((1, None), effects=[_effect(1, 7, 3)]), _story((1, None), effects=[_effect(1, 7, 4)]), False),
    ],
)
def test_of_times_only_their_order_counts(one: Story, other: Story, *, same: bool) -> None:
    """Two stories have one key where the verifier can't tell them apart."""
    assert same == (key_of(one) == key_of(other))


def test_reads_outside_a_transaction_have_times_of_their_own() -> None:
    """A read that is a transaction of its own is over when the next statement is sent."""
    one, other = _story((1, 10), (4, 12), accesses=[3, 6]), _story((1, 10), (2, 12), accesses=[3, 6])
    seen = [key_of(one, reads_outside=outside) == key_of(other, reads_outside=outside) for outside in (False, True)]
    assert [True, False] == seen


def _check(name: str, value: Value, summary: str = "", *witnesses: Witness) -> Check:
    return Check(name=name, value=value, summary=summary, witnesses=witnesses)


def test_each_anomaly_of_the_same_attempts_is_told_once() -> None:
    """Checks that find the same thing, and what breaks the level, become one anomaly by name and witness."""
    witness = Witness(anomaly="lost-update", sentence="A, then B.", row="users/0", operations=(1, 0))
    checks = (
        _check("lost updates", Value.INVALID, "", witness, witness),
        _check("dependencies", Value.INVALID, "1 found"),
        _check("work", Value.UNKNOWN),
    )
    found = anomalies(
        Verdict(value=Value.INVALID, isolation=_check("isolation kept", Value.INVALID, "x", witness), checks=checks)
    )
    assert [
        ("lost-update", "A, then B.", "users/0 operations 0, 1"),
        ("dependencies", "1 found", ""),
    ] == [tuple(each) for each in found]


def test_a_check_that_crashed_is_not_taken_for_soundness() -> None:
    """Where a check could not judge, nothing is proven."""
    crashed = _check("lost updates", Value.UNKNOWN, "the check crashed: KeyError: 1")
    verdict = Verdict(value=Value.UNKNOWN, isolation=_check("isolation kept", Value.VALID), checks=(crashed,))
    with pytest.raises(JudgeError, match="lost updates could not judge"):
        anomalies(verdict)


def test_a_schedule_without_a_history_can_not_be_judged() -> None:
    """Executions of other arenas are refused."""
    with ScenarioArena("credits", "naive") as arena:
        judge = ScenarioJudge(arena)
    with pytest.raises(JudgeError, match="no history"):
        judge(Execution(0, (), (), (), (), ()))
