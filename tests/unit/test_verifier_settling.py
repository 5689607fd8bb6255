"""Settling merges attempts to operations and never guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.verifier.facts import Facts
from orchestrator.verifier.settling import OUTCOMES
from tests.unit.histories import deduct, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft


def outcome(draft: Draft, operation: int = 0) -> str:
    """What became of the operation."""
    return OUTCOMES[Facts(draft.history()).settled.operations[operation]]


def test_any_ok_makes_an_operation_ok() -> None:
    """A failed attempt beside an ok one changes nothing."""
    draft = race(deduct(0, 5))
    draft.add_attempt(0, outcome="fail", reason="duplicate")
    assert outcome(draft) == "ok"


def test_an_effect_makes_an_attempt_without_end_ok() -> None:
    """A crashed attempt whose effect is there took effect."""
    draft = race(deduct(0, 5))
    draft.crash(0)
    assert outcome(draft) == "ok"


def test_an_effect_of_an_unknown_writer_makes_its_operation_ok() -> None:
    """What the session carried tells whose effect it is, where the journal does not."""
    draft = race(deduct(0, 5))
    draft.drop(0)
    assert outcome(draft) == "ok"


@pytest.mark.parametrize(("ended", "expected"), [(None, "info"), (False, "info"), (True, "lost")])
def test_a_crashed_attempt_fails_only_once_its_backend_has_ended(ended: bool | None, expected: str) -> None:  # noqa: FBT001  # a case
    """Until then it may still commit; afterwards nobody will do its operation."""
    draft = race(deduct(0, 5))
    draft.crash(0, backend_ended=ended)
    draft.effects.clear()
    assert outcome(draft) == expected


@pytest.mark.parametrize("ended", [True, False])
def test_what_became_of_the_backend_changes_no_known_outcome(*, ended: bool) -> None:
    """An attempt that ended ok did."""
    draft = race(deduct(0, 5))
    draft.attempt_of(0)["backend_ended"] = ended
    facts = Facts(draft.history())
    assert OUTCOMES[facts.settled.attempts[0]] == "ok"


@pytest.mark.parametrize(("ended", "expected"), [(False, "info"), (True, "fail")])
def test_an_outcome_in_words_that_nobody_knows_is_info(*, ended: bool, expected: str) -> None:
    """It says neither that the attempt took effect nor that it did not."""
    draft = race(deduct(0, 5))
    draft.attempt_of(0).update(outcome="perhaps", backend_ended=ended)
    draft.effects.clear()
    assert outcome(draft) == expected


def test_an_attempted_operation_was_published_whatever_the_broker_said() -> None:
    """A confirmation that never came means nothing once an attempt was made."""
    draft = race(deduct(0, 5))
    draft.operations[0]["confirmed"] = False
    draft.crash(0, backend_ended=True)
    draft.effects.clear()
    assert outcome(draft) == "info"


def test_an_operation_that_was_under_way_when_the_run_was_cut_off_is_not_lost() -> None:
    """Its message may be queued still."""
    draft = race(deduct(0, 5), drained=False)
    draft.crash(0, backend_ended=True)
    draft.effects.clear()
    assert outcome(draft) == "info"


def test_a_final_end_settles_even_where_its_outcome_was_unknown() -> None:
    """A COMMIT without answer, no effect, and a backend that has ended: it failed."""
    draft = race(deduct(0, 5))
    draft.attempt_of(0).update(outcome="info", reason="lost-connection", backend_ended=True)
    draft.effects.clear()
    assert outcome(draft) == "fail"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"confirmed": True, "drained": True}, "lost"),
        ({"confirmed": True, "drained": False}, "info"),
        ({"confirmed": False, "drained": True}, "unpublished"),
        ({"confirmed": False, "drained": False}, "unpublished"),
    ],
)
def test_an_operation_nobody_attempted_is_lost_only_if_it_was_confirmed(change: dict[str, Any], expected: str) -> None:
    """Absence proves a loss only where everything else can be excluded."""
    draft = race(deduct(0, 5), drained=change["drained"])
    number = draft.add_operation(deduct(1, 1), confirmed=change["confirmed"])
    assert outcome(draft, number) == expected


def test_an_operation_whose_retry_never_came_is_lost() -> None:
    """An end that is not final promises another attempt."""
    draft = race(deduct(0, 5))
    draft.attempt_of(0).update(outcome="fail", reason="version", final=False)
    draft.effects.clear()
    assert outcome(draft) == "lost"


def test_an_attempt_that_may_still_commit_keeps_its_operation_unsettled() -> None:
    """A refusal in one delivery does not settle what another delivery may do."""
    draft = race(deduct(0, 5))
    draft.refuse(0, "insufficient")
    draft.effects.clear()
    draft.add_attempt(0, outcome="info", reason=None, end_ns=None, final=False)
    assert outcome(draft) == "info"


def test_the_last_final_end_gives_the_reason() -> None:
    """Of several final ends, the latest by the database clock says why the operation failed."""
    draft = race(deduct(0, 5), deduct(1, 5))
    draft.effects.clear()
    draft.refuse(0, "insufficient")
    draft.add_attempt(0, reason="serialization", process=2, start_ns=10**15, end_ns=10**15)
    settled = Facts(draft.history()).settled
    assert settled.by[0] == 2
    assert settled.reason[0] == 3
