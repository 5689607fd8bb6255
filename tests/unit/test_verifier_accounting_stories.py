"""Accounting's witnesses and summaries, whole: what a reader is told of each contradiction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Check, Value, Witness
from orchestrator.verifier.verdict import Named
from tests.unit.histories import check, deduct, grant, race, transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.histories import Draft

#: Tokens of the attempts of operations 0 to 3, and of the next one that process 2 makes.
FIRST, SECOND, THIRD, FOURTH = (1 << 32) + 1, (2 << 32) + 2, (1 << 32) + 3, (2 << 32) + 4
FIFTH = (2 << 32) + 5

ZERO = "operation 0 (deduct 5 from users/0) on node-1, pid 101, slot 0"
TWO = "operation 2 (grant 1 to users/2) on node-1, pid 101, slot 0"
THREE = "operation 3 (deduct 900 from users/1) on node-2, pid 102, slot 0"

UNAPPLIED = "and ended ok, but changed no row: what it acknowledged is not there."


@pytest.fixture
def draft() -> Draft:
    """A valid history with a refusal in it."""
    return race(deduct(0, 5), transfer(0, 1, 3), grant(2, 1), deduct(1, 900))


def _number_twice(draft: Draft) -> None:
    draft.operations.append(draft.operations[0])


def _token_twice(draft: Draft) -> None:
    draft.attempts.append({**draft.attempts[0], "slot": 4})


def _unplanned(draft: Draft) -> None:
    draft.add_attempt(77, outcome="fail")


def _without_effect(draft: Draft) -> None:
    draft.add_attempt(0)


def _though_failed(draft: Draft) -> None:
    draft.refuse(0, "version")


def _foreign(draft: Draft) -> None:
    draft.effects_of(0)[0]["operation"] = 2


def _of_nothing(draft: Draft) -> None:
    draft.refuse(3, "duplicate")


def _nobody(draft: Draft) -> None:
    draft.effects_of(2)[0].update(writer=0, operation=-1)


def _nobodys_token(draft: Draft) -> None:
    draft.drop(2)
    draft.effects_of(2)[0].update(writer=77, operation=77)


STORIES = [
    (
        _number_twice,
        "5 operations, 4 attempts, 4 effects; 1 contradiction",
        [Witness(anomaly="operation-twice", sentence="Operation 0 is in the plan twice.", operations=(0,))],
    ),
    (
        _token_twice,
        "4 operations, 5 attempts, 4 effects; 2 contradictions",
        [
            Witness(
                anomaly="token-twice",
                sentence=f"Two attempts carry the token {FIRST}; the second is {ZERO.replace('slot 0', 'slot 4')}.",
                attempts=(FIRST,),
            ),
            Witness(
                anomaly="ok-without-effect",
                sentence=f"A ran {ZERO.replace('slot 0', 'slot 4')}, {UNAPPLIED}",
                attempts=(FIRST,),
                operations=(0,),
            ),
        ],
    ),
    (
        _unplanned,
        "4 operations, 5 attempts, 4 effects; 1 contradiction",
        [
            Witness(
                anomaly="unplanned-attempt",
                sentence=f"Attempt {FIFTH} ran an operation that nobody planned.",
                attempts=(FIFTH,),
            )
        ],
    ),
    (
        _without_effect,
        "4 operations, 5 attempts, 4 effects; 1 contradiction",
        [
            Witness(
                anomaly="ok-without-effect",
                sentence=f"A ran {ZERO}, {UNAPPLIED}",
                attempts=(FIFTH,),
                operations=(0,),
            )
        ],
    ),
    (
        _though_failed,
        "4 operations, 4 attempts, 4 effects; 1 contradiction",
        [
            Witness(
                anomaly="fail-with-effect",
                sentence=f"A ran {ZERO}, and ended fail: version, but its changes are committed.",
                attempts=(FIRST,),
                operations=(0,),
            )
        ],
    ),
    (
        _foreign,
        "4 operations, 4 attempts, 4 effects; 1 contradiction",
        [
            Witness(
                anomaly="foreign-effect",
                sentence=(
                    f"A ran {ZERO}, but its change of users/0 at seq 1 was made for operation 2 (grant 1 to users/2)."
                ),
                attempts=(FIRST,),
                row="users/0",
            )
        ],
    ),
    (
        _of_nothing,
        "4 operations, 4 attempts, 4 effects; 1 contradiction",
        [
            Witness(
                anomaly="duplicate-of-nothing",
                sentence=f"A ran {THREE}, and was refused as a duplicate, but no application of it exists.",
                attempts=(FOURTH,),
                operations=(3,),
            )
        ],
    ),
    (
        _nobody,
        "4 operations, 4 attempts, 4 effects; 2 contradictions",
        [
            Witness(
                anomaly="ok-without-effect",
                sentence=f"A ran {TWO}, {UNAPPLIED}",
                attempts=(THIRD,),
                operations=(2,),
            ),
            Witness(
                anomaly="effect-without-attempt",
                sentence=(
                    "users/2 was changed at seq 1 by a session without a token for an operation that nobody planned;"
                    " no attempt of the run did that."
                ),
                row="users/2",
            ),
        ],
    ),
    (
        _nobodys_token,
        "4 operations, 3 attempts, 4 effects; 1 contradiction",
        [
            Witness(
                anomaly="effect-without-attempt",
                sentence=(
                    "users/2 was changed at seq 1 by token 77 for an operation that nobody planned;"
                    " no attempt of the run did that."
                ),
                attempts=(77,),
                row="users/2",
            )
        ],
    ),
]


@pytest.mark.parametrize(("break_it", "summary", "witnesses"), STORIES)
def test_each_contradiction_is_told_whole(
    draft: Draft, break_it: Callable[[Draft], None], summary: str, witnesses: list[Witness]
) -> None:
    """Who did it, what was wrong, and how much was looked at."""
    break_it(draft)
    expected = Check(
        name="accounting",
        value=Value.INVALID,
        summary=summary,
        found=len(witnesses),
        witnesses=tuple(witnesses),
    )
    assert expected == check(draft, "accounting")


def test_a_sum_that_adds_up_is_told_in_one_sentence(draft: Draft) -> None:
    """Nothing is found, and nothing is shown."""
    expected = Check(
        name="accounting", value=Value.VALID, summary="4 operations, 4 attempts, 4 effects; all agree", found=0
    )
    assert expected == check(draft, "accounting")


def test_a_lost_journal_is_told_beside_what_is_wrong(draft: Draft) -> None:
    """Effects of unheard attempts are counted apart from contradictions."""
    draft.drop(1)
    assert "4 operations, 3 attempts, 4 effects; 2 effects of attempts that no gathered journal tells of" == (
        check(draft, "accounting").summary
    )
    draft.refuse(0, "version")
    found = check(draft, "accounting")
    assert (
        "4 operations, 3 attempts, 4 effects; 2 effects of attempts that no gathered journal tells of; 1 contradiction"
    ) == found.summary
    assert 1 == found.found


def test_ten_contradictions_are_shown_and_all_are_counted() -> None:
    """Of several kinds together too."""
    draft = race(*(grant(0, 1) for _ in range(15)))
    for operation in range(7):
        draft.refuse(operation, "version")
    draft.operations += [{**draft.operations[0]} for _ in range(6)]
    found = check(draft, "accounting")
    assert 13 == found.found
    assert ["operation-twice"] * 6 + ["fail-with-effect"] * 4 == [witness.anomaly for witness in found.witnesses]


def test_a_retry_refused_as_duplicate_is_not_final(draft: Draft) -> None:
    """Only what an attempt ended with for good claims that another application exists."""
    draft.refuse(3, "duplicate")["final"] = False
    assert Value.VALID is check(draft, "accounting").value


def test_a_duplicate_of_an_operation_that_nobody_planned_is_told_once(draft: Draft) -> None:
    """It is unplanned; whose duplicate it was can't be said."""
    draft.add_attempt(77, outcome="fail", reason="duplicate", final=True)
    assert ["unplanned-attempt"] == [witness.anomaly for witness in check(draft, "accounting").witnesses]


