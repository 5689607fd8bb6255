"""Statements for reading: parameters filled in, an ORM's qualifiers and aliases left out.

For people only: what a statement touches is decided from its syntax tree, elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<string>[eE]?'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<word>"(?:[^"]|"")*"|`[^`]*`|[^\W\d][\w$]*)
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<percent>%[sbt]|%\(\w+\)[sbt]|%%)
      | (?P<mark>\?\d*|\$\d+|(?<!:):[A-Za-z_]\w*)
      | (?P<symbol>::|<=|>=|<>|!=|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)
#: A value's longest form in a statement.
_LONGEST: Final = 40
#: Words that end a list of columns or of assignments.
_ENDS: Final = frozenset({"FROM", "WHERE", "RETURNING", "ON", "FOR", "ORDER", "LIMIT", "GROUP", "UNION", "WINDOW"})
_VERBS: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"})
#: Words before a table's name, whose dot belongs to a schema.
_TABLES: Final = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "ONLY", ","})
_CONSTANTS: Final = frozenset({"NULL", "TRUE", "FALSE", "DEFAULT"})


class Piece(NamedTuple):
    """A word, value or sign of a statement."""

    #: "word", "number", "string", "value" (a parameter filled in), "percent", "mark" or "symbol".
    kind: str
    text: str
    #: White space stood before it.
    apart: bool = False

    @property
    def upper(self) -> str:
        """Its text as a keyword is compared; a value is no keyword."""
        return self.text.upper() if self.kind in {"word", "symbol"} else ""


class Shown(NamedTuple):
    """A statement as it is shown."""

    pieces: tuple[Piece, ...]
    #: Parameters stand in it that were sent apart from the text.
    filled: bool = False

    @property
    def text(self) -> str:
        """Write it as one line."""
        return "".join(f"{' ' if piece.apart else ''}{piece.text}" for piece in self.pieces).strip()


def compact(statement: str, parameters: Any = None) -> Shown:  # noqa: ANN401 - whatever the driver was given
    """Make a statement as short as it can be read."""
    pieces = _pieces(statement)
    many = isinstance(parameters, list) and bool(parameters) and all(map(_is_row, parameters))
    filled = _fill(pieces, parameters[0] if many else parameters)
    short = _without_qualifiers(_without_aliases(_without_casts(filled)))
    if many and len(parameters) > 1:
        short.append(Piece("symbol", f"({len(parameters)} times)", apart=True))
    return Shown(tuple(short), any(piece.kind == "value" for piece in filled))


def value_text(value: Any) -> str:  # noqa: ANN401 - whatever the driver was given, or gave
    """Write a value as SQL does, on one line and no longer than is worth reading."""
    if value is None or isinstance(value, bool):
        text = "NULL" if value is None else str(value).lower()
    elif isinstance(value, (int, float, Decimal)):
        text = str(value)
    elif isinstance(value, (date, time, UUID)):  # a datetime is a date
        text = f"'{value}'"
    else:
        text = repr(value)
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def printable(text: str) -> str:
    """Escape what would break a line or a terminal."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in text
    )


# pieces


def _pieces(statement: str) -> list[Piece]:
    found: list[Piece] = []
    apart = False
    for match in _TOKEN.finditer(statement):
        kind = match.lastgroup if match.lastgroup != "tag" else "string"
        if kind == "space":
            apart = True
        else:
            found.append(Piece(kind or "symbol", printable(match[0]), apart))
            apart = False
    while found and found[-1].text == ";":
        found.pop()
    return found


def _is_row(value: object) -> bool:
    return isinstance(value, (tuple, list, Mapping))


def _fill(pieces: list[Piece], parameters: Any) -> list[Piece]:  # noqa: ANN401 - whatever the driver was given
    """Put parameters in; where they do not fit the placeholders, leave these."""
    named = isinstance(parameters, Mapping)
    if not parameters or not (named or (isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes))):
        return pieces
    # with %s among them, a question mark is an operator
    kind = "percent" if any(piece.kind == "percent" and piece.text != "%%" for piece in pieces) else "mark"
    filled: list[Piece] = []
    place = 0
    for piece in pieces:
        if piece.kind != kind or piece.text == "%%":
            filled.append(piece._replace(text="%") if piece.text == "%%" else piece)
            continue
        try:
            value, place = _parameter(piece.text, parameters, place)
        except (LookupError, ValueError):
            return pieces
        filled.append(Piece("value", value_text(value), piece.apart))
    return filled


def _parameter(placeholder: str, parameters: Any, place: int) -> tuple[Any, int]:  # noqa: ANN401 - as above
    """Give a placeholder's value, and how many of those without a name or number were taken."""
    name = placeholder.lstrip("%?$:").strip("()") if placeholder[0] != "%" else placeholder[2:-2]
    if not name:
        return parameters[place], place + 1
    if isinstance(parameters, Mapping):
        return parameters[name], place
    if placeholder[0] == ":":  # SQLite takes a sequence for names too, in their order
        return parameters[place], place + 1
    return parameters[int(name) - 1], place


