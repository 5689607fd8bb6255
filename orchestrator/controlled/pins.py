"""Clocks, ids and chance as bodies see them, pinned: each worker's own, and the same in every schedule.

Pinned inside of workers: `time.time`, `datetime.now` and their kin wherever they were imported to; `time.monotonic`,
`time.perf_counter`, `time.sleep`, `os.urandom` and `random.random` as attributes of their modules and where a module
has imported them by name; the other functions of `random`; `uuid.uuid1`, `uuid.uuid4` and `secrets`.

Not pinned: what extensions read for themselves (numpy's random numbers, `time.clock_gettime(CLOCK_MONOTONIC)`), the
database's own `now()` and `random()`, such functions held in a default argument or a container, the order of sets of
strings (PYTHONHASHSEED), and whatever waits with a timeout of its own (locks, sockets).
"""

from __future__ import annotations

import os
import random
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

import time_machine

from orchestrator.controlled.pinned_values import Values, random_class
from orchestrator.explorer.model import Point
from orchestrator.explorer.scheduler import ExplorerError
from orchestrator.explorer.workers import THREADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

#: At most one exploration has the clocks.
_HELD: Final[list[Pins]] = []
_SECOND_NS: Final = 1_000_000_000
_sleep: Final = time.sleep
_urandom: Final = os.urandom
_CLOCKS: Final = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
#: Functions of `random` that are bound to the hidden generator's C methods, or keep what they know outside of it.
_METHODS: Final = ("random", "getrandbits", "seed", "gauss", "getstate", "setstate")
#: Modules that keep their own: real ones, for the explorer and for the standard library's own waits.
_LEFT_ALONE: Final = frozenset(sys.stdlib_module_names) | {"time_machine", "greenlet", "_pytest", "pytest_timeout"}


class Pins:
    """Each worker's values, from the start of a schedule; outside of workers there are none."""

    def __init__(self, current: Callable[[], int | None], seed: int, stand: Callable[[Point], None] | None) -> None:
        self._current, self._seed, self._stand = current, seed, stand
        self._values: dict[int, Values] = {}
        self._thread = get_ident()

    def restart(self) -> None:
        """Begin a schedule: everybody's values start again."""
        self._values.clear()
        self._thread = get_ident()

    def values(self) -> Values | None:
        """Give the running worker's, to its own thread only."""
        worker = self._current()
        if worker is None:
            return None
        thread = get_ident()
        if thread != self._thread and thread not in THREADS:
            return None
        found = self._values.get(worker)
        if found is None:
            found = self._values[worker] = Values(self._seed, worker)
        return found

    def stream(self) -> random.Random | None:
        """Give the running worker's source of chance."""
        values = self.values()
        return None if values is None else values.stream()

    def urandom(self, size: int, /) -> bytes:
        """Give random bytes."""
        stream = self.stream()
        return _urandom(size) if stream is None else stream.randbytes(size)

    def clock(self, real: Callable[[], Any]) -> Callable[[], Any]:
        """Make one of the clocks that only count: of nanoseconds where its name says so, else of seconds."""
        unit = 1 if real.__name__.endswith("_ns") else _SECOND_NS

        def read() -> int | float:
            values = self.values()
            if values is None:
                return real()  # type: ignore[no-any-return]  # a number
            return values.now_ns() if unit == 1 else values.now_ns() / unit

        return read

    def sleep(self, seconds: float, /) -> None:
        """Let a worker's time pass, which is a switch point and takes none."""
        values = self.values()
        if values is None:
            _sleep(seconds)
            return
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self._stand is not None:
            self._stand(Point("pause"))
        values.pass_ns(round(seconds * _SECOND_NS))


@contextmanager
def pinned(
    current: Callable[[], int | None], seed: int, stand: Callable[[Point], None] | None = None
) -> Iterator[Pins]:
    """Pin them for one exploration; `current` tells whose code runs, `stand` makes a pause a switch point."""
    if _HELD:
        raise ExplorerError("Clocks and random numbers are pinned already; explore one thing at a time.")
    pins = Pins(current, seed, stand)
    _HELD.append(pins)
    with ExitStack() as stack:
        stack.callback(_HELD.clear)
        _pin_time(stack, pins)
        _pin_uuid(stack, pins)
        _pin_random(stack, pins)
        _pin_names(stack, pins)
        yield pins


class _Traveller(time_machine.Traveller):
    """Tells time_machine's patches the time; they reach every name of `time.time` and `datetime.now`."""

    def __init__(self, pins: Pins, below: time_machine.Traveller | None) -> None:
        super().__init__(0, None, tick=False)
        self._pins, self._below = pins, below

    def time_ns(self) -> int:
        """Read the running worker's clock, else the one that was there before."""
        values = self._pins.values()
        if values is not None:
            return values.now_ns()
        return time_machine.escape_hatch.time.time_ns() if self._below is None else self._below.time_ns()


def _pin_time(stack: ExitStack, pins: Pins) -> None:
    travellers = time_machine.traveller_stack
    below = travellers[-1] if travellers else None
    stack.enter_context(time_machine.travel(0, tick=False))
    travellers[-1] = _Traveller(pins, below)


def _pin_uuid(stack: ExitStack, pins: Pins) -> None:
    """Take the place of the C library's uuid1, which time_machine has set aside."""
    before: Any = vars(uuid)["_generate_time_safe"]
    real = time_machine.original_uuid_generate_time_safe

    def generate() -> tuple[bytes, int | None]:
        values = pins.values()
        if values is not None:
            return values.uuid1(), None
        if real is not None:
            made: tuple[bytes, int | None] = real()
            return made
        return uuid.uuid1(node=uuid.getnode()).bytes, None

    stack.callback(setattr, uuid, "_generate_time_safe", before)
    uuid._generate_time_safe = generate  # type: ignore[attr-defined]  # noqa: SLF001 - what uuid1 asks, however imported


def _pin_random(stack: ExitStack, pins: Pins) -> None:
    """Give the module's hidden generator another class for a while; modules that import its methods hold them bound."""
    hidden: Any = vars(random)["_inst"]
    kind = random_class(pins.stream)
    real_seed = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:  # noqa: ANN401 - as random's
        stream = pins.stream() if self is hidden or a is None else None
        value = stream.getrandbits(64) if stream is not None and a is None else a
        real_seed(stream if stream is not None and self is hidden else self, value, version)

    stack.callback(setattr, random.Random, "seed", real_seed)
    random.Random.seed = seed  # type: ignore[method-assign]
    stack.callback(setattr, hidden, "__class__", random.Random)
    hidden.__class__ = kind


def _pin_names(stack: ExitStack, pins: Pins) -> None:
    """Replace functions of the C language's in their modules, and wherever they were imported to by name."""
    hidden: Any = vars(random)["_inst"]
    replaced: dict[int, Any] = {
        id(time.sleep): pins.sleep,
        id(os.urandom): pins.urandom,
        **{id(getattr(time, name)): pins.clock(getattr(time, name)) for name in _CLOCKS},
        **{id(getattr(random, name)): getattr(hidden, name) for name in _METHODS},
    }
    left = [module for module in tuple(sys.modules.values()) if module is not None and not _left_alone(module)]
    for module in (time, os, random, *left):
        names = vars(module)
        for name, value in [(name, value) for name, value in names.items() if id(value) in replaced]:
            stack.callback(names.__setitem__, name, value)
            names[name] = replaced[id(value)]


def _left_alone(module: ModuleType) -> bool:
    name = getattr(module, "__name__", "")
    return name == __name__ or name.partition(".")[0] in _LEFT_ALONE
