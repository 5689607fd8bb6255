"""What a judgement tells: each anomaly's smallest example with its whole sentence, steps and smallest history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.verifier.dependencies import judge
from orchestrator.verifier.verdict import Participant, Step
from tests.unit.tiny import history

if TYPE_CHECKING:
    from orchestrator.verifier.verdict import Witness

INITIAL = "version 0 (the initial state)"

#: A history, the anomaly, the sentence without its end, and the row.
CASES = [
    (
        "a: rx0 wx2 | b: rx0 wx1",
        "lost-update",
        f"T1 and T2 both read x at {INITIAL}, and both overwrote it: whichever wrote first, its update is lost.",
        "T1 is a; T2 is b.",
    ),
    (
        "a: wx1 | b: rx1 wx2 | c: rx1 wx3",
        "lost-update",
        "T1 and T2 both read x at version 1, and both overwrote it: whichever wrote first, its update is lost.",
        "T1 is b; T2 is c.",
    ),
    (
        "c: ry0 | a!: wy1 wx1 | b: rx1",
        "G1a",
        "T1 read x at version 1, which T2 wrote; but T2 was aborted.",
        "T1 is b; T2 is a.",
    ),
    (
        "a: wx1 wy1 wx2 | b: rx1",
        "G1b",
        "T1 read x at version 1, which T2 wrote, but not as its last word: T2 wrote x again.",
        "T1 is b; T2 is a.",
    ),
    (
        "d: wx2 | a: wx1 | b: wx1 | c: wx1",
        "duplicate-version",
        "T1 and T2 both installed version 1 of x: each overwrote the one before.",
        "T1 is a; T2 is b.",
    ),
    (
        "b: wy1 | a: wy2 wx3",
        "version-gap",
        "T1 installed version 3 of x, but nobody installed version 1.",
        "T1 is a.",
    ),
    ("b: wx1 | a: rx5", "garbage-read", "T1 read x at version 5, which nobody wrote.", "T1 is a."),
    (
        "c: wy1 | a!: wy1 wx1 | b: wx2",
        "dirty-update",
        "T1 installed version 1 of x and was aborted; but T2 overwrote it and committed.",
        "T1 is a; T2 is b.",
    ),
    (
        "b: wy1 | a: rx0 wx1 ry1 rx0",
        "internal",
        f"T1 wrote x at version 1, and then read it at {INITIAL}.",
        "T1 is a.",
    ),
    (
        "b: wx1 | a: rx0 ry0 rx1",
        "internal",
        f"T1 read x at {INITIAL}, and then read it at version 1.",
        "T1 is a.",
    ),
    (
        "b: wy1 | a: rx1 wy2 wx1",
        "future-read",
        "T1 read x at version 1, which it wrote itself, but only later.",
        "T1 is a.",
    ),
    (
        "c: wx1 | a@s: rx1 | b@s: rx0",
        "monotonic-reads-violation",
        f"T1 read x at version 1; later in the same session T2 read it at {INITIAL}, which is older.",
        "T1 is a; T2 is b.",
    ),
    (
        "a@s: wx1 | b@s: rx0",
        "read-your-writes-violation",
        f"T1 wrote x at version 1; later in the same session T2 read it at {INITIAL}, which is older.",
        "T1 is a; T2 is b.",
    ),
    (
        "a@s: wx2 | b@s: wx1",
        "monotonic-writes-violation",
        "T1 wrote x at version 2; later in the same session T2 wrote it at version 1, which is older.",
        "T1 is a; T2 is b.",
    ),
    (
        "c: wx2 | a@s: rx2 | b@s: wx1",
        "writes-follow-reads-violation",
        "T1 read x at version 2; later in the same session T2 wrote it at version 1, which is older.",
        "T1 is a; T2 is b.",
    ),
]


def witnesses(text: str, anomaly: str) -> list[Witness]:
    """Those of the anomaly."""
    return [witness for witness in judge(history(text)).witnesses if witness.anomaly == anomaly]


@pytest.mark.parametrize(("text", "anomaly", "sentence", "who"), CASES)
def test_what_needs_no_graph_is_told_in_one_sentence(text: str, anomaly: str, sentence: str, who: str) -> None:
    """What was done to which row, and who did it."""
    (witness, *_) = witnesses(text, anomaly)
    assert f"{sentence} {who}" == witness.sentence
    assert ("x", (), "") == (witness.row, witness.steps, witness.contradiction)
    labels = [part.split(" is ")[1] for part in who.removesuffix(".").split("; ")]
    numbers = [next(at for at, item in enumerate(text.split("|")) if item.split()[0][0] == each) for each in labels]
    expected = tuple(Participant(number=number, name=name) for number, name in zip(numbers, labels, strict=True))
    assert expected == witness.transactions


#: A history, the anomaly, and its steps: kind, row, versions, and the sentence.
CYCLES = [
    (
        "a: wx1 wy2 | b: wx2 wy1",
        "G0",
        [
            ("ww", "x", 1, 2, "T1 wrote x at version 1, which T2 overwrote with version 2, so T1 < T2"),
            ("ww", "y", 1, 2, "T2 wrote y at version 1, which T1 overwrote with version 2, so T2 < T1"),
        ],
        "ab",
    ),
    (
        "a: wx1 ry1 | b: wy1 rx1",
        "G1c",
        [
            ("wr", "x", 1, 1, "T2 read x at version 1, which T1 wrote, so T1 < T2"),
            ("wr", "y", 1, 1, "T1 read y at version 1, which T2 wrote, so T2 < T1"),
        ],
        "ab",
    ),
    (
        "a: rx0 ry1 | b: wx1 wy1",
        "G-single-item",
        [
            ("rw", "x", 0, 1, f"T1 read x at {INITIAL}, which T2 overwrote with version 1, so T1 < T2"),
            ("wr", "y", 1, 1, "T1 read y at version 1, which T2 wrote, so T2 < T1"),
        ],
        "ab",
    ),
    (
        "b: wx1 | a: rx0 ry1 | c: wy1 rx1",
        "G-single-item",
        [
            ("rw", "x", 0, 1, f"T1 read x at {INITIAL}, which T2 overwrote with version 1, so T1 < T2"),
            ("wr", "x", 1, 1, "T3 read x at version 1, which T2 wrote, so T2 < T3"),
            ("wr", "y", 1, 1, "T1 read y at version 1, which T3 wrote, so T3 < T1"),
        ],
        "abc",
    ),
    (
        "a: rx0 ry0 wx1 | b: rx0 ry0 wy1",
        "G2-item",
        [
            ("rw", "y", 0, 1, f"T1 read y at {INITIAL}, which T2 overwrote with version 1, so T1 < T2"),
            ("rw", "x", 0, 1, f"T2 read x at {INITIAL}, which T1 overwrote with version 1, so T2 < T1"),
        ],
        "ab",
    ),
    (
        "a: rx0 ry1 | b: wz1 wy1 | a -predicate-rw:z-> b",
        "G-single",
        [
            (
                *("predicate-rw", "z", None, None),
                "T1 looked for rows by a condition, before T2 changed whether it finds z, so T1 < T2",
            ),
            ("wr", "y", 1, 1, "T1 read y at version 1, which T2 wrote, so T2 < T1"),
        ],
        "ab",
    ),
    (
        "a: ry1 | b: wy1 | a -ww:z-> b",
        "G1c",
        [
            ("wr", "y", 1, 1, "T2 read y at version 1, which T1 wrote, so T1 < T2"),
            (
                *("ww", "z", None, None),
                "T2 wrote the end of the longest list that was read of z, which lacks what T1 wrote, so T2 < T1",
            ),
        ],
        "ba",
    ),
    (
        "a: ry1 | b: wy1 | a -wr:z-> b",
        "G1c",
        [
            ("wr", "z", None, None, "T2 read what T1 wrote of z, so T1 < T2"),
            ("wr", "y", 1, 1, "T1 read y at version 1, which T2 wrote, so T2 < T1"),
        ],
        "ab",
    ),
    (
        "a: ry1 | b: wy1 | a -rw:z-> b",
        "G-single-item",
        [
            (
                *("rw", "z", None, None),
                "T1 read the longest list that was read of z, which lacks what T2 wrote, so T1 < T2",
            ),
            ("wr", "y", 1, 1, "T1 read y at version 1, which T2 wrote, so T2 < T1"),
        ],
        "ab",
    ),
    (
        "a[0,1]: wx1 | b[2,3]: rx0",
        "G-single-item-realtime",
        [
            ("rw", "x", 0, 1, f"T1 read x at {INITIAL}, which T2 overwrote with version 1, so T1 < T2"),
            ("realtime", None, None, None, "T2 had completed before T1 began, so T2 < T1"),
        ],
        "ba",
    ),
    (
        "a@s: wx1 | b@s: rx0",
        "G-single-item-process",
        [
            ("rw", "x", 0, 1, f"T1 read x at {INITIAL}, which T2 overwrote with version 1, so T1 < T2"),
            ("process", None, None, None, "T2 came before T1 in its session, so T2 < T1"),
        ],
        "ba",
    ),
]


@pytest.mark.parametrize(("text", "anomaly", "told", "members"), CYCLES)
def test_a_cycle_is_told_step_by_step(text: str, anomaly: str, told: list[tuple[Any, ...]], members: str) -> None:
    """Why each comes before the next, and that they can't all."""
    (witness,) = witnesses(text, anomaly)
    steps = tuple(
        Step(
            kind=kind,
            source=at,
            target=(at + 1) % len(told),
            row=row,
            before=before,
            after=after,
            sentence=sentence,
        )
        for at, (kind, row, before, after, sentence) in enumerate(told)
    )
    assert steps == witness.steps
    line = " < ".join(f"T{at}" for at in (*range(1, len(told) + 1), 1))
    contradiction = f"{line}: no transaction comes before itself"
    who = "; ".join(f"T{at} is {label}" for at, label in enumerate(members, start=1))
    whole = "; ".join(sentence for *_, sentence in told)
    assert contradiction == witness.contradiction
    assert f"{whole}. But then {contradiction}. {who}." == witness.sentence
    assert list(members) == [each.name for each in witness.transactions]


