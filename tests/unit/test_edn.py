"""EDN is read as the package edn_format reads it, in pieces as well as whole, and what is no EDN is said."""

from __future__ import annotations

import math
import time
from decimal import Decimal
from typing import Any

import edn_format
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.history import edn
from orchestrator.history.edn import EdnError, Keyword, Reader, Symbol, values, written

NAMES = st.from_regex(r"[a-z*!_?$%&=<>][a-z0-9*!_?$%&=<>.+-]{0,6}(/[a-z][a-z0-9-]{0,4})?", fullmatch=True).filter(
    lambda name: name not in {"nil", "true", "false"}
)
BLANKS = st.sampled_from([" ", ", ", "\n", "\t", ' ; said } " (\n', " #_ gone ", " #_[1 #_ 2 {}] ", " #_ #_ 1 2 "])
STRINGS = st.text(st.sampled_from('ab"\\\n\t}]; é☃')).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'
)
ATOMS = st.one_of(
    st.sampled_from(
        ["nil", "true", "false", "-0", "+7", "1e3", "-1.5E-3", "2.50M", "\\a", "\\newline", "\\space", "\\u00e9"]
    ),
    st.integers().map(str),
    st.integers().map("{}N".format),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    NAMES,
    NAMES.map(":{}".format),
    STRINGS,
)


@st.composite
def vectors(draw: st.DrawFn, element: st.SearchStrategy[str]) -> str:
    """Elements in brackets, with blanks of all kinds between them."""
    brackets = draw(st.sampled_from(["[]", "()"]))
    elements = draw(st.lists(element, max_size=5))
    return brackets[0] + "".join(draw(BLANKS) + word for word in elements) + draw(BLANKS) + brackets[1]


@st.composite
def mappings(draw: st.DrawFn, element: st.SearchStrategy[str]) -> str:
    """Maps and sets with different keys, which need not be simple."""
    keys = draw(st.lists(st.integers(), max_size=4, unique=True))
    around = draw(st.sampled_from(["{}", "[{}]", ":k{}", '"{}"', "({} {})"]))
    written = [around.replace("{}", str(key)) for key in keys]
    if draw(st.booleans()):
        return "#{" + " ".join(written) + "}"
    return "{" + ", ".join(f"{key}{draw(BLANKS)}{draw(element)}" for key in written) + "}"


TEXTS = st.recursive(ATOMS, lambda inner: st.one_of(vectors(inner), mappings(inner)), max_leaves=20)


def plain(value: Any) -> Any:  # noqa: ANN401 (any value)
    """A value in types that both readers can be told in."""
    match value:
        case edn_format.Keyword() | Keyword() | edn_format.Symbol() | Symbol():
            return type(value).__name__, str(value)
        case list() | tuple() | edn_format.ImmutableList():
            return tuple(map(plain, value))
        case dict() | edn_format.ImmutableDict():
            return "map", frozenset((plain(key), plain(held)) for key, held in value.items())
        case frozenset():
            return "set", frozenset(map(plain, value))
        case _:
            return type(value).__name__.replace("Char", "str"), str(value)


@settings(deadline=None)
@given(TEXTS)
def test_a_value_reads_as_edn_format_reads_it(text: str) -> None:
    """Of every kind that a history may hold, with comments and discarded values between."""
    (value,) = values(text)
    assert plain(edn_format.loads(text)) == plain(value)


@settings(deadline=None)
@given(TEXTS)
def test_what_is_written_reads_as_it_was(text: str) -> None:
    """But for decimals, which are written as floats are, and lists that are keys."""
    first = values(text)
    again = values(" ".join(map(written, first)))
    assert values(" ".join(map(written, again))) == again
    assert len(first) == len(again)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=4), st.lists(BLANKS, min_size=5, max_size=5))
def test_many_values_read_as_one_by_one(texts: list[str], blanks: list[str]) -> None:
    """A file of EDN holds values one after another."""
    whole = "".join(f"{blank}{text}" for blank, text in zip(blanks, texts, strict=False))
    expected = [plain(values(text)[0]) for text in texts]
    assert expected == [plain(value) for value in values(f"{whole}\n")]


