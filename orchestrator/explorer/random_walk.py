"""Random walk: every ready choice is equally likely at every step."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Step


def seeded(seed: int, schedule: int) -> random.Random:
    """Give the source of one schedule's draws, the same on every machine."""
    return random.Random(f"{seed}/{schedule}")  # noqa: S311 - a schedule must be repeatable, not secret


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
        self._seed = seed
        self._schedule = 0

    def begin(self) -> bool:
        """Draw anew."""
        self._draw = seeded(self._seed, self._schedule).random
        self._schedule += 1
        return True

    def choose(self, ready: Sequence[int], step: Step) -> int:  # noqa: ARG002 - a walk looks at nothing else
        """Draw one choice, each with the same chance."""
        return ready[int(self._draw() * len(ready))]

    def learn(self, execution: Execution) -> None:
        """Learn nothing."""
