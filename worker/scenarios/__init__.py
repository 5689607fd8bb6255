"""The scenarios that workers can run, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.scenarios.config import CONFIG
from worker.scenarios.credits import CREDITS
from worker.scenarios.requests import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.scenarios.model import Scenario

SCENARIOS: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in (CREDITS, CONFIG, REQUESTS)}
