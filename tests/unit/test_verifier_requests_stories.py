"""Requests, told whole: effects that nobody asked for, and what was asked for and not done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Check, Facts, Value, Witness, verify
from orchestrator.verifier.columns import REASONS
from orchestrator.verifier.settling import OUTCOMES
from orchestrator.verifier.verdict import Named
from tests.unit.histories import check, deduct, grant, race, transfer

if TYPE_CHECKING:
    from tests.unit.histories import Draft, Planned

#: Tokens of the attempts of operations 0 and 1.
FIRST, SECOND = (1 << 32) + 1, (2 << 32) + 2


def requested(*planned: Planned) -> Draft:
    """Operations whose requests are all committed."""
    draft = race(*(planned or (grant(0, 1), transfer(1, 2, 5), deduct(2, 5))))
    draft.meta["scenario"] = "requests"
    for operation in draft.operations:
        operation["requested"] = True
    return draft


def test_requests_are_judged_where_operations_need_them() -> None:
    """One is enough; none is no check."""
    draft = race(grant(0, 1), grant(1, 1))
    assert "requests" not in [found.name for found in verify(draft.history()).checks]
    draft.operations[1]["requested"] = True
    assert "1 of 1 request committed" == check(draft, "requests").summary
    draft.meta["recording"] = False
    assert "requests" not in [found.name for found in verify(draft.history()).checks]


def test_a_request_that_was_rolled_back_is_one_to_judge() -> None:
    """Though no other one is known; its operation may be the first of all."""
    draft = race(grant(0, 1), grant(1, 1))
    draft.operations[0]["requested"] = False
    found = check(draft, "requests")
    assert "0 of 1 request committed; 1 operation took effect without one" == found.summary
    assert (Named(operation=0, anomaly="ghost-effect"),) == found.named


def test_what_was_asked_for_and_done_is_valid() -> None:
    """A refusal for want of credits answers the request, too; so does a request that was rolled back and left alone."""
    draft = requested(grant(1, 1), grant(1, 1), deduct(1, 900))
    expected = Check(name="requests", value=Value.VALID, summary="3 of 3 requests committed")
    assert expected == check(draft, "requests")
    assert Value.VALID is verify(draft.history()).value


def test_an_effect_without_a_committed_request_is_a_ghost() -> None:
    """Whoever published it rolled back."""
    draft = requested()
    draft.operations[1]["requested"] = False
    story = (
        "Operation 1 (transfer 5 from users/1 to users/2) changed users/1 at seq 1, but the request for it was never"
        " committed. A is operation 1 (transfer 5 from users/1 to users/2) on node-2, pid 102, slot 0."
    )
    expected = Check(
        name="requests",
        value=Value.INVALID,
        summary="2 of 3 requests committed; 1 operation took effect without one",
        found=1,
        witnesses=(
            Witness(anomaly="ghost-effect", sentence=story, attempts=(SECOND,), operations=(1,), row="users/1"),
        ),
        named=(Named(operation=1, anomaly="ghost-effect"),),
    )
    assert expected == check(draft, "requests")
    assert Value.INVALID is verify(draft.history()).value


def test_a_task_without_a_request_may_be_dropped() -> None:
    """It is refused for want of it; where operations need none, that is no reason."""
    draft = requested(grant(0, 1), grant(0, 1), grant(1, 1))
    draft.refuse(2, "no-request")
    draft.effects.pop()
    draft.rows[1].update(final=draft.rows[1]["initial"], final_version=1, final_seq=0, final_writer=0)
    draft.operations[2]["requested"] = False
    assert Value.VALID is check(draft, "requests").value
    assert Check(name="refusals", value=Value.VALID, summary="nothing was refused") == check(draft, "refusals")
    draft.operations[2]["requested"] = None
    (witness,) = check(draft, "refusals").witnesses
    assert witness.sentence.startswith("A was refused as no-request, but no state of the row in A's time justifies")


def test_a_row_that_is_missing_is_no_missing_request() -> None:
    """Whether it was there is for the check of refusals."""
    draft = requested(grant(0, 1))
    draft.refuse(0, "missing")
    draft.effects.clear()
    assert (Value.VALID, Value.INVALID) == (check(draft, "requests").value, check(draft, "refusals").value)


@pytest.mark.parametrize("reason", ["version", "error", "poison"])
def test_a_committed_request_that_was_given_up_is_unfulfilled(reason: str) -> None:
    """Whatever was in the way: no rule refused it."""
    draft = requested(grant(0, 1))
    draft.refuse(0, reason)
    draft.effects.clear()
    (witness,) = check(draft, "requests").witnesses
    story = f"A (operation 0 (grant 1 to users/0) on node-1, pid 101, slot 0) ended fail: {reason}: it was not done."
    assert witness.sentence.endswith(story)


@pytest.mark.parametrize("confirmed", [True, False])
def test_what_was_rolled_back_need_not_arrive(*, confirmed: bool) -> None:
    """It was not published, or its message is lost: it counts as refused, and VALID stays VALID."""
    draft = requested()
    number = draft.add_operation(grant(0, 1), confirmed=confirmed)
    draft.operations[number]["requested"] = False
    facts = Facts(draft.history())
    assert ("fail", "no-request", -1) == (
        OUTCOMES[facts.settled.operations[number]],
        REASONS[facts.settled.reason[number]],
        facts.settled.by[number],
    )
    assert Value.VALID is verify(draft.history()).value
    assert check(draft, "work").summary.startswith("3 of 3 operations that the rules allow done (1 refused, ")
    draft.meta["drained"] = False
    expected = "info" if confirmed else "unpublished"
    assert expected == OUTCOMES[Facts(draft.history()).settled.operations[number]]


def test_what_was_rolled_back_may_still_be_attempted() -> None:
    """An attempt that may commit keeps its operation unsettled, and one that did makes it ok."""
    draft = requested()
    draft.operations[2]["requested"] = False
    assert "ok" == OUTCOMES[Facts(draft.history()).settled.operations[2]]
    draft.crash(2, backend_ended=False)
    draft.effects.pop()
    assert "info" == OUTCOMES[Facts(draft.history()).settled.operations[2]]


def test_a_committed_request_whose_task_was_dropped_is_unfulfilled() -> None:
    """The worker was faster than the producer's COMMIT."""
    draft = requested(grant(0, 1))
    draft.refuse(0, "no-request")
    draft.effects.clear()
    story = (
        "The request for operation 0 (grant 1 to users/0) is committed, but A (operation 0 (grant 1 to users/0) on"
        " node-1, pid 101, slot 0) found no request and dropped the task: it was not done."
    )
    expected = Check(
        name="requests",
        value=Value.INVALID,
        summary="1 of 1 request committed; 1 committed request unfulfilled",
        found=1,
        witnesses=(Witness(anomaly="unfulfilled-request", sentence=story, attempts=(FIRST,), operations=(0,)),),
        named=(Named(operation=0, anomaly="unfulfilled-request"),),
    )
    assert expected == check(draft, "requests")


