"""The brute-force checker names the literature's histories as the literature does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.history.transactions import NEVER, NO_VERSION, PREDICATE_RW, UNKNOWN
from tests.brute_cycles import components, graph, name_of, simple_cycles
from tests.brute_force import check
from tests.brute_literature import LITERATURE
from tests.brute_model import world
from tests.unit.tiny import history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.brute_literature import Example

#: Name, history, and the numbers of what needs no graph.
COUNTED = [
    ("two-writers", "a: wx1 | b: wx1 | c: wx2", {"duplicate-version": 1}),
    ("own-writes-are-no-duplicates", "a: wx1 wx1", {}),
    ("gaps-below-the-last-write", "a: wx4 wy1 | b!: wx2 | c?: wx5", {"version-gap": 2, "dirty-update": 1}),
    ("two-of-three-updates-lost", "a: rx0 wx1 | b: rx0 wx2 | c: rx0 wx3", {"lost-update": 2}),
    ("one-settled-loses-too", "a: rx0 wx1 | b?: rx0 wx2 | c: rx2", {"lost-update": 1}),
    ("not-known-what-it-read", "a: rx? rx0 wx1 | b: rx0 wx2", {}),
    ("a-write-first-loses-nothing", "a: wx1 rx1 wx2 | b: rx0 wx3", {}),
    ("aborted-or-unknown", "a!: wx1 | b?: wx1 | c: rx1", {}),
    ("nobody-wrote-it", "a: rx3 rx3", {"garbage-read": 2}),
    ("an-aborted-reader-reads-nothing", "a!: rx3", {}),
    ("own-write-forgotten", "a: wx1 rx0", {"internal": 1}),
    ("own-older-write", "a: wx1 wx2 rx1", {"internal": 1}),
    ("unrepeatable", "a: rx0 rx1 rx1 | b: wx1", {"internal": 1}),
    ("nothing-known-between", "a: rx0 rx? rx1 wx? rx0 | b: wx1", {}),
    ("back-and-forth", "a: rx0 rx1 rx0 | b: wx1", {"internal": 2}),
    ("missing-where-versions-are-unknown", "a: rx1 | d: rx2 | e: wx4 | b?: wx? | c!: wx2", {}),
    ("own-later-write-of-two", "a: rx0 rx1 wx1 | b: wx1", {"internal": 1, "duplicate-version": 1}),
    ("own-later-write", "a: rx1 wx1 rx1", {"future-read": 1}),
    ("sessions-go-back", "a: wx1 wy1 | b@s: rx1 ry1 | c@s: rx0 ry0", {"monotonic-reads-violation": 2}),
    ("a-lost-own-write", "a@s: wx1 | b@s: rx0", {"read-your-writes-violation": 1}),
    ("writes-turned-round", "a@s: wx2 | b@s: wx1", {"monotonic-writes-violation": 1}),
    ("a-write-before-its-cause", "a: wx2 | b@s: rx2 | c@s: wx1", {"writes-follow-reads-violation": 1}),
    ("an-aborted-one-is-of-no-session", "a@s!: rx1 | b@s: rx0 | c: wx1", {}),
]

#: Name, history, the labels of those that count as committed.
SETTLED = [
    ("nobody-saw-it", "a?: wx1 | b: rx0", "b"),
    ("read", "a?: wx1 | b: rx1", "ab"),
    ("overwritten", "a?: wx1 | b: wx2", "ab"),
    ("a-later-one-read", "a?: wx1 | b: rx2", "ab"),
    ("somebody-else-wrote-it", "a?: wx1 | b: wx1 | c: rx1", "bc"),
    ("two-unknown-ones", "a?: wx1 | b?: wx1 | c: rx1", "c"),
    ("an-aborted-twin-hides-nothing", "a?: wx1 | b!: wx1 | c: rx1", "ac"),
    ("by-one-that-is-settled", "a?: wx1 | b?: rx1 wy1 | c: ry1", "abc"),
    ("by-one-that-is-not", "a?: wx1 | b?: rx1 wy1 | c: ry0", "c"),
    ("version-unknown", "a?: wx? | b: rx1", "b"),
]

#: Name, kinds of the edges, the cycle's name.
CYCLES = [
    ("ww", [0, 0], "G0"),
    ("wr", [0, 1], "G1c"),
    ("one-rw", [2, 1], "G-single-item"),
    ("two-rw", [2, 2], "G2-item"),
    ("two-rw-apart", [2, 1, 2, 0], "G-nonadjacent-item"),
    ("first-and-last-rw", [2, 1, 2], "G2-item"),
    ("predicate", [3, 0], "G-single"),
    ("mixed", [3, 0, 2, 1], "G-nonadjacent"),
    ("mixed-adjacent", [3, 2], "G2"),
    ("session", [0, 4], "G0-process"),
    ("time", [1, 4, 5], "G1c-realtime"),
    ("no-data", [4, 5], ""),
]

#: Name, history, the cycles that are reported, those that are there besides.
PLACES = [
    (
        "lesser-in-the-same-place",
        "a@s: wx1 | b@s: rx0 ry1 | c: wx2 wy1",
        {"G-single-item"},
        {"G-single-item-process"},
    ),
    (
        "greater-in-another-place",
        "a: rx0 ry1 | b: wx1 wy1 | c@s: wz1 | d@s: rz0",
        {"G-single-item", "G-single-item-process"},
        set(),
    ),
]


@pytest.mark.parametrize("example", LITERATURE, ids=lambda example: example.name)
def test_a_history_of_the_literature_is_named(example: Example) -> None:
    """Each history shows the anomaly that it was written for, and no other."""
    findings = check(history(example.text))
    assert example.cycles == findings.cycles
    assert example.cycles == findings.reported
    assert example.counts == {**findings.counts, **findings.sessions}


@pytest.mark.parametrize(("text", "counts"), [case[1:] for case in COUNTED], ids=[case[0] for case in COUNTED])
def test_what_needs_no_graph_is_counted(text: str, counts: dict[str, int]) -> None:
    """Each instance counts once, and nothing else does."""
    findings = check(history(text))
    assert counts == {**findings.counts, **findings.sessions}


@pytest.mark.parametrize(("text", "committed"), [case[1:] for case in SETTLED], ids=[case[0] for case in SETTLED])
def test_an_unknown_transaction_settles_once_its_writes_show(text: str, committed: str) -> None:
    """It counts as committed when only it can have made what was seen or overwritten."""
    told = history(text)
    assert list(committed) == [told.names.transaction(t.number) for t in world(told).committed]


@pytest.mark.parametrize(("kinds", "name"), [case[1:] for case in CYCLES], ids=[case[0] for case in CYCLES])
def test_a_cycle_is_named_by_its_edges(kinds: Sequence[int], name: str) -> None:
    """Anti-dependencies and their places make the class, sessions and time the variant; where it begins is all one."""
    assert {name} == {name_of([*kinds[turn:], *kinds[:turn]]) for turn in range(len(kinds))}


@pytest.mark.parametrize(
    ("text", "reported", "beside"), [case[1:] for case in PLACES], ids=[case[0] for case in PLACES]
)
def test_the_least_variant_in_each_place_is_reported(text: str, reported: set[str], beside: set[str]) -> None:
    """A variant that needs more counts only where no lesser one is."""
    findings = check(history(text))
    assert reported == findings.reported
    assert reported | beside == findings.cycles


def test_a_complete_graph_has_every_cycle() -> None:
    """Of four transactions there are 6 cycles of two, 8 of three and 6 of four."""
    everything = {(a, b): frozenset({0}) for a in range(4) for b in range(4) if a != b}
    assert [6, 8, 6] == [sum(len(c) == n for c in simple_cycles(everything)) for n in (2, 3, 4)]
    assert {frozenset(range(4))} == components(everything)


def test_versions_that_nobody_can_be_asked_about_are_stepped_over() -> None:
    """Duplicate versions and those of aborted transactions have no edges; the next known one has."""
    told = history("a: wx1 | b: wx2 | c: wx2 | d!: wx3 | e: wx4 | f: rx2 rx3")
    assert {(0, 4): {0}, (5, 4): {2}} == graph(world(told))


def test_the_strongest_data_edge_counts_beside_session_and_time() -> None:
    """Of a read and an overwriting the overwriting counts; session and time stand beside it."""
    assert {(0, 1): {0, 4, 5}} == graph(world(history("a@s[0,1]: rx0 wx1 | b@s[2,3]: rx1 wx2")))


def test_a_step_may_be_taken_as_data_or_as_order() -> None:
    """Write skew in one session is also a stale read: the first read what the second overwrote, but stood before it."""
    findings = check(history("a@s: rx0 wy1 | b@s: ry0 wx1"))
    assert {"G2-item", "G-single-item-process"} == findings.reported


def test_the_tiny_language_says_all_of_a_history() -> None:
    """Sessions, outcomes, intervals, versions and explicit edges stand in the text."""
    told = history("a@s?[3,9]: rx? wy1 | b!: | c[1,]: rx0\n a -predicate-rw:z-> c")
    assert [UNKNOWN, 1, 0] == told.status.tolist()
    assert [0, -1, -1] == told.session.tolist()
    assert [(3, NEVER), (0, NEVER), (1, NEVER)] == list(zip(told.invoke.tolist(), told.complete.tolist(), strict=True))
    assert [NO_VERSION, 1, 0] == told.version.tolist()
    assert [0, 1, 0] == told.row.tolist()
    assert [(0, 2, PREDICATE_RW, 2)] == sorted(world(told).explicit)
    with pytest.raises(ValueError, match="is not of the tiny language"):
        history("a: qx1")