@pytest.mark.parametrize(
    ("text", "row"), [("a: rx0 wx2 | b: wx1", "x"), ("a: rx0 ry1 | b: wx1 wy1", None), ("a@s: wx1 | b@s: rx0", None)]
)
def test_a_cycle_on_one_row_names_it(text: str, row: str | None) -> None:
    """One on several, or with an order that no row shows, doesn't."""
    assert [row] == [w.row for w in judge(history(text)).witnesses if w.anomaly.startswith("G-single-item")]


@pytest.mark.parametrize(
    "text",
    [
        "a: wx1 | b: wy1 | c: rx1 ry0 | d: rx0 ry1",
        "d: rx0 ry1 | c: rx1 ry0 | b: wy1 | a: wx1",
    ],
)
def test_a_long_fork_is_called_so(text: str) -> None:
    """Two readers see two writes in opposite orders."""
    (witness,) = witnesses(text, "G-nonadjacent-item")
    assert witness.sentence.startswith("A long fork: T1 read ")
    assert ["rw", "wr"] * 2 == [step.kind for step in witness.steps]


def test_a_cycle_of_other_edges_is_no_long_fork() -> None:
    """Its name is told for what the literature means by it."""
    (witness,) = witnesses("a: rx0 rz1 | b: wx1 wy1 | c: wy2 rv0 | d: wv1 wz1", "G-nonadjacent-item")
    assert ["rw", "ww", "rw", "wr"] == [step.kind for step in witness.steps]
    assert witness.sentence.startswith("T1 read ")


