"""One direction of a link: what disturbs it, and when what enters it arrives."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from orchestrator.proxy.pipe import Pipe

#: Bytes read at once, and bytes on their way at most before the source has to wait.
_GRAIN: Final = 65_536
_ROOM: Final = 4_194_304
#: With a bandwidth: a piece takes so many seconds at most, and so many seconds' worth of bytes are on their way.
_PIECE: Final = 0.05
_QUEUE: Final = 0.25
_LEAST: Final = 64


class Disturbance(NamedTuple):
    """What can be wrong with a direction; the default is nothing."""

    #: Nothing passes; it does when this is healed, all of it and in order.
    hold: bool = False
    #: The end of a connection is not told.
    hush: bool = False
    #: Seconds, and how far each piece may be from that.
    delay: float = 0.0
    jitter: float = 0.0
    #: Bytes a second, of all connections together.
    rate: float = math.inf


class Way:
    """One direction of a link, with all that disturbs it at the moment."""

    def __init__(self) -> None:
        self.pipes: set[Pipe] = set()
        self._active: dict[int, Disturbance] = {}
        #: When the last byte that has a bandwidth to share will have been sent.
        self._free = 0.0
        self._sum_up()

    def disturb(self, number: int, disturbance: Disturbance) -> None:
        """Put a disturbance in force, beside others."""
        self._active[number] = disturbance
        self._changed()

    def heal(self, number: int) -> None:
        """End a disturbance; unknown ones are not there, which is what is wanted."""
        if self._active.pop(number, None) is not None:
            self._changed()

    def due(self, now: float, size: int) -> float:
        """Say when so many bytes, which enter now, arrive."""
        if self._rate < math.inf:
            self._free = now = max(self._free, now) + size / self._rate
        low = max(0.0, self._delay - self._jitter)
        return now + random.uniform(low, self._delay + self._jitter)  # noqa: S311 - no secret

    def _changed(self) -> None:
        self._sum_up()
        for pipe in tuple(self.pipes):
            pipe.changed()

    def _sum_up(self) -> None:
        active = self._active.values()
        self.held = any(each.hold for each in active)
        self.hushed = any(each.hush for each in active)
        self._delay = sum(each.delay for each in active)
        self._jitter = sum(each.jitter for each in active)
        self._rate = min((each.rate for each in active), default=math.inf)
        limited = self._rate < math.inf
        self.shaped = limited or self._delay + self._jitter > 0
        self.grain = max(_LEAST, min(_GRAIN, int(self._rate * _PIECE))) if limited else _GRAIN
        self.room = max(_LEAST, min(_ROOM, int(self._rate * _QUEUE))) if limited else _ROOM
        if not limited:
            self._free = 0.0
