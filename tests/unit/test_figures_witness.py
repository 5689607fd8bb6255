"""Verdicts and witnesses as lines: what decides comes first."""

from __future__ import annotations

from orchestrator.reports.witness import check_lines, first_witness, verdict_lines, witness_lines
from orchestrator.verifier import Check, Value, Verdict, Witness

LOST = Witness(anomaly="lost-update", sentence="A read, B wrote, A overwrote.", row="users/7")


def a_check(name: str, value: Value, *witnesses: Witness, found: int = 0) -> Check:
    """A finding."""
    return Check(name=name, value=value, summary=f"{name} was looked at", found=found, witnesses=witnesses)


def test_a_witness_is_its_anomaly_its_row_and_its_story() -> None:
    """One title, then the sentence."""
    assert witness_lines(LOST) == ["  lost-update on users/7:", "    A read, B wrote, A overwrote."]


def test_a_witness_without_a_row_names_none() -> None:
    """The anomaly alone is the title."""
    witness = Witness(anomaly="lost-operation", sentence="It is lost.")
    assert witness_lines(witness, indent="") == ["lost-operation:", "  It is lost."]


def test_long_stories_are_wrapped() -> None:
    """No line is wider than a terminal likes."""
    lines = witness_lines(Witness(anomaly="a", sentence="word " * 100))
    assert max(map(len, lines)) <= 110
    assert len(lines) > 3


def test_a_check_says_how_many_more_there_are() -> None:
    """Of forty, one is told and thirty-nine are counted."""
    assert check_lines(a_check("lost updates", Value.INVALID, LOST, found=40)) == [
        "INVALID  lost updates: lost updates was looked at",
        "  lost-update on users/7:",
        "    A read, B wrote, A overwrote.",
        "  … 39 more",
    ]


def test_what_decides_comes_first() -> None:
    """INVALID, then UNKNOWN, then VALID, then the isolation, then what was not checked."""
    verdict = Verdict(
        value=Value.INVALID,
        isolation=a_check("isolation kept", Value.VALID),
        checks=(
            a_check("good", Value.VALID),
            a_check("open", Value.UNKNOWN),
            a_check("bad", Value.INVALID, LOST, found=1),
        ),
        not_checked=("cycles",),
    )
    assert verdict_lines(verdict) == [
        "verdict: INVALID",
        "INVALID  bad: bad was looked at",
        "  lost-update on users/7:",
        "    A read, B wrote, A overwrote.",
        "UNKNOWN  open: open was looked at",
        "VALID  good: good was looked at",
        "VALID  isolation kept: isolation kept was looked at",
        "not checked: cycles",
    ]
    assert first_witness(verdict) == LOST


def test_a_verdict_without_witnesses_has_no_first_one() -> None:
    """There is nothing to show."""
    verdict = Verdict(value=Value.VALID, isolation=a_check("isolation kept", Value.VALID), checks=())
    assert first_witness(verdict) is None
