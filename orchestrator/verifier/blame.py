"""Which fault fell into the window in which an operation vanished: what the history shows beside it, not a proof."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from orchestrator.verifier.clocks import UNBOUNDED, to_database
from orchestrator.verifier.durations import last_attempts
from orchestrator.verifier.words import counted, seconds

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Ints
    from orchestrator.verifier.columns import Columns


class Blamed(NamedTuple):
    """What can be said about an operation that vanished."""

    #: Names of faults, the likeliest first.
    names: tuple[str, ...]
    #: "" where there were no faults.
    sentence: str


_NUMBER: Final = re.compile(r"\b[0-9]+\b")
_NOBODY: Final = Blamed((), "")
#: What a message that nobody attempted is consistent with.
_POP: Final = "consistent with a loss between the broker's pop and its note in `unacked`"


class Blame:
    """Looks faults up for operations without effect; what all of them share is worked out once."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def of(self, place: int) -> Blamed:
        """The fault nearest to the last that was heard of an operation; all that struck where nothing was."""
        if not self._columns.faults.names:
            return _NOBODY
        attempt = int(self._last[place])
        if attempt < 0:
            return self._unattempted
        if self._errors[attempt] >= UNBOUNDED:
            names = self._unattempted.names
            return Blamed(names, f"No clock tells which fault fell into its last attempt; {self._struck} struck.")
        return self._nearest(attempt)

    def _nearest(self, attempt: int) -> Blamed:
        faults, attempts = self._columns.faults, self._columns.attempts
        since, error = int(self._times[attempt]), int(self._errors[attempt])
        struck = faults.struck * 1000
        after = np.flatnonzero(struck >= since - error - 1000)
        # What struck before was in force if it was healed later; what is never healed was over in a moment.
        forced = np.flatnonzero((struck < since) & (faults.healed * 1000 >= since))
        pid = str(self._process(attempt)[2] or "")
        # A log that names the attempt's very process is likelier to tell of it than what struck first.
        # A strike's time is read before it looks for its victim, which may begin an attempt until it is struck.
        near = (each for each in self._naming.get(pid, ()) if (len(after) and each >= after[0]) or each in forced)
        chosen = next(near, None)
        if chosen is None and not len(after) and not len(forced):
            return Blamed((), "No fault struck after that, and none was in force.")
        if chosen is None:
            chosen = int(after[0] if len(after) else forced[-1])
        word = "ended" if attempts.end[attempt] >= 0 else "began"
        where = self._worker(attempt)
        gap = struck[chosen] - since
        when = f"{seconds(gap)} later" if gap >= 0 else "was in force"
        story = f"{faults.names[chosen]} {'struck ' if gap >= 0 else ''}{when}"
        detail = f" ({faults.details[chosen]})" if faults.details[chosen] else ""
        return Blamed((faults.names[chosen],), f"Its last attempt {word} on {where}; {story}{detail}.")

    @cached_property
    def _naming(self) -> dict[str, list[int]]:
        """Faults by the numbers in their logs, process ids among them, in the order of their strikes."""
        found: dict[str, list[int]] = {}
        for place, detail in enumerate(self._columns.faults.details):
            for number in set(_NUMBER.findall(detail)):
                found.setdefault(number, []).append(place)
        return found

    def _worker(self, attempt: int) -> str:
        node, host, pid, _ = self._process(attempt)
        return f"{node}{f' (host {host})' if host else ''}, pid {pid or 'unknown'}"

    def _process(self, attempt: int) -> tuple[str, str, int, str]:
        process = int(self._columns.attempts.process[attempt])
        return self._columns.processes.get(process, ("an unknown node", "", 0, ""))

    @cached_property
    def _last(self) -> Ints:
        return last_attempts(self._columns)

    @cached_property
    def _mapped(self) -> tuple[Ints, Ints]:
        """Per attempt, the last that was heard of it on the database clock: its end, or else its start."""
        attempts = self._columns.attempts
        return to_database(self._columns, attempts.process, np.where(attempts.end >= 0, attempts.end, attempts.start))

    @property
    def _times(self) -> Ints:
        return self._mapped[0]

    @property
    def _errors(self) -> Ints:
        return self._mapped[1]

    @cached_property
    def _counts(self) -> list[tuple[str, int]]:
        """Names of all faults with their strikes, the most frequent first."""
        return Counter(self._columns.faults.names).most_common()

    @cached_property
    def _struck(self) -> str:
        return ", ".join(f"{name} {counted(count, 'time')}" for name, count in self._counts)

    @cached_property
    def _unattempted(self) -> Blamed:
        names = tuple(name for name, _ in self._counts)
        return Blamed(
            names, f"In its window, which is the run, struck: {self._struck}; without an attempt it is {_POP}."
        )
