"""Failpoints: failures at named points of an attempt, decided by operation or by seeded chance.

A message without any costs one look at an empty tuple.  Nothing is simulated: the process does kill or stop
itself, and the socket is shut down.
"""

from __future__ import annotations

import logging
import os
import random
import signal
from typing import TYPE_CHECKING, Protocol

from worker.contract import Action, FaultLine, Where
from worker.errors import RowraceError
from worker.journal import FileJournal

if TYPE_CHECKING:
    from worker.contract import EndLine, Failpoint, Settings
    from worker.journal import Journal
    from worker.link import Link

logger = logging.getLogger(__name__)


class Injected(RowraceError):
    """What action `raise` raises: an exception that no body expects."""


class Process(Protocol):
    """What a strike needs of the runtime."""

    def now(self) -> int:
        """Read the local clock."""

    def pause(self, seconds: float) -> None:
        """Let time pass."""


def armed(settings: Settings, operation: int, *, first: bool) -> list[Failpoint]:
    """Choose the failpoints that may strike this delivery of an operation; `first`: it was not delivered before."""
    return [
        each
        for each in settings.failpoints
        if (first or each.always) and (operation in each.operations or each.probability > 0)
    ]


def due(failpoint: Failpoint, operation: int, seed: int, token: int) -> bool:
    """Decide whether a failpoint strikes an attempt: always the operations it names, others by chance."""
    if operation in failpoint.operations:
        return True
    draw = random.Random(f"{seed}/{token}/{failpoint.where}/{failpoint.action}")  # noqa: S311 - no secret
    return draw.random() < failpoint.probability


class Trap:
    """The failpoints of one delivery of one operation; each strikes once, unless it always strikes."""

    __slots__ = ("_armed", "_journal", "_operation", "_process", "_seed")

    def __init__(
        self, failpoints: list[Failpoint], operation: int, seed: int, process: Process, journal: Journal
    ) -> None:
        self._armed = failpoints
        self._operation = operation
        self._seed = seed
        self._process = process
        self._journal = journal

    def reach(self, where: Where, token: int, link: Link) -> None:
        """Strike what is due at this point."""
        for failpoint in self._due(where, token):
            self._announce(failpoint, token)
            self._strike(failpoint, link)

    def log(self, line: EndLine, link: Link) -> bool:
        """Write an attempt's end, half of it before a strike that is due; True where an exception broke in."""
        raised = False
        for failpoint in self._due(Where.WHILE_LOGGING, line.token):
            self._announce(failpoint, line.token)
            if isinstance(self._journal, FileJournal):
                self._journal.tear(line)
            try:
                self._strike(failpoint, link)
            except Injected:
                raised = True
        self._journal.write(line)  # whole, after the torn half: who survives the strike still says how it ended
        return raised

    def _due(self, where: Where, token: int) -> list[Failpoint]:
        found = [each for each in self._armed if each.where is where and due(each, self._operation, self._seed, token)]
        self._armed = [each for each in self._armed if each.always or each not in found]
        return found

    def _announce(self, failpoint: Failpoint, token: int) -> None:
        """Write what is about to happen, since the strike may leave nobody to tell."""
        detail = f"operation {self._operation}, process {os.getpid()}"
        name = f"{failpoint.where}:{failpoint.action}"
        self._journal.write(FaultLine(name, token, self._process.now(), detail))

    def _strike(self, failpoint: Failpoint, link: Link) -> None:
        # `raise_signal` aims at this very thread: nothing more of it runs, while other threads stop a moment later.
        match failpoint.action:
            case Action.KILL:
                signal.raise_signal(signal.SIGKILL)
            case Action.STOP:
                signal.raise_signal(signal.SIGSTOP)
            case Action.RAISE:
                raise Injected(f"failpoint {failpoint.where}")
            case Action.DISCONNECT:
                link.disconnect()
            case Action.DELAY:
                self._process.pause(failpoint.delay_ms / 1000)
