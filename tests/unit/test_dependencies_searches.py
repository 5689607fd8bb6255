"""Searches for cycles: what only trying every path finds, bounds, counts, and when a loop is worth compiling."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from orchestrator.verifier.dependencies import compiled, cycles, judge
from orchestrator.verifier.dependencies.graph import Graph
from orchestrator.verifier.verdict import Value
from tests.unit.tiny import history

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.verifier.verdict import Judgement, Witness

#: u to t and back, by a long way on which nobody is met twice; x and m are shorter ways round, on which somebody is.
NONADJACENT = (
    *("u -rw-> v -wr-> p -wr-> q -rw-> r -wr-> s", "s -wr-> t", "t -wr-> u"),
    "v -wr-> x -rw-> y -wr-> x -wr-> t",
    "r -wr-> m -rw-> n -wr-> m -wr-> p",
)
PREDICATES = (
    *("u -rw-> v -wr-> p -wr-> q -predicate-rw-> r -wr-> s", "s -wr-> t", "t -rw-> u"),
    "v -wr-> x -predicate-rw-> y -wr-> x -wr-> t",
)
#: Everybody is met twice on every walk with two anti-dependencies that are not adjacent.
NOWHERE = ("a -rw-> d -wr-> a", "b -rw-> d -wr-> b")


def told(*lines: str, **names: str) -> str:
    """A history with these dependencies, which versions don't show; transactions are renamed."""
    edges: dict[str, None] = {}
    labels: dict[str, None] = {}
    for line in lines:
        words = [names.get(word, word) for word in line.split()]
        for source, arrow, target in zip(words[::2], words[1::2], words[2::2], strict=False):
            edges[f"{source} {arrow.replace('->', ':z->')} {target}"] = None
            labels |= {source: None, target: None}
    return " | ".join([*(f"{label}: rz0" for label in labels), *edges])


def named(witness: Witness) -> str:
    """The transactions of a witness, in order."""
    return "".join(each.name for each in witness.transactions)


def of(judgement: Judgement, anomaly: str) -> list[str]:
    """Who takes part in each cycle of the anomaly."""
    return [named(witness) for witness in judgement.witnesses if witness.anomaly == anomaly]


@pytest.mark.parametrize(
    ("lines", "anomaly", "members"),
    [(NONADJACENT, "G-nonadjacent-item", "uvpqrst"), (PREDICATES, "G2", "uvpqrst")],
)
def test_a_cycle_behind_shorter_ways_round_is_found(lines: tuple[str, ...], anomaly: str, members: str) -> None:
    """Where the shortest walks meet somebody twice, every path is tried."""
    judgement = judge(history(told(*lines)))
    assert 1 == judgement.anomalies[anomaly]
    assert [members] == of(judgement, anomaly)
    assert () == judgement.gave_up


@pytest.mark.parametrize(("lines", "anomaly"), [(NONADJACENT, "G-nonadjacent-item"), (PREDICATES, "G2")])
def test_without_the_long_way_there_is_no_such_cycle(lines: tuple[str, ...], anomaly: str) -> None:
    """Every path was tried, so that nothing is left open."""
    judgement = judge(history(told(*(line for line in lines if line != "s -wr-> t"))))
    assert anomaly not in judgement.anomalies
    assert () == judgement.gave_up


def test_who_is_met_twice_makes_no_cycle() -> None:
    """A cycle meets everybody once."""
    judgement = judge(history(told(*NOWHERE)))
    assert {"G-single-item": 2} == judgement.anomalies
    assert () == judgement.gave_up