def line(txn: str, op: str | None, key: str | None, version: int | None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A line of the plain form."""
    return dict(sorted({"txn": txn, "op": op, "key": key, "version": version, "outcome": "ok", **more}.items()))


@pytest.mark.parametrize(
    ("text", "anomaly", "lines"),
    [
        (
            "c: ry0 | a: wx1 wy2 wz1 | b: wx2 wy1 rz1",
            "G0",
            [line("T1", "w", "x", 1), line("T1", "w", "y", 2), line("T2", "w", "x", 2), line("T2", "w", "y", 1)],
        ),
        (
            "a: wx1 wx2 wx3 | b: rx2 rz0",
            "G1b",
            [line("T2", "w", "x", 1), line("T2", "w", "x", 2), line("T1", "r", "x", 1)],
        ),
        (
            "a!: wx3 | b: rx3",
            "G1a",
            [line("T2", "w", "x", 1, outcome="fail"), line("T1", "r", "x", 1)],
        ),
        ("b: wx7", "version-gap", [line("T1", "w", "x", 7)]),
        ("b: rx7", "garbage-read", [line("T1", "r", "x", 1)]),
        (
            "a[0,1]: wx1 wy1 | b[2,]: rx0",
            "G-single-item-realtime",
            [
                line("T2", "w", "x", 1, start=0, end=1),
                line("T1", "r", "x", 0, start=2, end=None),
            ],
        ),
        (
            "a@p: wz1 | b@s: wx1 wy1 | c@s: rx0",
            "G-single-item-process",
            [line("T2", "w", "x", 1, session=1), line("T1", "r", "x", 0, session=1)],
        ),
        (
            "u?: wx1 | a: wx2 wy1 | b: ry1 rx1",
            "G-single-item",
            [
                line("T1", "r", "y", 1),
                line("T1", "r", "x", 0),
                line("T2", "w", "x", 1),
                line("T2", "w", "y", 1),
            ],
        ),
    ],
)
def test_the_smallest_history_shows_it_again(text: str, anomaly: str, lines: list[dict[str, Any]]) -> None:
    """With the micro-operations that are needed, versions counted anew, and nothing else."""
    (witness, *_) = witnesses(text, anomaly)
    assert sorted(lines, key=str) == sorted((dict(sorted(each.items())) for each in witness.history), key=str)


def test_a_cycle_by_edges_that_versions_do_not_show_has_no_small_history() -> None:
    """The plain form can't tell of them."""
    (witness,) = witnesses("a: rx0 ry1 | b: wz1 wy1 | a -predicate-rw:z-> b", "G-single")
    assert () == witness.history
