"""Requests: credits that a producer's row asks for; the task that grants them looks for the row first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from worker.scenarios.credits import CREDITS
from worker.scenarios.model import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping


def _request(params: Mapping[str, Any]) -> int:
    return int(params["request"])


REQUESTS: Final = Scenario(
    name="requests",
    relation=CREDITS.relation,
    column=CREDITS.column,
    type=CREDITS.type,
    initial=CREDITS.initial,
    kinds={"fulfil": CREDITS.kinds["grant"]},
    atomic=CREDITS.atomic,
    request=_request,
)
