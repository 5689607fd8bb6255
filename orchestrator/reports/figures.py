"""A group's figures, as design.md defines them, from its history and verdict alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from orchestrator.verifier.clocks import UNBOUNDED, one_clock, to_database
from orchestrator.verifier.columns import CONFLICTS, REFUSALS
from orchestrator.verifier.facts import Facts
from orchestrator.verifier.settling import FAIL, INFO, LOST, OK, UNPUBLISHED
from orchestrator.verifier.verdict import Value  # noqa: TC001  # msgspec reads annotations at run time

if TYPE_CHECKING:
    import numpy.typing as npt

    from orchestrator.history.model import History
    from orchestrator.verifier.arrays import Ints
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
        lost=settled.count(LOST),
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
    )


def latencies_ms(facts: Facts) -> npt.NDArray[np.float64]:
    """Of each settled operation whose ends are known: first attempt's start to settling, milliseconds."""
    attempts = facts.columns.attempts
    settling = facts.settled.by
    operations = np.flatnonzero(settling >= 0)
    operations = operations[attempts.end[settling[operations]] >= 0]
    last = settling[operations]
    first = _first_attempts(facts)[operations]
    start, end = attempts.start[first], attempts.end[last]
    if not one_clock(facts.columns):
        # Within one process the local clock is exact; between two, both ends go to the database clock.
        across = np.flatnonzero(attempts.process[first] != attempts.process[last])
        start[across], unsure = to_database(facts.columns, attempts.process[first][across], start[across])
        end[across], also = to_database(facts.columns, attempts.process[last][across], end[across])
        known = np.ones(len(start), dtype=np.bool_)
        known[across] = (unsure < UNBOUNDED) & (also < UNBOUNDED)
        start, end = start[known], end[known]
    latencies: npt.NDArray[np.float64] = np.maximum(end - start, 0) / 1e6
    return latencies


def _first_attempts(facts: Facts) -> Ints:
    """Each operation's attempt that started first, by the database clock where several processes tried."""
    columns, attempts = facts.columns, facts.columns.attempts
    start = attempts.start if one_clock(columns) else to_database(columns, attempts.process, attempts.start)[0]
    planned = np.flatnonzero(attempts.operation >= 0)
    latest_first = planned[np.argsort(-start[planned], kind="stable")]
    result = np.full(len(columns.operations.number), -1, dtype=np.int64)
    result[attempts.operation[latest_first]] = latest_first  # of several, the last stays
    return result


def _percentiles(values: npt.NDArray[np.float64]) -> tuple[float | None, float | None, float | None, float | None]:
    if not len(values):
        return None, None, None, None
    p50, p95, p99, longest = (round(float(value), 3) for value in np.percentile(values, (50, 95, 99, 100)))
    return p50, p95, p99, longest
