"""What became of the consistency model that a run was held to afterwards, in one line per outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.verifier import levels
from orchestrator.verifier.dependencies import LEVELS, rules_out
from orchestrator.verifier.serializable import NAME
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.reports.result import Report
    from orchestrator.verifier.verdict import Check, Verdict


def asked_for(report: Report) -> Iterator[str]:
    """Say where the level asked for is ruled out and by what, where it isn't decided, and where it was kept."""
    if report.level is None:
        return
    broken, open_, kept = [], [], 0
    for finding in report.findings:
        guilty = _guilty(finding.verdict, report.level)
        if guilty:
            broken.append(f"by {', '.join(guilty)} in {finding.row.name}")
        elif _undecided(finding.verdict, report.level):
            open_.append(finding.row.name)
        else:
            kept += 1
    asked = f"Asked for {report.level}"
    if broken:
        yield f"{asked}: ruled out {'; '.join(broken)}."
    if open_:
        yield f"{asked}: not decided in {', '.join(open_)}."
    if kept:
        yield f"{asked}: kept in {'all ' if kept == report.asked > 1 else ''}{counted(kept)}."


def counted(groups: int) -> str:
    """Say how many groups."""
    return "1 group" if groups == 1 else f"{groups} groups"


def _guilty(verdict: Verdict, level: str) -> tuple[str, ...]:
    """Name what rules the level out with its count; nothing where the check, which knows what is proven, found none."""
    check = _check(verdict)
    if check is None or check.value is not Value.INVALID:
        return ()
    found = dict(_judged(verdict, level))
    shown = [each.anomaly for each in check.witnesses if rules_out(each.anomaly, LEVELS[level])]
    exact = check.found == len(check.witnesses)
    for name in dict.fromkeys(shown):
        found.setdefault(name, f"{'' if exact else 'at least '}{shown.count(name):,}")
    return tuple(f"{name} ({count})" for name, count in sorted(found.items()))


def _judged(verdict: Verdict, level: str) -> Iterator[tuple[str, str]]:
    """Count what the judgement of all committed transactions holds against the level."""
    judgement = verdict.dependencies
    if judgement is None:
        return
    for name, count in levels.prohibited(judgement, level, complete=_complete(verdict)).items():
        yield name, f"{'at least ' if name in judgement.at_least else ''}{count:,}"


def _undecided(verdict: Verdict, level: str) -> bool:
    """Nothing was recorded, or was there to look at; or not all was gathered, or searched."""
    judgement, check = verdict.dependencies, _check(verdict)
    if judgement is None or check is None or check.value is Value.UNKNOWN:
        return True
    nothing = judgement.value is Value.UNKNOWN and not judgement.gave_up
    partial = check.value is Value.INVALID and not _complete(verdict)  # by what the level permits
    return nothing or partial or bool(levels.undecided(judgement, level))


def _complete(verdict: Verdict) -> bool:
    return all(check.value is Value.VALID for check in verdict.checks if check.name == "complete")


def _check(verdict: Verdict) -> Check | None:
    return next((check for check in verdict.checks if check.name == NAME), None)
