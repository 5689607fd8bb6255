"""Which processes the watchdog takes for the run's: by number, start, parent and group."""

from __future__ import annotations

import os

import pytest

from orchestrator.services.process import Birth
from orchestrator.watchdog_process import WAYS, Charge, Kind, Seen, look, portable, same

LEADER, OTHER = 10, 30


def _seen(parent: int = 1, group: int = LEADER, start: str = "s", *, dead: bool = False) -> Seen:
    return Seen(parent, group, start, dead)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({LEADER: _seen()}, [LEADER]),
        ({}, []),
        ({LEADER: _seen(dead=True)}, []),
        ({LEADER: _seen(start="another")}, []),
        ({LEADER: _seen(), 11: _seen(LEADER)}, [LEADER, 11]),
        # A pool that outlived its node.
        ({11: _seen()}, [11]),
        ({LEADER: _seen(dead=True), 11: _seen()}, [11]),
        # Another program's group, whose leader has the number now.
        ({LEADER: _seen(start="another"), 11: _seen(LEADER)}, []),
        # A server's processes lead groups of their own.
        ({LEADER: _seen(), 5: _seen(12, 5), 12: _seen(LEADER, 12)}, [LEADER, 12, 5]),
        ({LEADER: _seen(), OTHER: _seen(1, OTHER)}, [LEADER]),
    ],
)
def test_what_belongs_to_a_process(table: dict[int, Seen], expected: list[int]) -> None:
    """Its descendants, and its group for as long as the group is its own."""
    assert expected == Charge(LEADER, "s", Kind.DATABASE).living(table)


def test_what_belonged_once_is_remembered() -> None:
    """A paused backend outlives its server, and nothing says any more whose it is."""
    charge = Charge(LEADER, "s", Kind.DATABASE)
    charge.living({LEADER: _seen(), 12: _seen(LEADER, 12)})
    assert [12] == charge.living({12: _seen(1, 12)})
    assert [] == charge.living({12: _seen(1, 12, "another")})


def test_all_turns_take_less_than_ten_seconds() -> None:
    """That is the promise."""
    longest: dict[int, float] = {}
    for way in WAYS.values():
        longest[way.turn] = max(longest.get(way.turn, 0.0), sum(patience for _, patience in way.steps))
    assert sum(longest.values()) < 9.5


@pytest.mark.parametrize(
    ("noted", "found", "expected"),
    [
        ("boot:1", "boot:1", True),
        ("boot:1", "boot:2", False),
        ("1700000000.634", "1700000000", True),
        ("1700000000.634", "1700000003", False),
        ("", "1700000003", False),
    ],
)
def test_starts_are_compared_as_exactly_as_the_system_names_them(noted: str, found: str, *, expected: bool) -> None:
    """Without /proc one of the two is in whole seconds."""
    assert expected == same(noted, found)


def test_a_look_names_processes_as_their_birth_does() -> None:
    """Otherwise the watchdog would know nobody again."""
    birth, seen = Birth.of(os.getpid()), look()[os.getpid()]
    assert birth is not None
    assert (True, os.getppid(), os.getpgrp()) == (same(birth.start, seen.start), seen.parent, seen.group)


def test_ps_says_the_same_of_us() -> None:
    """It is asked where there is no /proc."""
    seen = portable()[os.getpid()]
    assert (os.getppid(), os.getpgrp(), False) == (seen.parent, seen.group, seen.dead)
    assert float(seen.start) > 1_600_000_000
