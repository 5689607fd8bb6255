"""Arrays: the searches that every check is made of, each against what it says in plain Python."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.verifier import arrays

INT64 = np.iinfo(np.int64)
NUMBERS = st.lists(st.integers(-5, 5), max_size=12)
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(-4, 4)), max_size=12)


def numbers(*values: int) -> arrays.Ints:
    """An array of 64-bit integers."""
    return np.array(values, dtype=np.int64)


def columns(pairs: list[tuple[int, int]]) -> tuple[arrays.Ints, arrays.Ints]:
    """Groups and values."""
    return numbers(*(group for group, _ in pairs)), numbers(*(value for _, value in pairs))


def test_integers_stand_for_themselves_and_nulls_for_a_number() -> None:
    """-1 unless another one is given."""
    column = pa.chunked_array([pa.array([3, None], pa.int32()), pa.array([7], pa.int32())])
    assert [3, -1, 7] == arrays.ints(column).tolist()
    assert [3, 9, 7] == arrays.ints(column, null=9).tolist()
    assert np.int64 == arrays.ints(column).dtype


def test_a_null_is_no_flag() -> None:
    """It counts as False."""
    found = arrays.flags(pa.chunked_array([pa.array([True, None, False])]))
    assert [True, False, False] == found.tolist()
    assert np.bool_ == found.dtype


@pytest.mark.parametrize("chunks", [[["a", "b"]], [["a"], ["b"]], []])
def test_texts_come_in_one_piece(chunks: list[list[str]]) -> None:
    """However many pieces they were in."""
    found = arrays.texts(pa.chunked_array(chunks, type=pa.string()))
    assert not isinstance(found, pa.ChunkedArray)
    assert [text for chunk in chunks for text in chunk] == found.to_pylist()


def test_one_piece_is_not_copied() -> None:
    """The texts may be most of a history."""
    piece = pa.array(["a", "b"])
    assert piece.buffers()[2].address == arrays.texts(pa.chunked_array([piece])).buffers()[2].address


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("chunks", [[["a", None, "b"], ["b", "c"]], [["x"]], [[]], []])
def test_codes_stand_for_their_strings(chunks: list[list[str | None]], *, dictionary: bool) -> None:
    """A null's code is -1; pieces share one list of strings."""
    kind = pa.dictionary(pa.int32(), pa.string()) if dictionary else pa.string()
    column = pa.chunked_array([pa.array(chunk, type=kind) for chunk in chunks], type=kind)
    codes, strings = arrays.encoded(column)
    assert np.int64 == codes.dtype
    assert len(set(strings)) == len(strings)
    assert [text for chunk in chunks for text in chunk] == [None if code < 0 else strings[code] for code in codes]


def test_words_are_coded_by_their_places() -> None:
    """Words that nobody knows and nulls are -1."""
    column = pa.chunked_array([pa.array(["fail", "ok", None, "perhaps", "ok"])])
    assert [1, 0, -1, -1, 0] == arrays.coded(column, ("ok", "fail")).tolist()


@given(known=st.sets(st.integers(-5, 5)), wanted=NUMBERS)
@settings(max_examples=50, deadline=None)
def test_numbers_are_located_where_they_are(known: set[int], wanted: list[int]) -> None:
    """And at -1 where they are not."""
    places = {number: place for place, number in enumerate(sorted(known))}
    found = arrays.locate(numbers(*sorted(known)), numbers(*wanted))
    assert [places.get(number, -1) for number in wanted] == found.tolist()


def test_a_located_number_has_the_place_of_its_first() -> None:
    """Where it is there twice."""
    assert [1, -1, 3] == arrays.locate(numbers(1, 4, 4, 9), numbers(4, 5, 9)).tolist()


def test_values_at_places() -> None:
    """Place -1 stands for what is absent."""
    assert [30, -1, 10] == arrays.at(numbers(10, 20, 30), numbers(2, -1, 0)).tolist()
    assert [30, 5] == arrays.at(numbers(10, 20, 30), numbers(2, -1), 5).tolist()
    assert [True, False, False] == arrays.holds(np.array([True, False]), numbers(0, 1, -1)).tolist()
    assert np.bool_ == arrays.holds(np.array([True, False]), numbers(0)).dtype


@given(known=PAIRS, wanted=PAIRS)
@settings(max_examples=100, deadline=None)
def test_pairs_are_searched_in_their_order(known: list[tuple[int, int]], wanted: list[tuple[int, int]]) -> None:
    """As many places as there are pairs below, or on the right side not above."""
    known.sort()
    found = [arrays.search(*columns(known), *columns(wanted), right=right).tolist() for right in (False, True)]
    below = [sum(pair < each for pair in known) for each in wanted]
    not_above = [sum(pair <= each for pair in known) for each in wanted]
    assert [below, not_above] == found
    assert below == arrays.search(*columns(known), *columns(wanted)).tolist()


def test_the_greatest_value_of_a_group_is_below_the_least_of_the_next() -> None:
    """However few values there are."""
    assert [1] == arrays.search(numbers(0), numbers(5), numbers(1), numbers(0)).tolist()
    assert [0] == arrays.search(numbers(1), numbers(0), numbers(0), numbers(5)).tolist()


@given(pairs=PAIRS)
@settings(max_examples=100, deadline=None)
def test_values_rise_within_their_groups(pairs: list[tuple[int, int]]) -> None:
    """Each becomes the greatest of its group so far."""
    pairs.sort(key=lambda pair: pair[0])
    expected = [max(other for of, other in pairs[: place + 1] if of == group) for place, (group, _) in enumerate(pairs)]
    assert expected == arrays.rising(*columns(pairs)).tolist()


@given(values=NUMBERS, ranges=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_the_lowest_of_each_range(values: list[int], ranges: list[tuple[int, int]]) -> None:
    """The greatest number of all where a range is empty."""
    some = [(min(first, len(values)), min(after, len(values))) for first, after in ranges]
    expected = [min(values[first:after], default=INT64.max) for first, after in some]
    first, after = columns(some)
    assert expected == arrays.lowest(numbers(*values), first, after).tolist()


@given(members=st.lists(st.tuples(st.integers(-1, 3), st.booleans()), max_size=12))
@settings(max_examples=50, deadline=None)
def test_chosen_members_are_counted_by_group(members: list[tuple[int, bool]]) -> None:
    """A member of no group counts nowhere."""
    expected = [sum(chosen for of, chosen in members if of == group) for group in range(4)]
    groups = numbers(*(group for group, _ in members))
    chosen = np.array([flag for _, flag in members], dtype=np.bool_)
    assert expected == arrays.per(groups, chosen, 4).tolist()


@given(rows=st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_combinations_are_numbered(rows: list[tuple[int, int, int]]) -> None:
    """Two places have the same number where all their columns agree; numbers are dense and rise with the columns."""
    found = arrays.pairs(*(numbers(*column) for column in zip(*rows, strict=True))).tolist()
    order = {row: place for place, row in enumerate(sorted(set(rows)))}
    assert [order[row] for row in rows] == found


def test_a_single_column_is_numbered_by_its_values() -> None:
    """Dense and rising."""
    assert [1, 0, 1, 2] == arrays.pairs(numbers(5, -3, 5, 9)).tolist()


def test_documents_are_decoded_in_the_order_asked_for() -> None:
    """None stands for a null, and batches leave no trace."""
    texts = pa.array([f"[{number}]" for number in range(10_000)] + [None])
    places = np.arange(10_000, -1, -1)
    assert [None, *([number] for number in range(9_999, -1, -1))] == list(arrays.documents(texts, places))