@pytest.mark.parametrize("paths", [1, 3])
def test_paths_are_tried_up_to_a_bound(paths: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is said among how many transactions nobody knows; models that prohibit the anomaly stay open."""
    monkeypatch.setattr(cycles, "_PATHS", paths)
    monkeypatch.setattr(cycles, "_PATHS_EACH", 0)
    judgement = judge(history(told(*NOWHERE)), "snapshot-isolation")
    assert ("G-nonadjacent-item: the search among 3 transactions ended at its bound",) == judgement.gave_up
    assert Value.INVALID is judgement.value
    assert "G-nonadjacent-item" not in judgement.anomalies


def test_each_component_adds_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can't be decided takes nothing from another one's share."""
    monkeypatch.setattr(cycles, "_PATHS", 0)
    monkeypatch.setattr(cycles, "_PATHS_EACH", 60)
    everywhere = told(*NOWHERE, *(line.translate(str.maketrans("abd", "efg")) for line in NOWHERE))
    assert () == judge(history(everywhere)).gave_up
    monkeypatch.setattr(cycles, "_PATHS_EACH", 8)
    left = "G-nonadjacent-item: the search among 3 transactions ended at its bound"
    assert (left,) == judge(history(everywhere)).gave_up
    monkeypatch.setattr(cycles, "_PATHS_EACH", 1)
    assert (left.replace("3", "6"),) == judge(history(everywhere)).gave_up


def test_components_that_can_not_be_told_are_searched_each_for_itself() -> None:
    """One has the cycle, the other doesn't."""
    other = [line.translate(str.maketrans("abd", "jkl")) for line in NOWHERE]
    judgement = judge(history(told(*other, *NONADJACENT)))
    assert ["uvpqrst"] == of(judgement, "G-nonadjacent-item")
    assert 6 == judgement.anomalies["G-single-item"]


def test_cycles_that_are_counted_exactly_are_counted_by_component() -> None:
    """Of G0 and G1c, the components that have one; of others, the cycles that were found: at least so many."""
    written = judge(history("a: wx1 wy2 wz2 | b: wx2 wy1 | c: wz1 wx3 | d: wu1 wv2 | e: wu2 wv1"))
    assert ({"G0": 2}, ()) == (written.anomalies, written.at_least)
    read = judge(history("a: wx1 ry1 rz1 | b: rx1 wy1 | c: rx1 wz1"))
    assert ({"G1c": 1}, ()) == (read.anomalies, read.at_least)
    skewed = judge(history("a: rx0 ry1 rz1 rw0 | b: wx1 wy1 | c: ww1 wz1"))
    assert (2, ("G-single-item",)) == (skewed.anomalies["G-single-item"], skewed.at_least)


def test_lesser_variants_are_looked_for_where_greater_ones_are_not() -> None:
    """A component that has a cycle without session order is not told again with it; another one is."""
    text = "a@s: rx0 | b@s: rx0 ry1 | c: wx1 wy1 | d@t: wz1 | e@t: rz0"
    assert {"G-single-item", "G-single-item-process"} <= judge(history(text)).anomalies.keys()
    assert [{"b", "c"}] == [{*each} for each in of(judge(history(text)), "G-single-item")]
    assert [{"d", "e"}] == [{*each} for each in of(judge(history(text)), "G-single-item-process")]


def test_the_shortest_cycles_are_told_first() -> None:
    """Each set of transactions once, however many edges there are between them."""
    text = "a: rx0 rv1 rw0 ru1 | b: wx1 wz1 | c: rz1 wv1 | d: ww1 wu1"
    assert [{"a", "d"}, {"a", "b", "c"}] == [{*each} for each in of(judge(history(text)), "G-single-item")]
    text = "a: rx0 rv1 | b: wx1 wv1 wx2 | c: rx0"
    assert [{"a", "b"}] == [{*each} for each in of(judge(history(text)), "G-single-item")]


def test_a_graph_without_components_has_no_cycles() -> None:
    """There is nothing to search."""
    one = np.zeros(1, dtype=np.int32)
    graph = Graph(
        transaction=np.arange(2, dtype=np.int32),
        nodes=2,
        begin=np.array([0, 1, 1]),
        source=one,
        target=one + 1,
        kind=one.astype(np.int8),
        via=one.astype(np.int64),
    )
    found = cycles.cycles(graph, process=True, realtime=True)
    assert ({}, {}, {}) == (found.found, found.counts, found.gave_up)


def test_a_search_that_is_long_is_made_again_with_the_whole_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a short one didn't find in time, a longer one does."""
    monkeypatch.setattr(compiled, "WORTH_COMPILING", 2**62)
    monkeypatch.setattr(compiled, "WORTH_CALLING", 2**62)
    monkeypatch.setattr(cycles, "_UNCOMPILED", -1)
    expected = {"G-nonadjacent-item": 1, "G-single-item": 4}
    assert expected == judge(history(told(*NONADJACENT))).anomalies
    monkeypatch.setattr(cycles, "_FEW", 0)
    assert expected == judge(history(told(*NONADJACENT))).anomalies


def test_ten_cycles_of_a_component_are_enough() -> None:
    """Beyond, only shorter ones are looked for; ten are told."""
    lines = [f"h -rw-> a{at} -wr-> h" for at in range(15)]
    found = judge(history(told(*lines)))
    assert 10 == found.anomalies["G-single-item"]
    assert 10 == len(of(found, "G-single-item"))


def _double(number: int) -> int:
    return 2 * number


def _kernel(numbers: np.typing.NDArray[np.int64]) -> int:
    total = 0
    for number in numbers:
        total += _double(number)
    return total


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How the kernel was called, in a process without a compiler."""
    made: list[str] = []

    def compile_(kernel: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:  # noqa: ANN401 - any kernel
            made.append("compiled")
            return kernel(*arguments)

        return call

    monkeypatch.setattr(compiled, "compiled", compile_)
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    return made


@pytest.mark.parametrize(
    ("work", "there", "expected"),
    [(59_999, False, []), (60_000, False, ["compiled"]), (2_999, True, []), (3_000, True, ["compiled"])],
)
def test_much_work_is_worth_compiling(
    work: int, expected: list[str], calls: list[str], monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """Less of it where the compiler is there already."""
    if there:
        monkeypatch.setitem(sys.modules, "numba", sys)
    assert 12 == compiled.run(_kernel, work, np.array([1, 2, 3]))
    assert expected == calls


def test_never_compiling_can_be_asked_for(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By one bound: the lower one of the two is held to."""
    monkeypatch.setattr(compiled, "WORTH_COMPILING", 10)
    monkeypatch.setitem(sys.modules, "numba", sys)
    compiled.run(_kernel, 10, np.array([1]))
    assert ["compiled"] == calls
