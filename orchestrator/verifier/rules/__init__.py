"""What the verifier knows of a scenario: its operations as pure changes, and what every state must obey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from orchestrator.verifier.rules import configs, users

if TYPE_CHECKING:
    from collections.abc import Callable

Document: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """One scenario, told a second time and independently of the workers' code."""

    relation: str
    #: Keys of the rows that an operation names, by kind and parameters.
    touches: Callable[[str, Document], tuple[str, ...]]
    #: The row as the operation's intent leaves it, from the row before; None where it does not concern this row.
    change: Callable[[str, Document, str, Document], Document | None]
    #: The number that a refusal for want of it compares: credits, say.
    level: Callable[[Document], int]
    #: For `insufficient`: the row and the least level that would have allowed the operation; None: it needs no level.
    demand: Callable[[str, Document], tuple[str, int] | None]
    #: What is wrong with a state; None where nothing is.
    fault: Callable[[Document], str | None]
    #: The operation in words.
    words: Callable[[str, Document], str]
    #: What a level is called, for sums that must be conserved; None where levels are not conserved.
    conserved: str | None
    #: By how much an operation changes the sum of all levels.
    flow: Callable[[str, Document], int]


_CREDITS: Final = Rules(
    relation="users",
    touches=users.touches,
    change=users.change,
    level=users.level,
    demand=users.demand,
    fault=users.fault,
    words=users.words,
    conserved="credits",
    flow=users.flow,
)

#: Scenarios whose operations the verifier knows; others are judged by what needs no intent.
RULES: Final = {
    "credits": _CREDITS,
    "requests": _CREDITS,  # whose operations are asked for by rows of their own: the check `requests`
    "config": Rules(
        relation="configs",
        touches=configs.touches,
        change=configs.change,
        level=configs.level,
        demand=configs.demand,
        fault=configs.fault,
        words=configs.words,
        conserved=None,
        flow=configs.flow,
    ),
}
