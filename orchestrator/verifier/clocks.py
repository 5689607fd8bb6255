"""Maps a process's monotonic clock to the database clock, with a bound on the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Ints
    from orchestrator.verifier.columns import Columns

#: Two clocks may drift apart by this many nanoseconds a second.
DRIFT_PPM: Final = 100
#: The error of a process that never read the database clock; far enough below 2**63 to be added to a time.
UNBOUNDED: Final = 2**61


def one_clock(columns: Columns) -> bool:
    """All attempts share one monotonic clock: nothing needs mapping, and there is no error."""
    return columns.meta.mode == "eager" or len(np.unique(columns.attempts.process)) == 1


def to_database(columns: Columns, process: Ints, mono: Ints) -> tuple[Ints, Ints]:
    """Each local time on the database clock, and how far off that may be."""
    times, errors = mono.copy(), np.full(len(mono), UNBOUNDED, dtype=np.int64)
    order = np.argsort(process, kind="stable")
    distinct, first = np.unique(process[order], return_index=True)
    for number, members in zip(distinct.tolist(), np.split(order, first[1:]), strict=False):
        readings = _readings(columns, number)
        if len(readings[0]):
            times[members], errors[members] = _map(*readings, mono[members])
    return times, errors


def _readings(columns: Columns, process: int) -> tuple[Ints, Ints, Ints]:
    """One process's readings; where they contradict each other, a clock was set, and the error grows by that step."""
    processes, mono, offset, error = columns.clocks
    some = slice(np.searchsorted(processes, process), np.searchsorted(processes, process, side="right"))
    mono, offset, error = mono[some], offset[some], error[some]
    explained = error[1:] + error[:-1] + np.diff(mono) * DRIFT_PPM // 1_000_000
    step = np.maximum(np.abs(np.diff(offset)) - explained, 0)
    return mono, offset, error + (step.max() if len(step) else 0)


def _map(readings: Ints, offset: Ints, error: Ints, times: Ints) -> tuple[Ints, Ints]:
    """The better of the readings before and after each time."""
    after = np.minimum(np.searchsorted(readings, times), len(readings) - 1)
    before = np.maximum(after - 1, 0)
    bounds = [error[at] + np.abs(times - readings[at]) * DRIFT_PPM // 1_000_000 for at in (before, after)]
    chosen = np.where(bounds[0] <= bounds[1], before, after)
    return times + offset[chosen], np.minimum(*bounds)