def _without_casts(pieces: list[Piece]) -> list[Piece]:
    """Leave out the type that an ORM gives every parameter."""
    kept: list[Piece] = []
    position = 0
    while position < len(pieces):
        piece = pieces[position]
        if piece.text == "::" and kept and kept[-1].kind == "value":
            position = _after_type(pieces, position + 1)
            continue
        kept.append(piece)
        position += 1
    return kept


def _after_type(pieces: list[Piece], position: int) -> int:
    """Find the end of a type: one word, its size, and WITH or WITHOUT TIME ZONE."""
    position += 1
    if position < len(pieces) and pieces[position].text == "(":
        position = next((at + 1 for at in range(position, len(pieces)) if pieces[at].text == ")"), len(pieces))
    if position < len(pieces) and pieces[position].upper in {"WITH", "WITHOUT"}:
        position += 3
    return position


def _without_aliases(pieces: list[Piece]) -> list[Piece]:
    """Turn "account.id AS account_id" into "account.id"."""
    kept: list[Piece] = []
    position = 0
    while position < len(pieces):
        named = pieces[position : position + 5]
        kinds = [piece.kind for piece in named]
        if (
            kinds == ["word", "symbol", "word", "word", "word"]
            and (named[1].text, named[3].upper) == (".", "AS")
            and _bare(named[4]) in {f"{_bare(named[0])}_{_bare(named[2])}", _bare(named[2])}
        ):
            kept += named[:3]
            position += 5
            continue
        kept.append(pieces[position])
        position += 1
    return kept


def _without_qualifiers(pieces: list[Piece]) -> list[Piece]:
    """Leave out a table's name before its columns where it is the only one."""
    dots = [
        at
        for at in range(1, len(pieces) - 1)
        if pieces[at].text == "." and pieces[at - 1].kind == "word" and not _names_table(pieces, at)
    ]
    if len({pieces[at - 1].text for at in dots}) != 1:
        return pieces
    gone = {at for dot in dots for at in (dot - 1, dot)}
    moved = {dot + 1: pieces[dot - 1].apart for dot in dots}
    return [piece._replace(apart=moved.get(at, piece.apart)) for at, piece in enumerate(pieces) if at not in gone]


def _names_table(pieces: list[Piece], dot: int) -> bool:
    """Say whether the dot is that of a schema: FROM, JOIN, INTO or UPDATE stands before it."""
    return dot >= 2 and pieces[dot - 2].upper in _TABLES - {","}  # noqa: PLR2004 - the keyword, the schema, the dot


# what a statement names


def verb(shown: Shown) -> str:
    """Give the word that says what the statement does; past the parts of a WITH."""
    depth = 0
    for piece in shown.pieces:
        depth += {"(": 1, ")": -1}.get(piece.text, 0)
        if not depth and piece.upper in _VERBS:
            return piece.upper
    return shown.pieces[0].upper if shown.pieces else ""


def selected(shown: Shown) -> tuple[str, ...]:
    """Name the columns that a SELECT, or a RETURNING, gives; empty where the text does not say."""
    uppers = [piece.upper for piece in shown.pieces]
    word = "SELECT" if verb(shown) == "SELECT" else "RETURNING"
    if word not in uppers:
        return ()
    columns = _parts(shown.pieces[uppers.index(word) + 1 :])
    names = tuple(_bare(column[-1]) if column and column[-1].kind == "word" else "" for column in columns)
    return names if all(names) else ()


class Assigned(NamedTuple):
    """What a statement makes of a column."""

    text: str
    #: It names no column: what it writes was decided before.
    fixed: bool


def assigned(shown: Shown) -> dict[str, Assigned]:
    """Give what an UPDATE or INSERT writes into each column, of an INSERT's first row; as far as the text says."""
    kind = verb(shown)
    uppers = [piece.upper for piece in shown.pieces]
    if kind == "UPDATE" and "SET" in uppers:
        parts = _parts(shown.pieces[uppers.index("SET") + 1 :])
        return {_bare(part[0]): _assigned(part[2:]) for part in parts if len(part) > 2 and part[1].text == "="}  # noqa: PLR2004 - column, sign, value
    if kind in {"INSERT", "REPLACE"} and "VALUES" in uppers:
        values = uppers.index("VALUES")
        names = _inside(shown.pieces[:values])
        given = _inside(shown.pieces[values:])
        if len(names) == len(given):
            return {_bare(name[0]): _assigned(value) for name, value in zip(names, given, strict=True) if name}
    return {}


def _assigned(value: Sequence[Piece]) -> Assigned:
    fixed = all(piece.kind != "word" or piece.upper in _CONSTANTS for piece in value)
    return Assigned(Shown(tuple(value)).text, fixed)


def _parts(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Part at the commas outside of brackets, up to a word that ends the list."""
    parts: list[list[Piece]] = [[]]
    depth = 0
    for piece in pieces:
        depth += {"(": 1, ")": -1}.get(piece.text if piece.kind == "symbol" else "", 0)
        if depth < 0 or (not depth and piece.upper in _ENDS):
            break
        if not depth and piece.upper == ",":
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts


def _inside(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Part what stands in the first brackets."""
    start = next((at for at, piece in enumerate(pieces) if piece.upper == "("), None)
    return [] if start is None else _parts(pieces[start + 1 :])


def _bare(piece: Piece) -> str:
    return piece.text.strip('"`')