def test_a_second_application_is_told_whole(draft: Draft) -> None:
    """Both attempts, where and in which transaction; the first two where there are more."""
    for operation in (1, 2):
        draft.attempt_of(operation)["operation"] = 0
    for effect in draft.effects:
        effect["operation"] = 0
    found = check(draft, "applied once")
    expected = Check(
        name="applied once",
        value=Value.INVALID,
        summary="3 applications of 1 operation; 1 operation applied more than once",
        found=1,
        witnesses=(
            Witness(
                anomaly="applied-twice",
                sentence=(
                    f"Operation 0 (deduct 5 from users/0) was applied 3 times: A ({ZERO}) changed users/0 at seq 1 in"
                    f" transaction 1000, and B ({ZERO.replace('node-1, pid 101', 'node-2, pid 102')}) changed users/0"
                    " at seq 2 in transaction 1001."
                    " The second one ran a message that was not marked as redelivered."
                ),
                attempts=(FIRST, SECOND),
                operations=(0,),
            ),
        ),
        named=(
            Named(
                operation=0,
                anomaly="applied-twice",
                note="the second one ran a message that was not marked as redelivered",
            ),
        ),
    )
    assert expected == found


def test_applications_and_their_operations_are_counted(draft: Draft) -> None:
    """The refused one has none."""
    expected = Check(name="applied once", value=Value.VALID, summary="3 applications of 3 operations")
    assert expected == check(draft, "applied once")


