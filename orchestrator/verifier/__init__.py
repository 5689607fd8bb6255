"""Pure: history in, verdict out.  Each check is a plain function; one that crashes is UNKNOWN."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from orchestrator.verifier import progress, requests
from orchestrator.verifier.accounting import accounting
from orchestrator.verifier.applied import applied_once
from orchestrator.verifier.business import business_rules, conserved
from orchestrator.verifier.chains import row_chains
from orchestrator.verifier.earned import ended, fleet, overlap, work
from orchestrator.verifier.facts import Facts
from orchestrator.verifier.intents import intents
from orchestrator.verifier.isolation import isolation_kept
from orchestrator.verifier.lost_operations import lost_operations
from orchestrator.verifier.lost_updates import lost_updates
from orchestrator.verifier.refusals import refusals
from orchestrator.verifier.serializable import NAME as DEPENDENCIES
from orchestrator.verifier.serializable import serializable_writers
from orchestrator.verifier.verdict import Check, Value, Verdict, Witness, merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.history.model import History, Meta
    from orchestrator.verifier.verdict import Judgement

#: What makes a history INVALID, in the order in which it is told.
CONSISTENT: Final[dict[str, Callable[[Facts], Check]]] = {
    "lost updates": lost_updates,
    "applied once": applied_once,
    "lost operations": lost_operations,
    "accounting": accounting,
    "row chains": row_chains,
    "intents": intents,
    "refusals": refusals,
    DEPENDENCIES: serializable_writers,
    "business rules": business_rules,
    "conserved": conserved,
}

#: What is judged only where it is asked for, or where there is something of the kind: whether it is, and the check.
ASKED: Final[dict[str, tuple[Callable[[Facts], bool], Callable[[Facts], Check]]]] = {
    requests.NAME: (requests.asked, requests.requests),
    progress.NAME: (progress.asked, progress.progress),
}

#: What VALID must be earned with.
EARNED: Final[dict[str, Callable[[Facts], Check]]] = {
    "overlap": overlap,
    "work": work,
    "fleet": fleet,
    "complete": ended,
}


def verify(history: History, level: str | None = None) -> Verdict:
    """Judge one group's history; with a level (`dependencies.LEVELS`), hold its dependencies to that too."""
    try:
        facts = Facts(history)
    except Exception as error:  # noqa: BLE001  # whatever broke, nothing can be said, and that is the verdict
        failed = _crashed("history", error)
        return Verdict(value=Value.UNKNOWN, isolation=_crashed("isolation kept", error), checks=(failed,))
    return judge(facts, level)


def judge(facts: Facts, level: str | None = None) -> Verdict:
    """Judge prepared facts, which figures can share."""
    meta = facts.columns.meta
    checks = tuple(_run(name, check, facts) for name, check in _checks(facts, level).items())
    judgement = _judgement(facts)
    return Verdict(
        value=merge(check.value for check in checks),
        isolation=_run("isolation kept", isolation_kept, facts),
        checks=checks,
        not_checked=_not_checked(meta, judgement),
        dependencies=judgement,
    )


def _checks(facts: Facts, level: str | None) -> dict[str, Callable[[Facts], Check]]:
    """All checks; without recording there are no effects to hold anything against."""
    if not facts.columns.meta.recording:
        return EARNED
    held = {DEPENDENCIES: partial(serializable_writers, level=level)} if level else {}
    asked = {name: check for name, (is_asked, check) in ASKED.items() if is_asked(facts)}
    return {**CONSISTENT, **held, **asked, **EARNED}


def _judgement(facts: Facts) -> Judgement | None:
    """What the dependencies say; nothing where nothing was recorded, or where the check of them crashed."""
    try:
        return facts.dependencies if facts.columns.meta.recording else None
    except Exception:  # noqa: BLE001  # the checks that met the same are UNKNOWN in the verdict
        return None


def _run(name: str, check: Callable[[Facts], Check], facts: Facts) -> Check:
    try:
        return check(facts)
    except Exception as error:  # noqa: BLE001  # a crashed check is UNKNOWN (Jepsen `checker.clj`)
        return _crashed(name, error)


def _crashed(name: str, error: Exception) -> Check:
    return Check(name=name, value=Value.UNKNOWN, summary=f"the check crashed: {type(error).__name__}: {error}")


def _not_checked(meta: Meta, judgement: Judgement | None) -> tuple[str, ...]:
    sentences = list(judgement.not_checked) if judgement else []
    if not meta.recording:
        sentences.append("the data: nothing was recorded")
    if meta.mode == "eager":
        sentences.append("broker, redelivery, several processes and hosts: not part of eager mode")
    return tuple(sentences)


__all__ = ["ASKED", "CONSISTENT", "EARNED", "Check", "Facts", "Value", "Verdict", "Witness", "judge", "merge", "verify"]