@pytest.mark.parametrize(
    ("confirmed", "story"), [(True, "the operation is lost"), (False, "the operation was never published")]
)
def test_a_committed_request_that_nobody_heard_of_is_unfulfilled(story: str, *, confirmed: bool) -> None:
    """Its message was lost, or there was none; nobody can tell where not all was gathered."""
    draft = requested()
    number = draft.add_operation(grant(0, 1), confirmed=confirmed)
    draft.operations[number]["requested"] = True
    found = check(draft, "requests")
    sentence = f"The request for operation {number} (grant 1 to users/0) is committed, but {story}: it was not done."
    assert [sentence] == [witness.sentence for witness in found.witnesses]
    draft.meta["gaps"] = ("a journal is missing",)
    found = check(draft, "requests")
    assert Value.UNKNOWN is found.value
    assert "4 of 4 requests committed; 1 undone where not all was gathered" == found.summary


def test_both_kinds_are_shown_and_named_by_number() -> None:
    """However many there are of one."""
    draft = requested(*(grant(0, 1) for _ in range(14)))
    for number in range(1, 13):
        draft.operations[number]["requested"] = False
    draft.refuse(13, "no-request")
    draft.effects.pop()
    draft.refuse(0, "no-request")
    draft.effects.pop(0)
    found = check(draft, "requests")
    assert (14, 10, [*range(14)]) == (found.found, len(found.witnesses), [each.operation for each in found.named])
    assert ["ghost-effect", "unfulfilled-request"] * 2 == [each.anomaly for each in found.witnesses[:4]]