def test_an_application_by_an_unheard_attempt_counts_for_the_operation_it_was_made_for(draft: Draft) -> None:
    """What the session carried tells whose it is, where no journal does; else it counts nowhere."""
    draft.drop(2)
    assert "3 applications of 3 operations" == check(draft, "applied once").summary
    draft.effects_of(2)[0]["operation"] = 0
    assert "3 applications of 2 operations; 1 operation applied more than once" == check(draft, "applied once").summary
    draft.effects_of(0)[1]["operation"] = 77
    assert "3 applications of 2 operations" == check(draft, "applied once").summary


def test_an_application_counts_for_the_operation_that_its_attempt_ran(draft: Draft) -> None:
    """Whatever operation the session carried."""
    draft.effects_of(0)[0]["operation"] = 2
    assert "3 applications of 3 operations" == check(draft, "applied once").summary


def test_an_application_without_journal_is_the_first_operations_too(draft: Draft) -> None:
    """Operation 0 is an operation as any other: nobody is accused."""
    draft.drop(0)
    found = check(draft, "accounting")
    assert [Value.UNKNOWN, 0] == [found.value, found.found]


def test_the_first_operation_can_be_a_duplicate_of_nothing() -> None:
    """As any other."""
    draft = race(deduct(0, 900))
    draft.refuse(0, "duplicate")
    assert ["duplicate-of-nothing"] == [witness.anomaly for witness in check(draft, "accounting").witnesses]


def test_no_effects_are_no_applications() -> None:
    """There is nothing to count."""
    assert "0 applications of 0 operations" == check(race(deduct(0, 900)), "applied once").summary


def test_a_lost_operation_is_told_whole(draft: Draft) -> None:
    """That the broker had it, what was tried, and that nothing is left to wait for."""
    number = draft.add_operation(grant(0, 1))
    story = f"Operation {number} (grant 1 to users/0) was confirmed by the broker, "
    end = ", and nothing is queued, unacknowledged or running: it is lost."
    witness = Witness(anomaly="lost-operation", sentence=f"{story}no attempt ever started{end}", operations=(number,))
    expected = Check(
        name="lost operations",
        value=Value.INVALID,
        summary="1 of 5 operations lost",
        found=1,
        witnesses=(witness,),
        named=(Named(operation=number, anomaly="lost-operation"),),
    )
    assert expected == check(draft, "lost operations")
    first = draft.add_attempt(number, outcome="fail", reason="serialization", final=False)
    second = draft.add_attempt(number, outcome="fail", reason="version", final=False)
    told = check(draft, "lost operations").witnesses[0]
    assert f"{story}its 2 attempts ended without effect (fail: version){end}" == told.sentence
    assert (first["token"], second["token"]) == told.attempts


def test_a_lost_operation_names_ten_attempts(draft: Draft) -> None:
    """However often it was tried."""
    number = draft.add_operation(grant(0, 1))
    tried = [draft.add_attempt(number, outcome="fail", reason="version", final=False)["token"] for _ in range(12)]
    told = check(draft, "lost operations").witnesses[0]
    assert tuple(tried[:10]) == told.attempts
    assert "its 12 attempts ended" in told.sentence


def test_why_losses_are_not_known_is_said(draft: Draft) -> None:
    """The end came too early, or something is missing."""
    draft.add_operation(grant(0, 1))
    draft.meta["gaps"] = ("a journal is missing",)
    expected = Check(
        name="lost operations",
        value=Value.UNKNOWN,
        summary="1 of 5 operations lost, or among what could not be gathered",
        named=(Named(operation=4, anomaly="lost-operation"),),
    )
    assert expected == check(draft, "lost operations")
    draft.meta["drained"] = False
    expected = Check(
        name="lost operations",
        value=Value.UNKNOWN,
        summary="gathering ended before queue and workers were empty",
    )
    assert expected == check(draft, "lost operations")


def test_operations_without_loss_are_counted(draft: Draft) -> None:
    """None of four."""
    assert Check(name="lost operations", value=Value.VALID, summary="0 of 4 operations lost") == check(
        draft, "lost operations"
    )
