"""A run's groups together, under the keys that a foreign history has too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.reports import result
from orchestrator.reports.judgement import witness_json
from orchestrator.verifier.dependencies.models import boundary, strongest
from orchestrator.verifier.verdict import Value, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.reports.result import Exit, Finding, Report
    from orchestrator.verifier.verdict import Judgement


def as_json(report: Report, code: Exit, level: str | None) -> dict[str, Any]:
    """Build the object that `rowrace verify --json` prints of a run."""
    judged = [(finding.row.name, finding.verdict.dependencies) for finding in report.findings]
    judgements = [judgement for _, judgement in judged if judgement is not None]
    anomalies, at_least = _anomalies(report.findings, judgements)
    least, others = boundary(anomalies)
    not_checked = dict.fromkeys(limit for finding in report.findings for limit in finding.verdict.not_checked)
    not_checked |= dict.fromkeys(limit for judgement in judgements for limit in judgement.not_checked)
    return {
        **result.as_json(report),
        "verdict": _value(report).value,
        "level": level or ", ".join(dict.fromkeys(finding.row.isolation for finding in report.findings)),
        "anomalies": anomalies,
        "at_least": at_least,
        "not": list(least),
        "also_not": list(others),
        "strongest": list(_strongest(anomalies, judgements, len(judged))),
        "sessions": _summed(judgement.sessions for judgement in judgements),
        "checked": list(dict.fromkeys(_checked(report.findings, judgements))),
        "not_checked": list(not_checked),
        "witnesses": [
            *_witnesses(report.findings),
            *(
                {"group": name, **witness_json(witness)}
                for name, judgement in judged
                if judgement is not None
                for witness in judgement.witnesses
            ),
        ],
        "certificate": _certificate(judged),
        "gave_up": [sentence for judgement in judgements for sentence in judgement.gave_up],
        "transactions": sum(judgement.transactions for judgement in judgements),
        "operations": sum(judgement.operations for judgement in judgements),
        "exit_code": int(code),
    }


def _value(report: Report) -> Value:
    """Merge the verdicts of all groups; a missing one is UNKNOWN."""
    gone = [Value.UNKNOWN] * (report.asked - len(report.findings))
    return merge([*(row.verdict for row in report.rows), *gone])


def _anomalies(findings: Iterable[Finding], judgements: Sequence[Judgement]) -> tuple[dict[str, int], list[str]]:
    """Count anomalies over all groups; where a check found several kinds, it counted them together."""
    counts = _summed(judgement.anomalies for judgement in judgements)
    at_least = {name for judgement in judgements for name in judgement.at_least}
    for finding in findings:
        told = _told(finding)
        for check in finding.verdict.checks:
            names = [witness.anomaly for witness in check.witnesses]
            for name in set(names).difference(told):
                alone = len(set(names)) == 1
                counts[name] = counts.get(name, 0) + (check.found if alone else names.count(name))
                at_least |= set() if alone or check.found == len(names) else {name}
    return dict(sorted(counts.items())), sorted(at_least)


def _certificate(judged: Iterable[tuple[str, Judgement | None]]) -> str:
    """Join what was said of each group, behind the group's name."""
    return "; ".join(f"{name}: {each.certificate}" for name, each in judged if each is not None and each.certificate)


def _told(finding: Finding) -> frozenset[str]:
    """Name what the group's judgement tells of: there reads before a transaction are transactions of their own."""
    judgement = finding.verdict.dependencies
    return frozenset(judgement.anomalies if judgement else ())


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def survivors(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    """Name the strongest models that none of these judgements rules out."""
    return _strongest({name for judgement in judgements for name in judgement.anomalies}, judgements, len(judgements))


def _strongest(anomalies: Iterable[str], judgements: Sequence[Judgement], groups: int) -> tuple[str, ...]:
    """Name the strongest models that no group rules out, if all of them were looked at."""
    if not judgements or len(judgements) < groups:
        return ()
    process = all(_looked_at(judgement, "-process") for judgement in judgements)
    return strongest(
        anomalies, process=process, realtime=all(_looked_at(judgement, "-realtime") for judgement in judgements)
    )


def _looked_at(judgement: Judgement, variant: str) -> bool:
    return any(name.endswith(variant) for name in judgement.checked)


def _checked(findings: Iterable[Finding], judgements: Iterable[Judgement]) -> Iterator[str]:
    for finding in findings:
        yield from (check.name for check in finding.verdict.checks)
    for judgement in judgements:
        yield from judgement.checked


def _witnesses(findings: Iterable[Finding]) -> Iterator[dict[str, Any]]:
    """Give what each group's checks show, unless its judgement shows it anyway."""
    for finding in findings:
        told = _told(finding)
        for check in finding.verdict.checks:
            for witness in check.witnesses:
                if witness.transactions and witness.anomaly in told:
                    continue
                numbers = {"attempts": list(witness.attempts), "operations": list(witness.operations)}
                yield {"group": finding.row.name, **witness_json(witness), **numbers}
