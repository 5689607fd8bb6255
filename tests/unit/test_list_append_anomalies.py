"""Anomalies that lists show by themselves, as Elle defines them: what counts, how often, and how it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.lists import told

if TYPE_CHECKING:
    from pathlib import Path

STORIES = [
    (
        "internal",
        "0= ax1 | 1= ax2 ax3 | 2= rx1 ax4 rx123",
        (2,),
        'T1 read key "x" as [1 2 3], but had itself appended 4 after reading [1].',
    ),
    ("internal", "0= ax1 | 1= ax2 rx1", (1,), 'T1 read key "x" as [1], though it had itself appended 2 before.'),
    (
        "internal",
        "0= ax1 | 1= ax2 ax3 rx12",
        (1,),
        'T1 read key "x" as [1 2], though it had itself appended 2 and 3 before.',
    ),
    ("internal", "0= ax1 | 1= rx rx1", (1,), 'T1 read key "x" as [1], though it had itself read it as [] before.'),
    ("future-read", "0= rx1 ax1", (0,), 'T1 read key "x" as [1], though it appended 1 only afterwards.'),
    (
        "G1a",
        "0> ax1 | 0- ax1 | 1= ax2 | 2= rx21",
        (2, 0),
        'T1 read key "x" as [2 1], with 1, which T2 appended, and T2 failed.',
    ),
    (
        "G1b",
        "0= ax1 ay1 ax2 | 1= rx1",
        (1, 0),
        'T1 read key "x" as [1], which ends with 1 of T2, but T2 appended 2 to it as well.',
    ),
    (
        "dirty-update",
        "0> ax1 | 0- ax1 | 1= ax2 | 2= rx12",
        (0, 1),
        'T1 failed, but what it appended to key "x", 1, stayed, and T2 appended 2 after it.',
    ),
    (
        "lost-update",
        "0= rx ax1 | 1= rx ax2 | 2= rx1",
        (0, 1),
        'T1 read key "x" as [] and appended 1; T2 read the same list and appended 2: neither saw the other\'s.',
    ),
    (
        "incompatible-order",
        "0= ax1 ax2 | 1= rx1 | 2= rx21 | 3= rx12",
        (1, 2),
        'T1 read key "x" as [1], but T2 read it as [2 1]: no order of appends allows both.',
    ),
    (
        "duplicate-elements",
        "0= ax1 ax2 | 1= rx121",
        (1,),
        'T1 read key "x" as [1 2 1], with 1 more than once, though it was appended once at most.',
    ),
    ("garbage-read", "0= ax1 | 1= rx12", (1,), 'T1 read key "x" as [1 2], with 2, which nobody appended.'),
]


@pytest.mark.parametrize(("anomaly", "text", "transactions", "sentence"), STORIES)
def test_an_anomaly_is_told_in_words(
    tmp_path: Path, anomaly: str, text: str, transactions: tuple[int, ...], sentence: str
) -> None:
    """The sentence names the transactions in the order in which they are given."""
    history = told(tmp_path, text)
    (found,) = [some for some in history.found if some.anomaly == anomaly]
    assert (found.transactions, found.row, found.sentence) == (transactions, 0, sentence)
    assert history.counts[anomaly] == 1
    assert anomaly in history.checked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0= ax1 rx1 ax2 rx12 | 1= rx12 ax3 rx123 rx123", {}),
        ("0= ax1 | 1= ax2 rx12 ax3 rx123", {}),
        # Appends need not stand next to what others appended in between, as long as they stand at the end.
        ("0= ax1 | 1= ax2 rx2 | 2= rx2", {}),
        # A read of the transaction's own intermediate append is none of another's.
        ("0= ax1 rx1 ax2", {}),
        # An unknown transaction may have committed.
        ("0> ax1 | 0? ax1 | 1= rx1", {}),
        # A lost update needs two that appended to the same list, read before their first append.
        ("0= rx ax1 | 1= rx1 ax2 | 2= rx12 | 3= rx", {}),
        ("0= rx ax1 | 1= ax2 rx2", {}),
        # Two failures in a row make one dirty update; an unknown one between doesn't hide it.
        ("0> ax1 | 0- ax1 | 1> ax2 | 1- ax2 | 2= ax3 | 3= rx123", {"G1a": 1, "dirty-update": 1}),
        ("0> ax1 | 0- ax1 | 1> ax2 | 1? ax2 | 2= ax3 | 3= rx123", {"G1a": 1, "dirty-update": 1}),
        ("0> ax1 | 0- ax1 | 1> ax2 | 1? ax2 | 3= rx12", {"G1a": 1}),
        ("0= ax1 | 1> ax2 | 1- ax2 | 3= rx12", {"G1a": 1}),
        ("0= ax1 | 1> ay2 | 1- ay2 | 3= rx1 ry2", {"G1a": 1}),
    ],
)
def test_what_is_no_anomaly(tmp_path: Path, text: str, expected: dict[str, int]) -> None:
    """Nothing more is found than there is."""
    assert told(tmp_path, text).counts == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A transaction counts once, however much of it is broken.
        ("0= ax1 rx rx2 | 1= ax3 rx", {"internal": 2, "garbage-read": 1}),
        ("0= rx12 ax1 ax2 ax3", {"future-read": 1}),
        # Of each aborted element a read shows, the read counts once; a read each counts.
        ("0> ax1 ax2 | 0- ax1 ax2 | 1= rx12 | 2= rx12 rx12", {"G1a": 3}),
        # A key counts once.
        (
            "0= ax1 | 0= ax2 | 0= ay1 | 0= ay2 | 1= rx12 ry12 | 1= rx21 ry21 | 2= rx12 | 2= rx2",
            {"incompatible-order": 2},
        ),
        ("0= ax1 | 0= ax2 | 1= rx1212 | 2= rx12 | 3= rx121", {"duplicate-elements": 2}),
        # All but one of those who overwrote the same list.
        ("0= rx ax1 | 1= rx ax2 | 2= rx ax3 | 3= rx", {"lost-update": 2}),
    ],
)
def test_how_often_an_anomaly_counts(tmp_path: Path, text: str, expected: dict[str, int]) -> None:
    """By transactions, reads, keys or places in an order, each anomaly by its own measure."""
    assert told(tmp_path, text).counts == expected


def test_updates_of_a_list_off_the_order_are_lost_too(tmp_path: Path) -> None:
    """Lists are compared, not versions: both read a list that the longest one contradicts."""
    text = "0= ax1 ay1 | 1= ax2 ay1 | 0= ax3 | 2= rx12 | 3= rx3 ax4 | 4= rx3 ax5".replace(" ay1", "")
    assert told(tmp_path, text).counts["lost-update"] == 1


def test_equal_lists_are_one_however_they_were_folded_together(tmp_path: Path) -> None:
    """[1] begins both of two lists that contradict each other."""
    text = "0= ax1 | 0= ax2 | 0= ax3 | 5= rx12 | 1= rx1 ax4 | 5= rx13 | 5= rx132 | 2= rx1 ax5"
    assert told(tmp_path, text).counts == {"lost-update": 1, "incompatible-order": 1}


def test_only_the_first_cases_are_kept(tmp_path: Path) -> None:
    """All are counted."""
    history = told(tmp_path, "0> ax1 | 0- ax1 | " + " | ".join(["1= rx1"] * 30))
    assert history.counts == {"G1a": 30}
    assert [found.transactions for found in history.found] == [(reader, 0) for reader in range(1, 11)]


def test_a_long_list_is_told_by_its_ends(tmp_path: Path) -> None:
    """With its length, so that a sentence stays one."""
    history = told(tmp_path, f"0= rx{'12345678' * 3}")
    garbage = next(found for found in history.found if found.anomaly == "garbage-read")
    expected = 'T1 read key "x" as [1 2 3 4 5 6 … 3 4 5 6 7 8] (24 elements), with 1, which nobody appended.'
    assert garbage.sentence == expected
