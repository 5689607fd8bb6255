"""Pinned clocks, ids and chance: each worker's own, the same in every schedule."""
# ruff: noqa: S311 - bodies draw as they like

from __future__ import annotations

import email.utils
import os
import random
import secrets
import threading
import time
import uuid
from datetime import UTC, date, datetime
from random import choice as imported_choice
from random import gauss as imported_gauss
from random import random as imported_random
from time import monotonic as imported_monotonic
from time import sleep as imported_sleep
from time import time as imported_time
from typing import TYPE_CHECKING

import pytest
import time_machine

from orchestrator.controlled.pins import pinned
from orchestrator.explorer.hub import Hub
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.scheduler import ExplorerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.controlled.pins import Pins
    from orchestrator.explorer.model import Execution, Point

#: Whatever a body may ask for, by name.
ASKED: dict[str, Callable[[], object]] = {
    "time": lambda: (time.time(), time.time_ns(), imported_time()),
    "monotonic": lambda: (time.monotonic(), time.monotonic_ns(), imported_monotonic()),
    "perf_counter": lambda: (time.perf_counter(), time.perf_counter_ns()),
    "datetime": lambda: (datetime.now(UTC), datetime.now(), date.today()),  # noqa: DTZ005, DTZ011 - bodies ask so
    "struct": lambda: (time.gmtime(), time.localtime(), time.strftime("%H:%M:%S")),
    "uuid1": lambda: [uuid.uuid1() for _ in range(3)],
    "uuid4": lambda: [uuid.uuid4() for _ in range(3)],
    "random": lambda: (
        random.random(),
        random.randint(1, 9**9),
        random.sample(range(99), 5),
        random.gauss(),
        imported_random(),
    ),
    "imported": lambda: (imported_choice(range(9**9)), imported_gauss(0, 1), imported_random()),
    "bits": lambda: (random.getrandbits(64), random.randbytes(8)),
    "fresh": lambda: random.Random().random(),
    "urandom": lambda: os.urandom(16),
    "secrets": lambda: (secrets.token_hex(), secrets.randbelow(9**9), random.SystemRandom().random()),
}


class Exploration:
    """Schedules of two bodies with everything pinned."""

    def __init__(self, *, threads: bool = False) -> None:
        self.threads = threads
        self.hub: Hub | None = None
        self.pins: Pins

    def current(self) -> int | None:
        """Say whose code runs."""
        return None if self.hub is None else self.hub.current

    def stand(self, point: Point) -> None:
        """Stand before a pause."""
        assert self.hub is not None
        self.hub.stand(point)

    def run(self, seed: int, body: Callable[[Hub], object]) -> Execution:
        """Run a schedule of two workers that a seed decides."""
        self.pins.restart()
        hub = self.hub = Hub(RandomWalk(seed), threads=self.threads)
        try:
            return hub.run([lambda: body(hub)] * 2)
        finally:
            self.hub = None

    def values(self, body: Callable[[Hub], object], schedules: int = 20) -> set[tuple[str, ...]]:
        """Give what the workers returned, over many schedules."""
        with pinned(self.current, 7, self.stand) as self.pins:
            runs = [self.run(seed, body) for seed in range(schedules)]
        return {tuple(repr(ending.value) for ending in run.endings) for run in runs}


def _asking(ask: Callable[[], object]) -> Callable[[Hub], object]:
    def body(hub: Hub) -> object:
        given = []
        for _ in range(3):
            hub.switch("statement")
            given.append(ask())
        return given

    return body


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("what", ASKED)
def test_values_do_not_depend_on_the_interleaving(what: str, threads: bool) -> None:  # noqa: FBT001 - a parameter
    """A worker gets the same values in every schedule, and another worker gets others."""
    (values,) = Exploration(threads=threads).values(_asking(ASKED[what]))
    assert values[0] != values[1] or what == "struct"


def test_seed_decides_chance() -> None:
    """Another seed gives other random numbers."""
    exploration, drawn = Exploration(), []
    for seed in (1, 2, 1):
        with pinned(exploration.current, seed) as exploration.pins:
            drawn.append(exploration.run(0, lambda _: random.random()).endings)
    assert drawn[0] == drawn[2] != drawn[1]


def test_readings_increase() -> None:
    """A worker's clocks never show the same time twice."""

    def body(_: Hub) -> bool:
        readings = [read() for _ in range(50) for read in (time.time_ns, time.monotonic_ns, time.perf_counter_ns)]
        return readings == sorted(set(readings))

    assert {("True", "True")} == Exploration().values(body, 1)


