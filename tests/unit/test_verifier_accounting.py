"""Accounting: operations, attempts and effects belong together, once each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.verifier import Value, verify
from tests.unit.histories import anomalies, check, deduct, grant, race, transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.histories import Draft

NAMES = ("accounting", "applied once", "lost operations")


@pytest.fixture
def draft() -> Draft:
    """A valid history with a refusal in it."""
    return race(deduct(0, 5), transfer(0, 1, 3), grant(2, 1), deduct(1, 900))


@pytest.mark.parametrize("name", NAMES)
def test_a_correct_history_adds_up(draft: Draft, name: str) -> None:
    """Each check holds on a history in which nothing is wrong."""
    assert check(draft, name).value is Value.VALID


def _number_twice(draft: Draft) -> None:
    draft.operations.append(draft.operations[0])


def _token_twice(draft: Draft) -> None:
    draft.attempts.append(draft.attempts[0])


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


@pytest.mark.parametrize(
    ("break_it", "anomaly"),
    [
        (_number_twice, "operation-twice"),
        (_token_twice, "token-twice"),
        (_unplanned, "unplanned-attempt"),
        (_without_effect, "ok-without-effect"),
        (_though_failed, "fail-with-effect"),
        (_foreign, "foreign-effect"),
        (_of_nothing, "duplicate-of-nothing"),
        (_nobody, "effect-without-attempt"),
    ],
)
def test_a_contradiction_is_found_and_named(draft: Draft, break_it: Callable[[Draft], None], anomaly: str) -> None:
    """Each contradiction alone makes accounting fail, with a witness of its name."""
    break_it(draft)
    assert check(draft, "accounting").value is Value.INVALID
    assert anomaly in anomalies(draft, "accounting")


@pytest.mark.parametrize("meta", [{}, {"drained": False}, {"gaps": ("a dead host's journal is missing",)}])
def test_an_effect_whose_attempt_is_unknown_shows_a_lost_journal(draft: Draft, meta: dict[str, object]) -> None:
    """A host that died kept its journal: the change is its operation's all the same, and nobody is accused."""
    draft.drop(2)
    draft.meta.update(meta)
    found = check(draft, "accounting")
    assert found.value is Value.UNKNOWN
    assert found.summary.endswith("1 effect of attempts that no gathered journal tells of")
    assert verify(draft.history()).value is Value.UNKNOWN


@pytest.mark.parametrize("change", [{"writer": 0}, {"operation": -1}, {"operation": 77}])
@pytest.mark.parametrize("drained", [True, False])
def test_an_effect_for_no_operation_is_a_contradiction(draft: Draft, change: dict[str, int], *, drained: bool) -> None:
    """No journal, gathered or not, could explain a change that nobody asked for."""
    draft.drop(2)
    draft.effects_of(2)[0].update(change)
    draft.meta["drained"] = drained
    assert anomalies(draft, "accounting") == {"effect-without-attempt"}
    assert check(draft, "accounting").value is Value.INVALID


def test_a_contradiction_beside_a_lost_journal_is_still_one(draft: Draft) -> None:
    """What is proven stays proven."""
    draft.drop(2)
    draft.refuse(0, "version")
    assert check(draft, "accounting").value is Value.INVALID


def test_a_redelivery_that_the_guard_refused_is_accounted_for(draft: Draft) -> None:
    """The first delivery applied the operation, the second ended as a duplicate, and the operation is ok."""
    draft.add_attempt(0, outcome="fail", reason="duplicate", redelivered=True)
    draft.crash(2, backend_ended=True)
    draft.add_attempt(2, end_ns=draft.attempts[0]["end_ns"], outcome="fail", reason="duplicate", final=True)
    assert check(draft, "accounting").value is Value.VALID
    assert check(draft, "lost operations").value is Value.VALID


def test_a_duplicate_of_nothing_proves_nothing_where_not_all_was_gathered(draft: Draft) -> None:
    """The application may have come after the effects were read."""
    _of_nothing(draft)
    draft.meta["drained"] = False
    assert check(draft, "accounting").value is Value.VALID


def test_two_transactions_of_one_operation_are_two_applications(draft: Draft) -> None:
    """The witness names both attempts."""
    first, second = draft.effects_of(0)[0], draft.effects_of(2)[0]
    draft.attempt_of(2)["operation"] = 0
    second["operation"] = 0
    found = check(draft, "applied once")
    assert found.value is Value.INVALID
    assert found.witnesses[0].attempts == (first["writer"], second["writer"])
    assert found.witnesses[0].operations == (0,)


def test_one_token_in_two_transactions_is_two_applications(draft: Draft) -> None:
    """An attempt is one transaction."""
    draft.effects_of(1)[1]["txid"] += 1
    assert check(draft, "applied once").found == 1


def test_two_rows_in_one_transaction_are_one_application(draft: Draft) -> None:
    """A transfer is applied once, though it changes two rows."""
    assert len(draft.effects_of(1)) == 2
    assert check(draft, "applied once").value is Value.VALID


def test_one_lost_operation_of_a_thousand_is_found() -> None:
    """A message that vanished from the queue makes the run INVALID, however well the rest went."""
    draft = race(*(grant(number % 3, 1) for number in range(999)))
    lost = draft.add_operation(grant(0, 1))
    found = check(draft, "lost operations")
    assert found.value is Value.INVALID
    assert found.found == 1
    assert found.witnesses[0].operations == (lost,)


def test_a_lost_operation_tells_how_its_attempts_ended(draft: Draft) -> None:
    """The witness says what was tried."""
    number = draft.add_operation(grant(0, 1))
    draft.add_attempt(number, outcome="fail", reason="serialization", final=False)
    assert "ended without effect (fail: serialization)" in check(draft, "lost operations").witnesses[0].sentence


@pytest.mark.parametrize("meta", [{"drained": False}, {"gaps": ("a dead host's journal is missing",)}])
def test_nothing_is_called_lost_where_not_all_was_gathered(draft: Draft, meta: dict[str, object]) -> None:
    """Absence proves nothing then."""
    draft.add_operation(grant(0, 1))
    draft.meta.update(meta)
    assert check(draft, "lost operations").value is Value.UNKNOWN


def test_gaps_alone_make_nothing_lost(draft: Draft) -> None:
    """Where every operation has ended, nothing can have vanished."""
    draft.meta["gaps"] = ("a dead host's journal is missing",)
    assert check(draft, "lost operations").value is Value.VALID
