"""Names for what happened: a table of patterns in the order of reads, writes and commits.

The names and their patterns are those of Berenson et al. 1995 and Adya 1999, told in plain words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.explorer.names import name_of
from orchestrator.explorer.stories_reads import dirty_reads, read_skews, unrepeatable_reads
from orchestrator.explorer.stories_waits import deadlocks, repeated_after_crash
from orchestrator.explorer.stories_writes import duplicate_inserts, lost_inserts, lost_updates, write_skews
from orchestrator.explorer.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchestrator.explorer.judging import Anomaly
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.timeline import Timeline

    #: Finds each case of one anomaly; the second argument gives the workers' names.
    Finder = Callable[[Timeline, Callable[[int], str]], Iterable[Anomaly]]

#: What can be told, the gravest first.
FINDERS: Final[tuple[Finder, ...]] = (
    lost_updates,
    duplicate_inserts,
    lost_inserts,
    write_skews,
    repeated_after_crash,
    dirty_reads,
    read_skews,
    unrepeatable_reads,
    deadlocks,
)


def tell(execution: Execution, names: Sequence[str] = ()) -> tuple[Anomaly, ...]:
    """Say what happened in an execution, each thing once, the gravest first; whether it is wrong, judges say."""
    told: dict[tuple[str, str], Anomaly] = {}
    for anomaly in _all(execution, names):
        told.setdefault((anomaly.name, anomaly.witness), anomaly)
    return tuple(told.values())


def _all(execution: Execution, names: Sequence[str]) -> Iterator[Anomaly]:
    line = timeline(execution)
    for find in FINDERS:
        yield from find(line, lambda worker: name_of(worker, names))
