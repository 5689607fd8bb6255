"""The striker: on schedule, deterministic, and nothing stays broken; time is the tests' own."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.errors import ServiceError, UsageError
from orchestrator.faults import striker as module
from orchestrator.faults.model import Kind, Struck
from orchestrator.faults.plan import parse
from orchestrator.faults.striker import Strike, Striker
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.faults.model import Fault, Planned, Reach

REACH: Any = None


class Time:
    """Passes when it is waited for, and ends."""

    def __init__(self, end: float) -> None:
        self.at = 1_000.0
        self._end = self.at + end

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.at >= self._end

    def now(self) -> float:
        """Read it, seconds."""
        return self.at

    def clock(self) -> int:
        """Read the database's clock, microseconds since the race began."""
        return round((self.at - 1_000) * 1e6)

    def wait(self, pause: float) -> bool:
        """Let it pass, and be true at the end."""
        self.at = min(self.at + pause, self._end)
        return self.over


class World:
    """Faults that note what is done to it."""

    def __init__(self, end: float = 10.0) -> None:
        self.time = Time(end)
        self.log: list[str] = []

    def kind(self, strike: Callable[[Planned], Struck | None], duration: float | None = None) -> Kind:
        """Make a fault of a function."""

        def build(planned: Planned, _reach: Reach) -> Fault:
            return Function(lambda: strike(planned))

        return Kind(build=build, default_duration=duration, targets="[what]", help="")

    def known(self) -> dict[str, Kind]:
        """One that needs healing, one that doesn't, one that fails, one that has nothing to strike."""
        return {
            "break": self.kind(self.broken, 2.0),
            "hit": self.kind(lambda planned: Struck(self.note(f"hit {planned.text}"))),
            "fail": self.kind(self.fails),
            "stay": self.kind(self.stays, 1.0),
            "idle": self.kind(lambda _planned: None),
            "carried": Kind(build=None, help=""),
        }

    def note(self, what: str) -> str:
        """Write down what happens, with the time."""
        self.log.append(f"{self.time.at - 1_000:g} {what}")
        return what

    def broken(self, planned: Planned) -> Struck:
        """Break, and heal."""
        what = planned.targets[0] if planned.targets else "it"
        self.note(f"broke {what}")
        return Struck(f"broke {what}", lambda: self.healed(what))

    def healed(self, what: str) -> None:
        """Write down that it is whole again."""
        self.note(f"healed {what}")

    def fails(self, _planned: Planned) -> Struck:
        """Meet something unexpected, which holds a password."""
        raise ValueError("hush-hush")

    def stays(self, _planned: Planned) -> Struck:
        """Break for good."""

        def heal() -> None:
            raise ServiceError("The server does not start.")

        return Struck("broke for good", heal)

    def striker(self, *entries: str) -> Striker:
        """Make the striker of a plan."""
        planned = parse(entries, self.known())
        time = self.time
        return Striker(planned, REACH, time.clock, known=self.known(), now=time.now, wait=time.wait)

    def run(self, *entries: str) -> Striker:
        """Strike to the end."""
        striker = self.striker(*entries)
        striker.start()
        wait_until(lambda: self.time.over or striker.quiet())  # who stops earlier cuts it short
        striker.stop()
        return striker


class Function:
    """A fault of one function."""

    def __init__(self, function: Callable[[], Struck | None]) -> None:
        self.strike = function


def test_a_strike_is_healed_when_its_time_is_up() -> None:
    """By the plan's time, or the fault's own; both moments are on the database's clock."""
    world = World()
    striker = world.run("break:a:at=3s", "break:b:at=4s:for=500ms")
    assert ["3 broke a", "4 broke b", "4.5 healed b", "5 healed a"] == world.log
    assert [
        Strike("break", 3_000_000, 5_000_000, "broke a"),
        Strike("break", 4_000_000, 4_500_000, "broke b"),
    ] == striker.strikes()
    assert ([], []) == (striker.gaps(), striker.unstruck())


def test_strikes_come_again_as_often_as_the_plan_says() -> None:
    """Every so often from the first time on, to the end or to the count."""
    world = World(end=3.4)
    world.run("hit:every=1s", "hit:at=0s:every=500ms:count=2")
    ever, twice = "hit hit:every=1s", "hit hit:at=0s:every=500ms:count=2"
    assert [f"0 {twice}", f"0.5 {twice}", f"1 {ever}", f"2 {ever}", f"3 {ever}"] == world.log


def test_many_strikes_lie_on_their_grid() -> None:
    """However times add up in binary, none is struck twice, and none is left out."""
    world = World(end=100.05)
    striker = world.run("hit:at=100ms:every=100ms")
    assert [round(each.struck_us / 1e5) for each in striker.strikes()] == list(range(1, 1_001))


def test_what_is_in_force_at_the_end_is_healed_in_reverse() -> None:
    """The last that was broken may stand on the first."""
    world = World(end=3.0)
    striker = world.striker("break:a:at=1s:for=1m", "break:b:at=2s:for=1m")
    striker.start()
    striker.stop()
    striker.stop()
    assert ["1 broke a", "2 broke b", "3 healed b", "3 healed a"] == world.log
    assert [3_000_000, 3_000_000] == [strike.healed_us for strike in striker.strikes()]


