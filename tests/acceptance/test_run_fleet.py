"""Runs on workers that listen already: what is raced is judged, counted right, and cleaned up after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from orchestrator.errors import ServiceError
from orchestrator.verifier.verdict import Value
from tests.acceptance.racing import Spectator, histories, quick
from worker.contract import CONFLICTS

if TYPE_CHECKING:
    from orchestrator.history.model import History
    from tests.acceptance.racing import Racing


@pytest.mark.parametrize("scenario", ["credits", "config"])
def test_every_strategy_gets_the_verdict_of_the_table(shared: Racing, scenario: str) -> None:
    """The naive ones are caught with a witness, the others are shown to hold; nothing is left behind."""
    report = shared.race(quick(scenarios=(scenario,), strategies=("all",), operations=300))
    assert {row.strategy: row.expected for row in report.rows} == {row.strategy: row.verdict for row in report.rows}
    assert 0 == report.exit_code
    assert [] == shared.left(report.run)
    for history, row in zip(histories(report), report.rows, strict=True):
        _recount(history, row.attempts, row.conflict_rate)


def _recount(history: History, attempts: int, conflict_rate: float) -> None:
    """Count again, from the attempts as they were journalled."""
    reasons = history.attempts.column("reason").to_pylist()
    assert len(reasons) == attempts
    assert pytest.approx(sum(reason in set(CONFLICTS) for reason in reasons) / len(reasons)) == conflict_rate


def test_control_that_is_expected_to_hold_is_caught(shared: Racing) -> None:
    """`--expect valid` on naive ends with 1."""
    process = shared.command(
        *("run", "credits", "--strategy", "naive", "--expect", "valid", "--operations", "200"),
        *("--workers", "external", "--expect-nodes", "2", "--json"),
    )
    out, error = process.communicate(timeout=120)
    assert 1 == process.returncode, error
    (row,) = json.loads(out)["rows"]
    assert ("INVALID", "VALID") == (row["verdict"], row["expected"])
    assert "lost" in row["witness"]


def test_two_runs_at_once_do_not_disturb_each_other(shared: Racing) -> None:
    """One fleet serves both, each in a schema and a queue of its own."""
    arguments = ("run", "--strategy", "optimistic", "--operations", "300", "--workers", "external", "--json")
    both = [shared.command(*arguments, "credits"), shared.command(*arguments, "config")]
    ended = [process.communicate(timeout=180) for process in both]
    assert [0, 0] == [process.returncode for process in both], ended
    runs = [json.loads(out) for out, _ in ended]
    assert ["VALID", "VALID"] == [run["rows"][0]["verdict"] for run in runs]
    assert [300, 300] == [run["rows"][0]["ok"] + run["rows"][0]["fail"] for run in runs]
    assert [] == [left for run in runs for left in shared.left(run["run"].rpartition("/")[2])]


def test_fewer_nodes_than_expected_are_refused(shared: Racing) -> None:
    """A run does not start on a part of what it was promised."""
    with pytest.raises(ServiceError, match="2 worker nodes answer and 5 are expected"):
        shared.race(quick(nodes=5))


def test_messages_may_carry_many_operations(shared: Racing) -> None:
    """Each operation is a transaction of its own, and every one is accounted for."""
    row, _ = shared.row(quick(operations=1_000, per_message=10, rows=4))
    assert (Value.VALID, 1_000) == (row.verdict, row.ok + row.fail)


@pytest.mark.parametrize("via", ["inline", "celery"])
def test_retries_inline_or_by_celery(shared: Racing, via: str) -> None:
    """Whoever retries, conflicts are met and every operation is settled."""
    from worker.contract import Retry, Via  # noqa: PLC0415 - only here

    row, report = shared.row(quick(strategies=("optimistic",), rows=2, retry=Retry(via=Via(via))))
    assert (Value.VALID, 200, True) == (row.verdict, row.ok + row.fail, row.conflict_rate > 0)
    assert [] == shared.left(report.run)


def test_progress_counts_what_the_history_has(shared: Racing) -> None:
    """The live view's last word is what is written down."""
    watch = Spectator()
    row, report = shared.row(quick(strategies=("optimistic",)), watch)
    (history,) = histories(report)
    assert watch.last is not None
    assert (row.ok, row.fail, row.info, row.attempts) == (watch.last.ok, watch.last.fail, 0, watch.last.attempts)
    assert watch.last.attempts == sum(watch.last.nodes.values())
    assert 2 == len(watch.last.nodes)
    assert bool(np.all(history.operations.column("confirmed").to_numpy()))


def test_recording_off_is_unknown(shared: Racing) -> None:
    """What was not recorded was not shown."""
    row, _ = shared.row(quick(recording=False))
    assert Value.UNKNOWN == row.verdict
