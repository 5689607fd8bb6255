"""Judges: each finds what it is for, passes what is right, and says when it can't tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.explorer.judging import (
    Anomaly,
    InOrder,
    JudgeError,
    Outcome,
    SerialOutcome,
    combine,
    errors_judge,
    invariant_judge,
    outcome_of,
    serial_judge,
    serial_outcomes,
    stuck_judge,
)
from orchestrator.explorer.model import Ending
from orchestrator.explorer.replay import Replay
from tests.unit.arenas import Deposits
from tests.unit.executions import Draft, lost_update

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.model import Execution

COLUMNS = {"account": ("id", "balance")}


def _ended(*endings: Ending, state: object = None) -> Execution:
    draft = Draft(len(endings))
    draft.endings = list(endings)
    draft.state = state
    return draft.done()


def both_count(outcome: Outcome) -> bool:
    """Two deposits of 10 on 100 make 120."""
    return bool(outcome.rows["account"][0]["balance"] == 120)


def broken(outcome: Outcome) -> bool:
    """An invariant with a mistake of its own."""
    return bool(outcome.rows["nowhere"])


def _failing(_: Outcome) -> None:
    raise AssertionError("money is missing\n  as a comparison shows")


def _silent(_: Outcome) -> None:
    raise AssertionError


# invariants


def test_outcome_names_columns() -> None:
    """An invariant sees what bodies returned or raised, and rows by column."""
    error = ValueError("no")
    execution = _ended(Ending("ok"), Ending(error=error), state={"account": ((1, 110),)})
    assert Outcome(("ok", error), {"account": [{"id": 1, "balance": 110}]}) == outcome_of(execution, COLUMNS)


def test_rows_that_are_dictionaries_are_taken_as_they_are() -> None:
    """An arena may name its columns itself."""
    assert {"account": [{"id": 1}]} == outcome_of(_ended(Ending(), state={"account": [{"id": 1}]})).rows


def test_unknown_columns_are_no_verdict() -> None:
    """Rows whose columns nobody knows can't be judged."""
    with pytest.raises(JudgeError, match="rows of account can't be shown"):
        invariant_judge(both_count)(lost_update())


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (both_count, "The invariant both_count does not hold."),
        (lambda _: False, "The invariant does not hold."),
        (lambda _: "10 are missing", "10 are missing"),
        (_failing, "The invariant _failing does not hold: money is missing"),
        (_silent, "The invariant _silent does not hold: raise AssertionError"),
    ],
)
def test_broken_invariants_are_anomalies(check: Callable[[Outcome], bool | str | None], expected: str) -> None:
    """False, a text and an AssertionError each say what does not hold."""
    found = invariant_judge(check, COLUMNS)(lost_update())
    assert [Anomaly("invariant", expected, check.__name__)] == list(found)


@pytest.mark.parametrize("answer", [True, None, ""])
def test_held_invariants_are_silent(answer: bool | str | None) -> None:  # noqa: FBT001 - a parameter
    """True, None and an empty text say that it holds."""
    assert () == invariant_judge(lambda _: answer, COLUMNS)(lost_update())


def test_crashing_invariant_is_unknown() -> None:
    """An invariant that raises anything else has not judged."""
    with pytest.raises(JudgeError, match="The invariant broken could not be checked: it raised KeyError: 'nowhere'"):
        invariant_judge(broken, COLUMNS)(lost_update())


def test_schedule_cut_short_is_not_judged() -> None:
    """What is left in the middle is no end."""
    assert () == invariant_judge(both_count, COLUMNS)(lost_update()._replace(cut=True))


# errors and locks


def test_uncaught_errors_are_anomalies() -> None:
    """An exception out of a body is named by its class, and its first line told."""
    execution = _ended(Ending("ok"), Ending(error=ValueError("no\nDETAIL: 7")))
    expected = [Anomaly("uncaught ValueError", "B ended with ValueError: no, which it did not catch.")]
    assert expected == list(errors_judge()(execution))


def test_allowed_errors_are_silent() -> None:
    """Exceptions that a body may end with are no anomalies, nor are those derived from them."""
    execution = _ended(Ending(error=KeyError(1)), Ending(error=ValueError("no")))
    assert () == errors_judge([LookupError, ValueError])(execution)


def test_stuck_workers_are_anomalies() -> None:
    """A wait that nobody could end is told."""
    execution = lost_update()._replace(stuck=(1,))
    expected = [Anomaly("stuck", "pay waited for a lock when nobody was left who could free it.")]
    assert expected == list(stuck_judge(["buy", "pay"])(execution))


# serializability


def test_serial_outcomes_are_those_of_every_order() -> None:
    """Two orders of the same deposits end alike: one outcome."""
    state = {"account": [{"id": 1, "balance": 20}]}
    assert (SerialOutcome(("None", "None"), state),) == serial_outcomes(Deposits(((1,), (1,))))


def test_lost_update_is_not_serializable() -> None:
    """The end of a lost update is that of no order; that of a serial run is."""
    arena = Deposits(((1,), (1,)))
    judge = serial_judge(serial_outcomes(arena))
    lost, serial = (judge(arena.run(Replay(choices))) for choices in ((0, 1, 1, 1, 0, 0), (1, 1, 1, 0, 0, 0)))
    sentence = "No order of the workers, one after another, ends like this."
    assert ([Anomaly("not serializable", sentence)], []) == (list(lost), list(serial))


def test_view_says_what_counts() -> None:
    """What a view leaves out can't make an end wrong."""
    judge = serial_judge([SerialOutcome(("None", "None"), None)], view=lambda outcome: outcome.endings)
    assert () == judge(lost_update())


def test_worker_that_gave_up_is_in_no_order() -> None:
    """A body that ended with an error it has in no order is not held against the others."""
    judge = serial_judge([SerialOutcome(("1", "1"), "both")])
    assert () == judge(_ended(Ending(1), Ending(error=ValueError()), state="one"))


def test_addresses_in_results_do_not_count() -> None:
    """Two results that differ only in where they are in memory are the same."""
    judge = serial_judge([SerialOutcome(("<object object>",), None)])
    assert () == judge(_ended(Ending(object())))


def test_too_many_orders_are_refused() -> None:
    """Beyond the limit nothing is run."""
    with pytest.raises(JudgeError, match="5 workers have too many orders"):
        serial_outcomes(Deposits(((1,),) * 5))


def test_in_order_goes_on_with_others() -> None:
    """While the first waits, the next in the order runs; a worker that the order lacks comes last."""
    order = InOrder([2, 0])
    execution = Deposits(((1,), (1,), (1,))).run(order)
    assert (2, 2, 2, 0, 0, 0, 1, 1, 1) == execution.choices


# several


def _unsure(_: Execution) -> Sequence[Anomaly]:
    raise JudgeError("can't tell")


def test_found_beats_unknown() -> None:
    """What one judge found counts when another could not judge; each thing counts once."""
    judge = combine(_unsure, invariant_judge(both_count, COLUMNS), invariant_judge(both_count, COLUMNS))
    assert ["both_count"] == [each.witness for each in judge(lost_update())]


def test_unknown_beats_nothing() -> None:
    """Where nothing is found and a judge could not judge, nobody knows."""
    with pytest.raises(JudgeError, match="can't tell"):
        combine(errors_judge(), _unsure)(lost_update())
