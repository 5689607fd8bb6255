"""Random walk: every ready choice is equally likely at every step."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Step


def draws(seed: int) -> Callable[[], float]:
    """Give a source of numbers from 0 up to 1, the same on every machine: Python keeps their sequence stable."""
    return random.Random(f"{seed}").random  # noqa: S311 - a schedule must be repeatable, not secret


class RandomWalk:
    """A seeded walk; it draws from `random()` alone, whose sequence Python keeps stable across versions."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed).random  # noqa: S311 - a schedule must be repeatable, not secret

    def choose(self, ready: Sequence[int], step: Step) -> int:  # noqa: ARG002 - a walk looks at nothing else
        """Draw one worker, each with the same chance."""
        return ready[int(self._draw() * len(ready))]


class RandomWalks:
    """A walk a schedule, without end."""

    name = "random"
    complete = False

    def __init__(self, seed: int) -> None:
        self._draw = draws(seed)

    def begin(self) -> bool:
        """Go on drawing."""
        return True

    def choose(self, ready: Sequence[int], step: Step) -> int:  # noqa: ARG002 - a walk looks at nothing else
        """Draw one choice, each with the same chance."""
        return ready[int(self._draw() * len(ready))]

    def learn(self, execution: Execution) -> None:
        """Learn nothing."""
