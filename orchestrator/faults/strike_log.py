"""The log of strikes: written as they happen, so that a killed run's history still knows what had struck."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import msgspec

from orchestrator.faults.striker import Strike

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Its file in the group's folder.
STRIKES_FILE: Final = "strikes"


class StrikeLog:
    """Appends a strike, once as it happens and once as it is healed; use it as a context."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, strike: Strike) -> None:
        """Append a line; a full disk keeps no fault from being healed."""
        with suppress(OSError):
            os.write(self._file, b"\n" + msgspec.json.encode(strike))  # a torn line doesn't tear the next

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        number, self._file = self._file, -1  # a strike that was left behind must not write into what has it next
        os.close(number)


def read(path: Path, ended_us: int) -> list[Strike]:
    """Read what struck; what was in force when the run was killed ended with it, `ended_us` at the latest."""
    found: dict[tuple[str, int, str], Strike] = {}
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    for text in lines:
        with suppress(msgspec.MsgspecError):
            strike = msgspec.json.decode(text, type=Strike)
            key = (strike.name, strike.struck_us, strike.detail)
            if strike.healed_us is not None:
                found[key] = strike
            else:
                found.setdefault(key, strike)
    return [each if each.healed_us is not None else each._replace(healed_us=ended_us) for each in found.values()]
