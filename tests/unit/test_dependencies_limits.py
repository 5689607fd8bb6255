"""What readers found, what was looked for and what was not is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.history.transactions import PREDICATES, Found
from orchestrator.verifier.dependencies import judge
from orchestrator.verifier.verdict import Value
from tests.unit.tiny import history


def test_what_a_reader_found_is_told_as_it_says() -> None:
    """With the row where there is one, and counted by the reader where it found more."""
    one = Found(anomaly="incompatible-order", transactions=(1, 0), row=0, sentence="T1 and T2 read lists.")
    other = Found(anomaly="duplicate-elements", transactions=(0,), row=-1, sentence="T1 read one twice.")
    told = replace(history("a: rx0 | b: rx0"), found=(one, other), counts={"incompatible-order": 7})
    judgement = judge(told)
    assert {"incompatible-order": 7, "duplicate-elements": 1} == judgement.anomalies
    stories = {w.anomaly: (w.sentence, w.row, w.history) for w in judgement.witnesses}
    assert {
        "incompatible-order": ("T1 and T2 read lists. T1 is b; T2 is a.", "x", ()),
        "duplicate-elements": ("T1 read one twice. T1 is a.", None, ()),
    } == stories
    assert () == judgement.at_least


@pytest.mark.parametrize(
    ("text", "certificate"),
    [
        (
            "a: wx1 rx0",
            "0 dependencies among 1 committed transaction tested against an order of the history: all lead forward",
        ),
        (
            "a[0,1]: wx1 | b[2,3]: rx1 wx2",
            "2 dependencies among 2 committed transactions tested against an order of completion: all lead forward",
        ),
    ],
)
def test_why_there_is_no_cycle_is_told(text: str, certificate: str) -> None:
    """Dependencies tested, and the order that they were tested against."""
    assert f"{certificate}, so there is no cycle" == judge(history(text)).certificate


@pytest.mark.parametrize(
    ("text", "certificate"),
    [
        (
            "a: rx0 ry1 | b: wx1 wy1 | c: rx1",
            "1 leads backward, so cycles were searched among 2 transactions around them; cycles found",
        ),
        (
            "a: rx0 ry1 | b: wx1 wy1 | c: rv0 rw1 | d: wv1 ww1",
            "2 lead backward, so cycles were searched among 4 transactions around them; cycles found",
        ),
    ],
)
def test_where_cycles_were_searched_is_told(text: str, certificate: str) -> None:
    """Among those around dependencies that lead backward."""
    assert certificate == judge(history(text)).certificate.partition("the history: ")[2]


def test_what_was_looked_for_is_told() -> None:
    """Cycles in the variants that there are orders for, what needs no graph, session guarantees; and what was not."""
    cycles = ["G0", "G1c", "G-single-item", "G-nonadjacent-item", "G2-item"]
    direct = [
        *("duplicate-version", "version-gap", "dirty-update", "lost-update", "G1a", "G1b", "garbage-read", "internal"),
        "future-read",
    ]
    sessions = [
        *("monotonic-reads-violation", "read-your-writes-violation"),
        *("writes-follow-reads-violation", "monotonic-writes-violation"),
    ]
    missing = "G2 and others by predicates: no predicate reads recorded"
    plain = judge(history("a: rx0"))
    assert (*cycles, *direct) == plain.checked
    assert ("process: no sessions recorded", "realtime: no times recorded", missing) == plain.not_checked
    assert {} == plain.sessions
    full = judge(history("a@s[0,1]: rx0"))
    variants = [name + suffix for suffix in ("", "-process", "-realtime") for name in cycles]
    assert (*variants, *direct, *sessions) == full.checked
    assert (missing,) == full.not_checked
    guarantees = ["monotonic-reads", "read-your-writes", "writes-follow-reads", "monotonic-writes"]
    assert dict.fromkeys(guarantees, 0) == full.sessions
    predicates = judge(history("a: wx1 | b: rx1 | a -predicate-rw:x-> b"))
    assert (*cycles, "G-single", "G-nonadjacent", "G2", *direct) == predicates.checked
    assert ("process: no sessions recorded", "realtime: no times recorded") == predicates.not_checked


def test_what_a_reader_could_not_show_is_told_with_its_reason() -> None:
    """And is not called looked for; an order that it leaves out counts as not recorded."""
    told = replace(
        history("a@s[0,1]: wx1 | b@s[2,3]: rx0"),
        not_checked={"G1b": "lists hide it", "realtime": "no clock", "process": "no order"},
        checked=frozenset(("internal", "duplicate-elements", "something")),
    )
    judgement = judge(told)
    missing = "G2 and others by predicates: no predicate reads recorded"
    assert ("G1b: lists hide it", "realtime: no clock", "process: no order", missing) == judgement.not_checked
    assert "G1b" not in judgement.checked
    assert "duplicate-elements" == judgement.checked[-1]
    assert {} == judgement.anomalies
    assert Value.VALID is judgement.value
    lacking = judge(replace(told, not_checked={PREDICATES: "too many"}))
    assert (f"{PREDICATES}: too many",) == lacking.not_checked
    assert Value.INVALID is lacking.value


def test_only_what_committed_is_counted() -> None:
    """Transactions, and their micro-operations; unknown ones once somebody saw them."""
    judgement = judge(history("a: wx1 ry0 | b!: wy1 | c?: wx2 wz1 | d?: wz2 | e: rx2"))
    assert (3, 5) == (judgement.transactions, judgement.operations)
