"""POS, partial-order sampling: random priorities of steps, drawn anew for what depends on the step that ran.

Yuan, Yang, Gu 2018 (CAV), "Partial order aware concurrency sampling": orders of dependent steps come close to being
equally likely, however many independent steps there are between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.dependence import Dependence
from orchestrator.explorer.random_walk import draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Step


class PartialOrderSampling:
    """Takes the ready choice of the highest priority."""

    name = "pos"
    complete = False

    def __init__(self, seed: int, isolation: str) -> None:
        self._draw = draws(seed)
        self._dependence = Dependence(isolation)
        #: By choice: its priority, and its event's number.
        self._pending: dict[int, tuple[float, int]] = {}

    def begin(self) -> bool:
        """Forget the last schedule's priorities."""
        self._pending = {}
        return True

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Draw a priority for each choice that is new or raced with the step before, and take the highest."""
        pending, dependence = self._pending, self._dependence
        if step.events:
            happened = dependence.number(step.events[-1])
            pending = {choice: known for choice, known in pending.items() if not dependence(known[1], happened)}
        for choice in ready:
            if choice not in pending:
                event = -1 if step.pending is None else dependence.number(step.pending(choice))
                pending[choice] = (self._draw(), event)
        self._pending = pending
        return max(ready, key=pending.__getitem__)

    def learn(self, execution: Execution) -> None:
        """Learn nothing."""
