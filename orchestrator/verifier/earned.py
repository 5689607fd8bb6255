"""VALID must be earned: attempts met each other, work was done, the fleet took part, the run came to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.columns import CONFLICTS, REFUSALS
from orchestrator.verifier.overlap import workers
from orchestrator.verifier.settling import FAIL, INFO, OK, UNPUBLISHED
from orchestrator.verifier.verdict import Check, Value
from orchestrator.verifier.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.verifier.facts import Facts


#: What is said of operations that nobody confirmed as published, and nobody attempted.
_UNPUBLISHED: Final = "not confirmed as published"
#: The same where the race was cut short: what waited in the queue then was taken back.
_WITHDRAWN: Final = "not run (never published, or withdrawn when the race was cut short)"


def overlap(facts: Facts) -> Check:
    """Enough attempts met another worker's attempt on a row; a run that asks for none is exempt."""
    columns, asked = facts.columns, facts.columns.meta.min_overlaps
    if asked <= 0:
        return Check(name="overlap", value=Value.VALID, summary="not asked for")
    worker = workers(columns)
    met = int(facts.overlapping.sum())
    summary = f"{counted(met, 'attempt')} met another worker's on a row, {asked:,} asked"
    summary += f"; {counted(len(np.unique(worker)), 'worker')}"
    return _earned("overlap", met >= asked, summary)


def work(facts: Facts) -> Check:
    """Enough of the operations that business rules allow were done."""
    settled, asked = facts.settled, facts.columns.meta.min_done
    failed = settled.reason[settled.operations == FAIL]
    refused, gave_up = (int(np.isin(failed, reasons).sum()) for reasons in (REFUSALS, CONFLICTS))
    allowed, done = len(settled.operations) - refused, settled.count(OK)
    share = f"{done:,} of {counted(allowed, 'operation')} that the rules allow"
    others = len(failed) - refused - gave_up
    summary = f"{share} done ({refused:,} refused, {gave_up:,} given up, {others:,} failed), at least {asked:.0%} asked"
    return _earned("work", done > 0 and done >= asked * allowed, summary)


def fleet(facts: Facts) -> Check:
    """As many nodes, hosts and processes as asked ran at least one attempt."""
    columns, meta = facts.columns, facts.columns.meta
    ran = np.unique(columns.attempts.process).tolist()
    about = [columns.processes[process] for process in ran if process in columns.processes]
    nodes, hosts = {node for node, *_ in about}, {host for _, host, *_ in about}
    counts = ((len(nodes), meta.min_nodes, "node"), (len(hosts), meta.min_hosts, "host"))
    parts = [*counts, (len(ran), meta.min_processes, "process")]
    summary = ", ".join(
        f"{counted(got, noun, 'processes' if noun == 'process' else None)} of {asked} asked"
        for got, asked, noun in parts
    )
    return _earned("fleet", all(got >= asked for got, asked, _ in parts), f"{summary} ran attempts")


def ended(facts: Facts) -> Check:
    """The run came to its end, recorded and gathered everything, and every operation is settled."""
    faults = _faults(facts)
    summary = "; ".join(faults) or "every operation is settled, and everything was gathered"
    return _earned("complete", not faults, summary)


def _faults(facts: Facts) -> Sequence[str]:
    meta, settled = facts.columns.meta, facts.settled
    planned, unsettled = len(settled.operations), settled.count(INFO)
    # Only the guard keeps an attempt that still runs from applying once more what another one has settled.
    running = 0 if meta.idempotency else int((settled.attempts == INFO).sum())
    unpublished = settled.count(UNPUBLISHED) + max(meta.planned - planned, 0)
    named = (
        (meta.interrupted, "the run was interrupted"),
        (meta.timed_out, "the run ended at its time limit"),
        (not meta.recording, "recording was off"),
        (not meta.drained, "gathering ended before queue and workers were empty"),
        (not planned, "no operation was planned"),
        (unsettled, f"{counted(unsettled, 'operation')} unsettled"),
        (running, f"{counted(running, 'attempt')} of unknown outcome may still take effect"),
        (unpublished, f"{counted(unpublished, 'operation')} {_UNPUBLISHED if meta.drained else _WITHDRAWN}"),
    )
    return [text for is_so, text in named if is_so] + [*meta.gaps, *meta.unmet]


def _earned(name: str, got: bool, summary: str) -> Check:  # noqa: FBT001  # the answer itself, not an option
    return Check(name=name, value=Value.VALID if got else Value.UNKNOWN, summary=summary)
