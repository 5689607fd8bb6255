"""Shows failures: races each twice, without and with its prevention, on services of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.api import Silent
from orchestrator.gallery.model import Shown
from orchestrator.run import run
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.config import Config
    from orchestrator.gallery.model import Failure
    from orchestrator.interrupt import Interrupt
    from orchestrator.profile import Profile
    from orchestrator.reports.result import Report
    from orchestrator.verifier.verdict import Check, Verdict, Witness


def show(
    failures: Iterable[Failure], config: Config, interrupt: Interrupt, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Shown]:
    """Race failure after failure; ends early where an interrupt asks for it."""
    for failure in failures:
        if interrupt.asked.is_set():
            return
        tell(f"{failure.name}: provoked")
        provoked = _race(failure.profile, config, interrupt)
        if interrupt.asked.is_set():
            return
        tell(f"{failure.name}: prevented")
        prevented = _race(failure.prevented_profile, config, interrupt)
        if not interrupt.asked.is_set():
            yield shown(failure, provoked, prevented)


def _race(profile: Profile, config: Config, interrupt: Interrupt) -> Report:
    return run(profile, config, Silent(), interrupt)


def shown(failure: Failure, provoked: Report, prevented: Report) -> Shown:
    """Hold two reports against what the failure's entry says."""
    before, after = provoked.findings[0].verdict, prevented.findings[0].verdict
    witness = _witness(failure, before)
    return Shown(
        failure=failure,
        verdict=before.value,
        anomalies=anomalies(before),
        witness=witness.sentence if witness else None,
        prevented_verdict=after.value,
        remark=_remark(after),
        folders=(provoked.folder, prevented.folder),
    )


def anomalies(verdict: Verdict) -> dict[str, int]:
    """Count what the violated checks found, by the names that their witnesses have."""
    counts: dict[str, int] = {}
    for check in verdict.checks:
        if check.value is Value.INVALID:
            for name in dict.fromkeys(each.anomaly for each in check.witnesses):
                counts[name] = counts.get(name, 0) + _found(check, name)
    return counts


def _found(check: Check, name: str) -> int:
    """Count one anomaly of a check: exactly where it has no other, else as far as its witnesses show."""
    named = [each.anomaly == name for each in check.witnesses]
    return max(check.found, 1) if all(named) else sum(named)


def _witness(failure: Failure, verdict: Verdict) -> Witness | None:
    """Find the witness that the failure's check must have: of any violated check where none is named."""
    for check in verdict.checks:
        wanted = failure.caught.get(check.name)
        for witness in check.witnesses if check.value is Value.INVALID else ():
            if not failure.caught or witness.anomaly == wanted:
                return witness
    return None


def _remark(verdict: Verdict) -> str | None:
    """Say which check kept a verdict from being VALID."""
    bad = [check for check in verdict.checks if check.value is verdict.value]
    return None if verdict.value is Value.VALID or not bad else f"{bad[0].name}: {bad[0].summary}"
