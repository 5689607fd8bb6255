"""Verdicts: three values, and what is not told is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from orchestrator.verifier import Check, Value, Verdict, Witness, merge, verify
from orchestrator.verifier.verdict import Judgement, Participant, Step
from tests.unit.histories import deduct, race

if TYPE_CHECKING:
    from orchestrator.verifier.facts import Facts

CHECK = Check(name="n", value=Value.VALID, summary="s")


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        (Participant(number=1, name="n"), {"details": {}}),
        (Step(kind="ww", source=0, target=1), {"row": None, "before": None, "after": None, "sentence": ""}),
        (
            Witness(anomaly="a", sentence="s"),
            {
                "attempts": (),
                "operations": (),
                "row": None,
                "transactions": (),
                "steps": (),
                "contradiction": "",
                "history": (),
            },
        ),
        (CHECK, {"found": 0, "witnesses": (), "named": ()}),
        (Verdict(value=Value.VALID, isolation=CHECK, checks=()), {"not_checked": (), "dependencies": None}),
        (
            Judgement(
                value=Value.VALID,
                level="serializable",
                anomalies={},
                at_least=(),
                ruled_out=(),
                also_ruled_out=(),
                strongest=(),
                sessions={},
                checked=(),
                not_checked=(),
                certificate="c",
            ),
            {"gave_up": (), "witnesses": (), "transactions": 0, "operations": 0},
        ),
    ],
)
def test_what_is_not_told_is_empty(given: msgspec.Struct, left_out: dict[str, Any]) -> None:
    """Every field that may be left out."""
    optional = [field.name for field in msgspec.structs.fields(type(given)) if not field.required]
    assert left_out == {name: getattr(given, name) for name in optional}


def test_a_history_that_can_not_be_prepared_has_no_other_checks() -> None:
    """The check of the history itself crashed, and so did that of the isolation kept."""
    draft = race(deduct(0, 5))
    draft.rows.append(draft.rows[0])
    crashed = [
        Check(name=name, value=Value.UNKNOWN, summary="the check crashed: ValueError: a row is listed twice")
        for name in ("history", "isolation kept")
    ]
    assert Verdict(value=Value.UNKNOWN, isolation=crashed[1], checks=(crashed[0],)) == verify(draft.history())


def test_a_crashed_check_of_the_isolation_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves the others as they are."""

    def crash(_facts: Facts) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("orchestrator.verifier.isolation_kept", crash)
    verdict = verify(race(deduct(0, 5), deduct(0, 3)).history())
    summary = "the check crashed: ZeroDivisionError: oops"
    assert Check(name="isolation kept", value=Value.UNKNOWN, summary=summary) == verdict.isolation
    assert Value.VALID is verdict.value


def test_what_eager_mode_and_unrecorded_runs_can_not_show_is_said() -> None:
    """In words of their own, after what no history of this form shows."""
    draft = race(deduct(0, 5))
    always = verify(draft.history()).not_checked
    draft.meta["mode"] = "eager"
    eager = "broker, redelivery, several processes and hosts: not part of eager mode"
    assert (*always, eager) == verify(draft.history()).not_checked
    draft.meta["recording"] = False
    assert ("the data: nothing was recorded", eager) == verify(draft.history()).not_checked


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), Value.UNKNOWN),
        ((Value.VALID,), Value.VALID),
        ((Value.VALID, Value.UNKNOWN), Value.UNKNOWN),
        ((Value.UNKNOWN, Value.INVALID, Value.VALID), Value.INVALID),
    ],
)
def test_invalid_beats_unknown_beats_valid(values: tuple[Value, ...], expected: Value) -> None:
    """And nothing at all is UNKNOWN."""
    assert expected is merge(values)


def test_values_are_their_names() -> None:
    """Reports and files hold them so."""
    assert ["VALID", "INVALID", "UNKNOWN"] == [value.value for value in Value]
