"""Exhaustive: every choice at every step; the reference that reductions are held to.

Stateless depth-first search as in Godefroid 1997, "Model checking for programming languages using VeriSoft".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.replay import parted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Step


class Exhaustive:
    """Runs every schedule there is; the number of them grows with the factorial of the steps."""

    name = "exhaustive"

    def __init__(self) -> None:
        self.complete = False
        self._cut = False
        self._begun = False
        #: At each step of the schedule so far: what could be chosen, and which of it is.
        self._ready: list[tuple[int, ...]] = []
        self._at: list[int] = []

    def begin(self) -> bool:
        """Go on with the deepest step that has a choice left."""
        if not self._begun:
            self._begun = True
            return True
        while self._at:
            if self._at[-1] + 1 < len(self._ready[-1]):
                self._at[-1] += 1
                return True
            self._at.pop()
            self._ready.pop()
        self.complete = not self._cut
        return False

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Repeat the choices up to the one that differs, then take the first."""
        number = step.number
        if number == len(self._at):
            self._ready.append(tuple(ready))
            self._at.append(0)
        elif self._ready[number] != tuple(ready):
            raise parted(self._ready[number], ready, step)
        return self._ready[number][self._at[number]]

    def learn(self, execution: Execution) -> None:
        """Note whether it came to its end."""
        self._cut = self._cut or execution.cut
