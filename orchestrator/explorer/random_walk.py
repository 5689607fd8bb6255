"""Random walk: every ready worker is equally likely at every step."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.explorer.scheduler import Step


class RandomWalk:
    """A seeded walk; it draws from `random()` alone, whose sequence Python keeps stable across versions."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed).random  # noqa: S311 - a schedule must be repeatable, not secret

    def choose(self, ready: Sequence[int], step: Step) -> int:  # noqa: ARG002 - a walk looks at nothing else
        """Draw one worker, each with the same chance."""
        return ready[int(self._draw() * len(ready))]
