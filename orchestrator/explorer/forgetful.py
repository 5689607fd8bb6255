"""A hub for long runs whose history is kept elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.hub import Hub
from orchestrator.explorer.model import Execution

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.hub import _Slot


class ForgetfulHub(Hub):
    """Keeps of a run its choices and how each worker ended, so that a step costs next to no memory.

    It schedules as any other hub; only policies that look at earlier steps find none.
    """

    def run(self, bodies: Sequence[Callable[[], object]]) -> Execution:
        """Run every body to its end."""
        run = super().run(bodies)
        return Execution(run.workers, run.choices, (), (), (), run.endings, stuck=run.stuck, cut=run.cut)

    def _step(self, ready: tuple[int, ...]) -> None:
        for past in (self.records, self._offered, self._events, self._unforeseen):
            past.clear()
        super()._step(ready)

    def _join(self, slot: _Slot, *, went_on: bool = False) -> None:
        """Leave alone what an earlier step is to who searches."""
