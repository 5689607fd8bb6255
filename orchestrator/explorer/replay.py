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


class Retrace:
    """Follows a list of choices for as long as they fit, so that two runs can be compared after they parted."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = choices

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Give the recorded choice, or else the first that is ready."""
        number = step.number
        return (
            self._choices[number] if self._choices[number : number + 1] and self._choices[number] in ready else ready[0]
        )


def parted(before: Sequence[int], ready: Sequence[int], step: Step) -> Divergence:
    """Say that the same choices led elsewhere than in a run before, where others were ready."""
    workers = len(step.points)
    worker = min(set(before) ^ set(ready)) % workers
    point = step.points[worker]
    when = "before and not now" if worker in before else "now and not before"
    return Divergence(
        f"at step {step.number + 1}, after the same choices, worker {worker} ({point.statement or point.kind}) "
        f"could run {when}"
    )
