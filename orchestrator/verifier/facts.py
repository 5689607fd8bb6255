"""What several checks need, worked out once and only when asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.verifier.columns import prepare
from orchestrator.verifier.overlap import overlapping
from orchestrator.verifier.settling import settle
from orchestrator.verifier.states import walk
from orchestrator.verifier.updates import reads_of

if TYPE_CHECKING:
    from orchestrator.history.model import History
    from orchestrator.verifier.arrays import Flags
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.settling import Settled
    from orchestrator.verifier.states import States
    from orchestrator.verifier.updates import Reads


class Facts:
    """A history's columns, and what follows from them."""

    def __init__(self, history: History) -> None:
        self.columns: Columns = prepare(history)

    @cached_property
    def settled(self) -> Settled:
        """What became of every operation."""
        return settle(self.columns)

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
    def complete(self) -> bool:
        """Everything that was written down was gathered, so that absence proves something."""
        return self.columns.meta.drained and not self.columns.meta.gaps