@settings(deadline=None)
@given(TEXTS, st.booleans())
def test_lines_read_as_the_whole_text(text: str, unwrap: bool) -> None:  # noqa: FBT001 (hypothesis gives it)
    """A value, even a string, may go on in the next line."""
    reader = Reader(unwrap=unwrap)
    inside = f"[{text} {text}\n]"
    found = [value for line in inside.splitlines(keepends=True) for value in reader.feed(line)]
    reader.close()
    (expected,) = values(inside)
    assert (expected if unwrap else [expected]) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" ,\n; nothing", []),
        ('#jepsen.history.Op{:type :ok} #inst "2020" #my/tag #other [1]', [{":type": ":ok"}, "2020", [1]]),
        ("##Inf ##-Inf", [math.inf, -math.inf]),
        ("1.5M 3M", [Decimal("1.5"), Decimal(3)]),
        ("[0 10 ,200]", [[0, 10, 200]]),
        ('"\\ud83d\\ude00 \\101"', ["\N{GRINNING FACE} A"]),
        ("{[1] 2, {3 4} 5, #{6} 7}", [{(1,): 2, frozenset({(3, 4)}): 5, frozenset({6}): 7}]),
        ("/ + - -a .b a/b :/", ["/", "+", "-", "-a", ".b", "a/b", ":/"]),
        (":1 :a.b/c", [":1", ":a.b/c"]),
        ('a"b"c', ["a", "b", "c"]),
        ("#_a #_ #_ b c d", ["d"]),
        ("{#_ :a :b 1 #_ 2}", [{":b": 1}]),
        ('"two\nlines"', ["two\nlines"]),
    ],
)
def test_what_values_become(text: str, expected: list[Any]) -> None:
    """Python's own where there are any; tags are dropped."""
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{:a", "a map isn't closed"),
        ("[1 (2", "a list isn't closed"),
        ("[1 2", "a vector isn't closed"),
        ("#{1", "a set isn't closed"),
        ('"abc\\"', "a string isn't closed"),
        ("}", "} closes nothing"),
        ("(1]", "a list is closed by ]"),
        ("{:a}", "a map has a key without a value"),
        ("{1 2 1 3}", "a map has one key twice"),
        ("#{1 1}", "a set has one element twice"),
        ("#_", "#_ stands before nothing"),
        ("[#_]", "#_ stands before nothing"),
        ("01", '"01" is no value'),
        ("[01]", '"01" is no value'),
        ("1a", '"1a" is no value'),
        ("@a", '"@a" is no value'),
        ("'a", '"\'a" is no value'),
        ("-1x", '"-1x" is no value'),
        (":", '":" is no keyword'),
        ("::a", '"::a" is no keyword'),
        ("#", '"#" is no tag'),
        ("#1", '"#1" is no tag'),
        ("##Nil", '"##Nil" is no value'),
        ("\\foo", '"\\foo" is no character'),
        ("\\", '"\\" is no character'),
        ('"\\q"', "a string has the unknown escape \\q"),
        ('"\\ud800"', "an escape is half a character"),
        ("\\ud800", "an escape is half a character"),
        ("[" * 201, "values are nested deeper than 200"),
        ("9" * 5000, "a number has 5000 digits"),
        (f"[{'9' * 5000}]", "a number has 5000 digits"),
    ],
)
def test_what_is_no_edn(text: str, expected: str) -> None:
    """One sentence says why."""
    with pytest.raises(EdnError) as caught:
        values(text)
    assert str(caught.value) == expected


def test_a_wrapping_vector_is_read_element_by_element() -> None:
    """So that a whole history in one vector is never held at once."""
    reader = Reader(unwrap=True)
    pieces = ["[{:a 1}", '{:b "} [', 'x"} ; {:c 2}', "\n#_ {:d 3}", "{:e [4]}", "]"]
    found = [(reader.feed(piece), reader.between) for piece in pieces]
    assert found == [
        ([{":a": 1}], True),
        ([], False),
        ([{":b": "} [x"}], False),
        ([], True),
        ([{":e": [4]}], True),
        ([], True),
    ]


def test_a_discarded_vector_wraps_nothing() -> None:
    """It goes as a whole."""
    reader = Reader(unwrap=True)
    assert [reader.feed(piece) for piece in ("#_ [1", "2]", "[3", "4]")] == [[], [], [3], [4]]


def test_words_that_were_forgotten_are_read_again() -> None:
    """Only so many are remembered."""
    numbers = list(range(edn._REMEMBERED + 10))
    assert values(" ".join(map(str, (*numbers, *numbers)))) == [*numbers, *numbers]


def test_blanks_take_no_time() -> None:
    """However many stand somewhere, in time that grows as they do."""
    began = time.process_time()
    assert values(f"{' ' * 1_000_000}1{' ' * 1_000_000}") == [1]
    assert values('"' + "\\" * 1_000_000 + '"') == ["\\" * 500_000]
    assert time.process_time() - began < 5
