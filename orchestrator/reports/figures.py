"""A group's figures, as design.md defines them, from its history and verdict alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from orchestrator.reports.recovery import Recovery, recovery  # noqa: TC001  # msgspec reads annotations at run time
from orchestrator.verifier.arrays import at
from orchestrator.verifier.clocks import UNBOUNDED
from orchestrator.verifier.columns import CONFLICTS, REFUSALS
from orchestrator.verifier.facts import Facts
from orchestrator.verifier.settling import FAIL, INFO, LOST, OK, UNPUBLISHED
from orchestrator.verifier.verdict import Value  # noqa: TC001  # msgspec reads annotations at run time

if TYPE_CHECKING:
    import numpy.typing as npt

    from orchestrator.history.model import History
    from orchestrator.verifier.verdict import Verdict


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the table says of one group."""

    scenario: str
    strategy: str
    isolation: str
    operations: int
    ok: int
    fail: int
    #: Unsettled: an attempt's outcome is unknown, or the run ended before the operation did.
    info: int
    lost: int
    #: Never confirmed by the broker, and never attempted.
    unpublished: int
    attempts: int
    #: Attempts aborted by a conflict, over all attempts.
    conflict_rate: float
    #: Operations that failed because their last attempt met a conflict.
    give_ups: int
    #: Operations that a business rule refused.
    refused: int
    lost_updates: int
    #: Attempts that provably met another worker's attempt on a row.
    overlaps: int
    #: Of an operation: from its first attempt's start to its settling; None where none can be told.
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    #: Settled operations a second, from first publication to last settling.
    operations_per_s: float | None
    verdict: Value
    #: The fault plan's entries, and what recovering from each fault that struck took.
    faults: tuple[str, ...] = ()
    recovery: tuple[Recovery, ...] = ()
    #: Attempts that ran a message which the broker had delivered before.
    redelivered: int = 0
    #: Attempts that ended info, or not at all: nobody told what became of them.
    info_attempts: int = 0
    #: What is thought to be lost was to be published again; and the operations that were.
    republish: bool = False
    republished: int = 0


def figures(history: History, verdict: Verdict) -> Figures:
    """Work the figures out."""
    return figures_of(Facts(history), verdict)


def figures_of(facts: Facts, verdict: Verdict) -> Figures:
    """Work the figures out of facts that are prepared already."""
    columns, settled = facts.columns, facts.settled
    meta, reason = columns.meta, columns.attempts.reason
    failed = settled.reason[settled.operations == FAIL]
    p50, p95, p99, longest = _percentiles(latencies_ms(facts))
    done = settled.count(OK) + settled.count(FAIL)
    return Figures(
        scenario=meta.scenario,
        strategy=meta.strategy,
        isolation=meta.isolation,
        operations=len(settled.operations),
        ok=settled.count(OK),
        fail=settled.count(FAIL),
        info=settled.count(INFO),
        lost=settled.count(LOST) if meta.recording else 0,  # unrecorded, nobody knows
        unpublished=settled.count(UNPUBLISHED),
        attempts=len(reason),
        conflict_rate=float(np.isin(reason, CONFLICTS).mean()) if len(reason) else 0.0,
        give_ups=int(np.isin(failed, CONFLICTS).sum()),
        refused=int(np.isin(failed, REFUSALS).sum()),
        lost_updates=int(facts.reads.stale.sum()),
        overlaps=int(facts.overlapping.sum()),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=longest,
        operations_per_s=done / meta.seconds if meta.seconds > 0 else None,
        verdict=verdict.value,
        faults=meta.faults,
        recovery=recovery(columns),
        redelivered=int(np.count_nonzero(columns.attempts.redelivered)),
        info_attempts=int(np.count_nonzero(columns.attempts.outcome == INFO)),
        republish=meta.republish,
        republished=int(np.count_nonzero(columns.operations.republished)),
    )


def latencies_ms(facts: Facts) -> npt.NDArray[np.float64]:
    """Of each settled operation whose ends are known: first attempt's start to settling, milliseconds."""
    took = facts.durations
    ended = at(facts.columns.attempts.end, facts.settled.by[took.operation]) >= 0
    latencies: npt.NDArray[np.float64] = took.length[ended & (took.error < UNBOUNDED)] / 1e6
    return latencies


def _percentiles(values: npt.NDArray[np.float64]) -> tuple[float | None, float | None, float | None, float | None]:
    if not len(values):
        return None, None, None, None
    p50, p95, p99, longest = (round(float(value), 3) for value in np.percentile(values, (50, 95, 99, 100)))
    return p50, p95, p99, longest
