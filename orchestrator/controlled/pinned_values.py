"""What one worker sees of clocks and chance: the same in every schedule, whatever the others do.

Code of libraries has counters and streams of its own, module by module.  A pool that opens a connection reads the clock
more often than one that has it already, and that must not change what the body sees.
"""

from __future__ import annotations

import random
import sys
import sysconfig
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from orchestrator.explorer.clock import TICK_NS, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

#: 2030-01-01, UTC.
_EPOCH_NS: Final = 1_893_456_000_000_000_000
#: A UUID's time counts from 1582, in units of 100 ns.
_GREGORIAN: Final = 0x01B21DD213814000
#: The first bit says that it is no network card.
_NODE: Final = 0x010000000000
#: Between workers' clocks: two workers never write the same time, as they never would.
_APART_NS: Final = 137_000_000
#: What passes values on to who asked for them.
_BETWEEN: Final = frozenset({"datetime", "random", "secrets", "uuid", "orchestrator.controlled.pins", __name__})
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Values:
    """One worker's, from the start of a schedule."""

    __slots__ = ("_clock", "_name", "_readings", "_streams", "_worker")

    def __init__(self, seed: int, worker: int) -> None:
        self._name = f"{seed}/{worker}"
        self._clock = VirtualClock(_EPOCH_NS + worker * _APART_NS)
        self._readings: dict[str, int] = {}
        self._streams: dict[str, random.Random] = {}
        self._worker = worker

    def now_ns(self) -> int:
        """Read the clock."""
        library = _asking()
        if not library:
            return self._clock.read()
        count = self._readings[library] = self._readings.get(library, 0) + 1
        return self._clock.now + count * TICK_NS

    def pass_ns(self, duration: int) -> None:
        """Let time pass, which takes none."""
        self._clock.reach(self._clock.now + duration)

    def stream(self) -> random.Random:
        """Give what draws for whoever asks."""
        library = _asking()
        found = self._streams.get(library)
        if found is None:
            found = self._streams[library] = random.Random(f"{self._name}/{library}")  # noqa: S311 - to be repeated
        return found

    def uuid1(self) -> bytes:
        """Make a UUID of version 1: of the clock, and of a node that is no machine's."""
        time = self.now_ns() // 100 + _GREGORIAN
        low, middle, high = time & 0xFFFFFFFF, time >> 32 & 0xFFFF, time >> 48 & 0x0FFF
        return uuid.UUID(fields=(low, middle, high | 0x1000, 0x80, 0, _NODE + self._worker)).bytes


def random_class(own: Callable[[], random.Random | None]) -> type[random.Random]:
    """Make a class of generators that draw from another one, wherever `own` gives one."""

    class Hidden(random.Random):
        def random(self) -> float:
            stream = own()
            return super().random() if stream is None else stream.random()

        def getrandbits(self, k: int, /) -> int:
            stream = own()
            return super().getrandbits(k) if stream is None else stream.getrandbits(k)

        def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
            stream = own()
            return super().gauss(mu, sigma) if stream is None else stream.gauss(mu, sigma)

        def getstate(self) -> Any:  # noqa: ANN401 - as random's
            stream = own()
            return super().getstate() if stream is None else stream.getstate()

        def setstate(self, state: Any) -> None:  # noqa: ANN401 - as random's
            stream = own()
            if stream is None:
                super().setstate(state)
            else:
                stream.setstate(state)

    return Hidden


def _asking() -> str:
    """Name the library's module that asks; "" for a body's own code."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the one way to see who asks, and cheap
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name not in _BETWEEN:
            return name if _is_library(name, frame.f_code.co_filename) else ""
        frame = frame.f_back
    return ""


@cache
def _is_library(name: str, path: str) -> bool:
    """Say whether a module was installed, rather than written for what is explored."""
    return name.partition(".")[0] in sys.stdlib_module_names or path.startswith(_LIBRARIES)
