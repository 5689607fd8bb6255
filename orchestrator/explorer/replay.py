"""Replay: the choices of an earlier run once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.explorer.scheduler import Divergence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.scheduler import Step


class Replay:
    """Follows a list of choices and reports a divergence instead of choosing for itself."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = choices

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Give the recorded choice, if that worker is ready."""
        if step.number >= len(self._choices):
            msg = f"schedule has {len(self._choices)} choices, but workers {list(ready)} are still ready after them"
            raise Divergence(msg)
        chosen = self._choices[step.number]
        if chosen not in ready:
            msg = f"step {step.number} of the schedule runs worker {chosen}, but only {list(ready)} are ready"
            raise Divergence(msg)
        return chosen
