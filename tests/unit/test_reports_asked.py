"""What became of the level that a run was held to, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from orchestrator.reports.asked import asked_for
from orchestrator.reports.table import words
from orchestrator.verifier.verdict import Check, Value, Witness
from tests.unit.test_reports_judgement import BLANK, finding, judged, report

if TYPE_CHECKING:
    from orchestrator.reports.result import Finding
    from orchestrator.verifier.verdict import Judgement

VALID, INVALID, UNKNOWN = Value.VALID, Value.INVALID, Value.UNKNOWN

KEPT = judged(**BLANK, value=VALID)

NAME = "1-credits-naive-read-committed"


def group(value: Value, judgement: Judgement | None, *anomalies: str, found: int = 0, complete: bool = True) -> Finding:
    """A group whose check of dependencies shows these."""
    witnesses = tuple(Witness(anomaly=anomaly, sentence=f"{anomaly}.") for anomaly in anomalies)
    held = Check(name="dependencies", value=value, summary="", found=found, witnesses=witnesses)
    ended = Check(name="complete", value=VALID if complete else UNKNOWN, summary="")
    made = finding(held, ended, value=value)
    return msgspec.structs.replace(made, verdict=msgspec.structs.replace(made.verdict, dependencies=judgement))


def said(*findings: Finding, level: str | None = "serializable", asked: int | None = None) -> list[str]:
    """The lines, without what all begin with."""
    run = msgspec.structs.replace(report(*findings, asked=asked), level=level)
    return [line.removeprefix(f"Asked for {level}: ") for line in asked_for(run)]


def test_what_rules_it_out_is_named_with_its_group() -> None:
    """Counts are the judgement's; the groups that kept it are counted."""
    broken = group(INVALID, judged(), "G-single-item", found=9)
    guilty = f"by G-single-item (at least 3), lost-update (1,200) in {NAME}"
    assert [f"ruled out {guilty}; {guilty}.", "kept in 1 group."] == said(broken, broken, group(VALID, KEPT))


@pytest.mark.parametrize(("found", "count"), [(2, "2"), (5, "at least 2")])
def test_what_only_the_check_found_is_named_too(found: int, count: str) -> None:
    """Reads outside the transaction are transactions of their own in the judgement, and the check knows better."""
    broken = group(INVALID, KEPT, "lost-update", "lost-update", found=found)
    assert [f"ruled out by lost-update ({count}) in {NAME}."] == said(broken)


def test_kept_in_all_groups_is_said_only_of_all() -> None:
    """One that is missing has not kept anything."""
    kept = group(VALID, KEPT)
    assert ["kept in all 2 groups."] == said(kept, kept)
    assert ["kept in 2 groups."] == said(kept, kept, asked=3)
    assert ["kept in 1 group."] == said(kept)


def test_what_the_level_permits_does_not_rule_it_out() -> None:
    """Though the data is inconsistent by it."""
    assert ["kept in 1 group."] == said(group(INVALID, judged(), "lost-update", found=1), level="read-committed")


@pytest.mark.parametrize(
    "open_",
    [
        group(VALID, None),
        finding(value=VALID),
        group(UNKNOWN, KEPT),
        group(VALID, judged(**BLANK, value=UNKNOWN)),
        group(VALID, judged(**{**BLANK, "gave_up": ("G2-item: the search ended",)}, value=UNKNOWN)),
    ],
)
def test_what_was_not_looked_at_is_not_kept(open_: Finding) -> None:
    """Nothing recorded, nothing to look at, or a search that gave up."""
    assert [f"not decided in {NAME}."] == said(open_)


def test_a_part_of_a_history_keeps_nothing() -> None:
    """Where not all was gathered, the rest may rule the level out."""
    broken = group(INVALID, judged(), "lost-update", found=1, complete=False)
    assert [f"not decided in {NAME}."] == said(broken, level="read-committed")


def test_the_report_says_it_and_what_was_raced_at() -> None:
    """Where no level was asked for there is no such line."""
    run = report(group(VALID, KEPT))
    assert [] == said(group(VALID, KEPT), level=None)
    told = list(words(msgspec.structs.replace(run, level="serializable")))
    at = told.index("Asked for serializable: kept in 1 group.")
    assert told[at - 1].startswith("Raced at read committed, and got it in 1 group: 1,000 transactions with 1 reads")
