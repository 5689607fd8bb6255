"""What several checks need, worked out once and only when asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from orchestrator.verifier.columns import OK, prepare
from orchestrator.verifier.durations import durations
from orchestrator.verifier.native import judged
from orchestrator.verifier.overlap import overlapping
from orchestrator.verifier.settling import settle
from orchestrator.verifier.states import walk
from orchestrator.verifier.updates import reads_of

if TYPE_CHECKING:
    from orchestrator.history.model import History
    from orchestrator.verifier.arrays import Flags
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.durations import Durations
    from orchestrator.verifier.settling import Settled
    from orchestrator.verifier.states import States
    from orchestrator.verifier.updates import Reads
    from orchestrator.verifier.verdict import Judgement

#: The strategy that reads before its transaction begins: no level can protect it.
READS_OUTSIDE: Final = "naive-autocommit"

#: What each level promises, as PostgreSQL and SQLite keep it: their repeatable read is snapshot isolation.
PROMISED: Final = {
    "read committed": "read-committed",
    "repeatable read": "snapshot-isolation",
    "serializable": "serializable",
}


class Facts:
    """A history's columns, and what follows from them."""

    def __init__(self, history: History, memory: int | None = None) -> None:
        self.columns: Columns = prepare(history)
        #: Bytes that a graph of dependencies may take; None: as many as it needs.
        self.memory = memory

    @cached_property
    def settled(self) -> Settled:
        """What became of every operation."""
        return settle(self.columns)

    @cached_property
    def durations(self) -> Durations:
        """How long the settled operations took."""
        return durations(self)

    @cached_property
    def states(self) -> States:
        """Each effect against its intent, each state against the rules."""
        return walk(self.columns)

    @cached_property
    def reads(self) -> Reads:
        """What each effect's attempt had read."""
        return reads_of(self.columns)

    @cached_property
    def overlapping(self) -> Flags:
        """Attempts that met another worker's attempt on a row."""
        return overlapping(self.columns, self.reads)

    @property
    def reads_outside(self) -> bool:
        """The strategy reads before its transaction begins."""
        return self.columns.meta.strategy == READS_OUTSIDE

    @property
    def promised(self) -> str:
        """The consistency model that the run's isolation level promises."""
        return PROMISED.get(self.columns.meta.isolation, "read-uncommitted")

    @cached_property
    def dependencies(self) -> Judgement:
        """All committed transactions, held to what the level promises; reads outside them are transactions too."""
        return judged(self, self.promised, outside_reads_apart=self.reads_outside)

    @cached_property
    def writers(self) -> Judgement:
        """Committed attempts that changed something, with all that they read, wherever."""
        idle = (self.settled.attempts == OK) & (self.settled.effects == 0)
        if not self.reads_outside and not idle.any():
            return self.dependencies
        return judged(self, "serializable", writers_only=True)

    @property
    def complete(self) -> bool:
        """Everything that was written down was gathered, so that absence proves something."""
        return self.columns.meta.drained and not self.columns.meta.gaps
