"""The plan: a seeded stream of operations, the same on every machine and for every strategy.

Only `random.Random(text).random()` is drawn from, which Python promises to keep; choice, shuffle and
randrange have changed between versions.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator.errors import UsageError
from worker.contract import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from orchestrator.profile import Profile

#: A weight of 1 as an integer: sums of integers are exact, so no machine rounds them differently.
_UNIT: Final = 1 << 32

_MODELS: Final = ("small", "medium", "large")
_TOOLS: Final = ("search", "browser", "code", "files", "mail")
#: Preset, and the hundredths of temperature that it allows.
_PRESETS: Final = (("precise", 0, 30), ("balanced", 30, 70), ("creative", 70, 200))


class Draw:
    """What a plan draws from: one stream of uniform numbers."""

    def __init__(self, seed: str, rows: int, skew: float) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a plan must be repeatable, not secret
        self._rows = rows
        self._weights = _cumulative(rows, skew) if skew else None
        #: Number of the operation that is drawn.
        self.number = 0

    def below(self, count: int) -> int:
        """Draw an integer from 0 to count - 1."""
        return int(self._random.random() * count)

    def between(self, low: int, high: int) -> int:
        """Draw an integer from low to high, both included."""
        return low + self.below(high - low + 1)

    def row(self) -> int:
        """Draw a row, by its popularity."""
        if self._weights is None:
            return self.below(self._rows)
        return bisect_right(self._weights, self.below(self._weights[-1]))

    def two_rows(self) -> tuple[int, int]:
        """Draw two different rows: the second among the others alike, where popularity insists on the first."""
        first, second = self.row(), self.row()
        if first == second:
            second = (first + 1 + self.below(self._rows - 1)) % self._rows
        return first, second


def _cumulative(rows: int, skew: float) -> array[int]:
    return array("q", accumulate(max(1, round(_UNIT / rank**skew)) for rank in range(1, rows + 1)))


def _credits(draw: Draw, rows: int) -> tuple[str, dict[str, Any]]:
    """Half deduct, a quarter grant, a quarter transfer; grants are twice as large, so that balances neither run dry."""
    kind = draw.below(4 if rows > 1 else 3)
    if kind < 2:  # noqa: PLR2004 - of 0 to 3, half
        return "deduct", {"user": draw.row(), "amount": draw.between(1, 30)}
    if kind == 2:  # noqa: PLR2004 - a quarter
        return "grant", {"user": draw.row(), "amount": draw.between(1, 60)}
    source, target = draw.two_rows()
    return "transfer", {"source": source, "target": target, "amount": draw.between(1, 30)}


def _config(draw: Draw, _rows: int) -> tuple[str, dict[str, Any]]:
    """Half set one field, a quarter set several, a quarter count a call; every value fits the schema."""
    kind = draw.below(4)
    agent = draw.row()
    if kind < 2:  # noqa: PLR2004 - of 0 to 3, half
        field, value = _field(draw)
        return "set_field", {"agent": agent, "field": field, "value": value}
    if kind == 2:  # noqa: PLR2004 - a quarter
        preset, low, high = _PRESETS[draw.below(len(_PRESETS))]
        fields = {"preset": preset, "temperature": draw.between(low, high) / 100, "max_tokens": draw.between(1, 8192)}
        return "set_fields", {"agent": agent, "fields": fields}
    return "increment", {"agent": agent, "field": "calls", "by": draw.between(1, 5)}


def _field(draw: Draw) -> tuple[str, Any]:
    kind = draw.below(4)
    if kind == 0:
        return "model", _MODELS[draw.below(len(_MODELS))]
    if kind == 1:
        return "enabled", draw.below(2) == 1
    if kind == 2:  # noqa: PLR2004 - of 0 to 3
        chosen = draw.below(1 << len(_TOOLS))
        return "tools", [tool for bit, tool in enumerate(_TOOLS) if chosen >> bit & 1]
    return "max_tokens", draw.between(1, 8192)


def _requests(draw: Draw, _rows: int) -> tuple[str, dict[str, Any]]:
    """Ask for credits: nothing that a rule could refuse, so that each committed request can be fulfilled."""
    return "fulfil", {"request": draw.number, "user": draw.row(), "amount": draw.between(1, 60)}


#: Scenario to its drawer of one operation.
SCENARIOS: Final[dict[str, Callable[[Draw, int], tuple[str, dict[str, Any]]]]] = {
    "credits": _credits,
    "config": _config,
    "requests": _requests,
}

#: Scenario to the kinds that its drawer gives.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "credits": ("deduct", "grant", "transfer"),
    "config": ("set_field", "set_fields", "increment"),
    "requests": ("fulfil",),
}


def plan(profile: Profile, scenario: str) -> Iterator[Operation]:
    """Stream the scenario's operations; no strategy has a say, so strategies race on the same ones."""
    if scenario not in SCENARIOS:
        raise UsageError(f"Unknown scenario {scenario}; the scenarios are {', '.join(SCENARIOS)}.")
    _wanted(profile, scenario)  # told now, not when the stream is first asked
    return _stream(profile, scenario)


def _stream(profile: Profile, scenario: str) -> Iterator[Operation]:
    draw = Draw(f"rowrace/1/{scenario}/{profile.seed}", profile.rows, profile.skew)
    one, wanted = SCENARIOS[scenario], _wanted(profile, scenario)
    for number in range(profile.operations):
        draw.number = number
        kind, params = one(draw, profile.rows)
        while kind not in wanted:
            kind, params = one(draw, profile.rows)
        yield Operation(number, kind, params)


def _wanted(profile: Profile, scenario: str) -> Collection[str]:
    """Give the kinds to draw; one that no draw gives would be waited for in vain."""
    known = KINDS[scenario]
    for kind in profile.kinds:
        if kind not in known:
            raise UsageError(f"Unknown kind {kind} (kinds): {scenario} has {', '.join(known)}.")
    if profile.kinds == ("transfer",) and profile.rows == 1:
        raise UsageError("kinds asks for transfers only, and rows for one row: a transfer needs two.")
    return profile.kinds or known


def line(operation: Operation) -> bytes:
    """Write the operation as canonical JSON."""
    return msgspec.json.encode(operation, order="sorted")


def digest(profile: Profile, scenario: str) -> str:
    """Hash (sha256, hexadecimal) the operations' canonical lines: equal digests, equal plans."""
    sha = hashlib.sha256()
    for operation in plan(profile, scenario):
        sha.update(line(operation))
        sha.update(b"\n")
    return sha.hexdigest()