def test_strikes_may_overlap_each_other() -> None:
    """The same fault again, while it is in force: each has its own healing."""
    world = World(end=4.5)
    world.run("break:every=1s:count=3")
    assert ["1 broke it", "2 broke it", "3 healed it", "3 broke it", "4 healed it", "4.5 healed it"] == world.log


def test_a_fault_that_fails_is_a_gap_and_ends_nothing() -> None:
    """Its error's text is not repeated, for it may hold a password."""
    world = World(end=3.0)
    striker = world.run("fail:at=1s", "hit:at=2s")
    assert ["2 hit hit:at=2s"] == world.log
    assert ["Fault «fail:at=1s» could not strike: ValueError."] == striker.gaps()
    assert ["fail:at=1s"] == striker.unstruck()


def test_a_healing_that_fails_is_a_gap() -> None:
    """The strike is listed as not healed, and the others are healed all the same."""
    world = World()
    striker = world.run("break", "stay")
    assert ["1 broke it", "3 healed it"] == world.log
    assert ["Fault «stay» could not be healed: The server does not start."] == striker.gaps()
    assert {"break": 3_000_000, "stay": None} == {each.name: each.healed_us for each in striker.strikes()}


def test_a_fault_without_anything_to_strike_tries_again() -> None:
    """Until the end; it is then listed as never struck."""
    world = World(end=3.0)
    found = iter([None, None, Struck("at last")])
    kinds = {**world.known(), "late": world.kind(lambda _planned: next(found))}
    time = world.time
    striker = Striker(parse(["late", "idle"], kinds), REACH, time.clock, known=kinds, now=time.now, wait=time.wait)
    striker.start()
    striker.stop()
    assert [Strike("late", 2_000_000, 2_000_000, "at last")] == striker.strikes()
    assert ["idle"] == striker.unstruck()


def test_a_long_strike_is_not_made_up_for() -> None:
    """What fell into it is left out, and the grid goes on."""
    world = World(end=6.5)

    def slow(_planned: Planned) -> Struck:
        struck = Struck(world.note("began"))
        world.time.at += 2.5
        return struck

    kinds = {"slow": world.kind(slow)}
    time = world.time
    striker = Striker(parse(["slow:every=1s"], kinds), REACH, time.clock, known=kinds, now=time.now, wait=time.wait)
    striker.start()
    striker.stop()
    assert ["1 began", "4 began"] == world.log
    assert [(1_000_000, 3_500_000), (4_000_000, 6_500_000)] == [each[1:3] for each in striker.strikes()]


def test_quiet_is_when_nothing_is_in_force_and_nothing_comes() -> None:
    """With every count used and all healed, or after the end."""
    world = World()
    assert world.striker().quiet()
    assert world.striker("carried").quiet()
    endless = world.striker("hit:every=1s")
    assert not endless.quiet()
    endless.stop()
    assert endless.quiet()
    counted = World(end=1e9).striker("break")
    counted.start()
    counted._thread.join(10)
    assert counted.quiet()


def test_it_is_not_quiet_while_something_is_in_force() -> None:
    """A fault that is healed at the end only keeps it from being quiet."""
    world = World(end=1e9)
    kinds = {"last": world.kind(world.broken)}
    time = world.time
    striker = Striker(parse(["last"], kinds), REACH, time.clock, known=kinds, now=time.now, wait=time.wait)
    striker.start()
    striker._thread.join(10)
    assert (False, [None]) == (striker.quiet(), [each.healed_us for each in striker.strikes()])
    striker.stop()
    assert (True, ["1 broke it", "1 healed it"]) == (striker.quiet(), world.log)


def test_what_can_not_be_done_here_is_refused_before_the_race() -> None:
    """The maker of a fault says so."""

    def refuse(planned: Planned, _reach: Reach) -> Fault:
        raise UsageError(f"{planned.name} can't be done here.")

    kinds = {"never": Kind(build=refuse, help="")}
    with pytest.raises(UsageError, match="never can't be done here"):
        Striker(parse(["never"], kinds), REACH, lambda: 0, known=kinds)


def test_a_strike_that_hangs_does_not_hold_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a gap, and heals itself should it ever come back."""
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    world = World()
    striking, released = threading.Event(), threading.Event()

    def hang(planned: Planned) -> Struck:
        striking.set()
        released.wait(10)
        return world.broken(planned)

    kinds = {"hang": world.kind(hang, 1.0)}
    striker = Striker(parse(["hang:at=0s"], kinds), REACH, world.time.clock, known=kinds, now=world.time.now)
    striker.start()
    assert striking.wait(10)
    striker.stop()
    striker.stop()
    assert ["A strike did not come to an end: what it broke may not be healed."] == striker.gaps()
    released.set()
    striker._thread.join(10)
    assert ["0 broke it", "0 healed it"] == world.log


def test_choices_are_the_seed_s() -> None:
    """The same plan and seed choose the same."""

    def build(_planned: Planned, reach: Reach) -> Fault:
        return Function(lambda: Struck(str(reach.random.random())))

    def details(seed: int) -> list[str]:
        reach: Any = type("Some", (), {"random": random.Random(seed)})  # noqa: S311 - a seed's choices, no secret
        time, kinds = Time(20.0), {"any": Kind(build=build, help="")}
        striker = Striker(parse(["any:every=1s"], kinds), reach, time.clock, known=kinds, now=time.now, wait=time.wait)
        striker.start()
        striker.stop()
        return [each.detail for each in striker.strikes()]

    assert details(1) == details(1)
    assert details(1) != details(2)