@pytest.mark.parametrize("sleep", [lambda: time.sleep(3600), lambda: imported_sleep(3600)])
def test_sleep_takes_no_time(sleep: Callable[[], None]) -> None:
    """A pause is a switch point after which a worker's clock has moved."""

    def body(_: Hub) -> float:
        before = time.time()
        sleep()
        return round(time.time() - before)

    exploration = Exploration()
    assert {("3600", "3600")} == exploration.values(body)
    with pinned(exploration.current, 0, exploration.stand) as exploration.pins:
        execution = exploration.run(0, body)
    assert ["pause", "pause"] == [record.point.kind for record in execution.records]


def test_sleep_refuses_what_the_real_one_refuses() -> None:
    """A negative pause is the same error as ever."""

    def body(_: Hub) -> str:
        with pytest.raises(ValueError, match="must be non-negative"):
            time.sleep(-1)
        return "refused"

    assert {("'refused'", "'refused'")} == Exploration().values(body, 1)


def test_seed_of_a_body_s_own() -> None:
    """`random.seed` in a body seeds that worker's numbers only."""

    def body(hub: Hub) -> object:
        random.seed(hub.current)
        hub.switch("statement")
        return random.random(), random.getstate()[1][:3]

    (values,) = Exploration().values(body)
    assert [repr(random.Random(number).random()) for number in (0, 1)] == [each[1:].split(",")[0] for each in values]


def test_state_of_a_body_s_own() -> None:
    """`random.setstate` repeats a worker's numbers, whatever another one draws in between."""

    def body(hub: Hub) -> bool:
        state = random.getstate()
        first = random.random()
        hub.switch("statement")
        random.setstate(state)
        return first == random.random()

    assert {("True", "True")} == Exploration().values(body)


def test_outside_of_workers_everything_is_real() -> None:
    """The explorer's own clocks and random numbers are untouched."""
    random.seed(5)
    expected = [random.random() for _ in range(3)]
    random.seed(5)
    exploration = Exploration()
    with pinned(exploration.current, 0) as exploration.pins:
        drawn = [random.random()]
        exploration.run(0, lambda _: [random.random(), random.gauss(), os.urandom(4)])
        drawn += [random.random(), imported_random()]
        assert expected == drawn
        assert abs(time.time() - time_machine.escape_hatch.time.time()) < 60
        assert datetime.now(UTC).year == time_machine.escape_hatch.datetime.datetime.now(UTC).year
        assert uuid.uuid1() != uuid.uuid1()
        assert os.urandom(16) != os.urandom(16)


def test_other_threads_keep_their_clocks() -> None:
    """A thread that is no worker's reads the real clock, though a worker runs."""
    read: list[float] = []

    def body(_: Hub) -> float:
        thread = threading.Thread(target=lambda: read.append(time.time()))
        thread.start()
        thread.join()
        return time.time()

    exploration = Exploration()
    (values,) = exploration.values(body, 1)
    assert [True, True] == [abs(each - time.time()) < 60 for each in read]
    assert [False, False] == [abs(float(each) - time.time()) < 60 for each in values]


def test_a_time_machine_below_stays() -> None:
    """Where a test travels already, the code outside of workers stays where it went."""
    exploration = Exploration()
    with time_machine.travel(0, tick=False), pinned(exploration.current, 0) as exploration.pins:
        assert (0.0, "1970-01-01") == (time.time(), datetime.now(UTC).date().isoformat())
        assert exploration.run(0, lambda _: time.time() > 1).endings[0].value


def _fail(*, because: bool) -> None:
    assert because
    raise ZeroDivisionError


def test_everything_is_restored() -> None:
    """After an exploration, also one that failed, every name is what it was."""
    modules = (time, os, random, uuid)
    before = [dict(vars(module)) for module in modules]
    seed, mine = random.Random.seed, dict(globals())
    with pytest.raises(ZeroDivisionError), pinned(lambda: None, 0):
        _fail(because=imported_sleep is not mine["imported_sleep"])
    after = [dict(vars(module)) for module in modules]
    for names in before + after:
        names.pop("_last_timestamp", None)  # uuid's memory, which time_machine clears
    assert before == after
    assert (seed, mine) == (random.Random.seed, dict(globals()))
    assert random.Random is type(vars(random)["_inst"])
    assert [] == time_machine.traveller_stack


def test_nested_use_is_refused() -> None:
    """Two explorations would take each other's clocks."""
    with pinned(lambda: None, 0), pytest.raises(ExplorerError, match="pinned already"), pinned(lambda: None, 0):
        pass


def test_library_readings_are_counted_apart() -> None:
    """What a library reads, in one schedule more often than in the next, changes nothing that the body sees."""
    often = iter(range(100))

    def body(hub: Hub) -> object:
        for _ in range(next(often)):
            email.utils.make_msgid(domain="example.org")  # reads the clock, and draws
        hub.switch("statement")
        return time.time(), random.random(), uuid.uuid4()

    (values,) = Exploration().values(body)
    assert values[0] != values[1]
