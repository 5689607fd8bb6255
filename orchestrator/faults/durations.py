"""Durations as people write them: `300ms`, `2s`, `1.5s`, `2m`."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.errors import UsageError

_FORM: Final = re.compile(r"(-?)([0-9]+(?:\.[0-9]+)?)(ms|s|m)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_WEEK: Final = 7 * 86_400


def seconds(text: str, name: str, entry: str) -> float:
    """Read a duration of 0 or longer; `name` and `entry` say where it stands, should it be none."""
    found = signed_seconds(text, name, entry)
    if found < 0:
        raise UsageError(f"Fault «{entry}»: {name}={text} is negative; write a duration of 0 or longer.")
    return found


def signed_seconds(text: str, name: str, entry: str) -> float:
    """Read a duration that may be negative."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"Fault «{entry}»: {name}={text} is no duration; write 300ms, 2s, 1.5s or 2m.")
    sign, number, unit = found.groups()
    length = float(number) * _SECONDS[unit]
    if length > _WEEK:
        raise UsageError(f"Fault «{entry}»: {name}={text} is longer than a week.")
    return -length if sign else length
