"""Reads EDN, the notation of Clojure's data: enough of it for any value, fast enough for histories.

Vectors and lists become lists, sets frozensets, maps dicts; keywords and symbols are strings of types of their own,
a keyword's with its colon.  A tag is dropped, so that a record reads as its map.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, TypeAlias

from orchestrator.history.lines import quoted

#: Deeper nesting is refused, so that no later walk over a value can run out of stack.
DEEPEST: Final = 200

#: Words that are kept with their values, and the longest of them; histories say few words often, new ones in bursts.
_REMEMBERED: Final = 1 << 15
_LONGEST: Final = 40

_TOKEN: Final = re.compile(
    r"""[\s,]*+                                     # commas are blanks
    ( \[(?:0|[1-9][0-9]*+)(?:[ ,]++(?:0|[1-9][0-9]*+))*+[ ,]*+\]   # a vector of integers, which is common
    | "[^"\\]*+(?:\\.[^"\\]*+)*+"                   # a string
    | [][(){}]
    | [^]["(){}\s,;\\\#][^]["(){}\s,;\\]*+          # number, keyword, symbol
    | \#(?:[{_] | [^]["(){}\s,;\\]*+)               # set, discard, tag, ##NaN
    | ;[^\n]*+\n?                                   # comment
    | \\(?:[A-Za-z][A-Za-z0-9]*+ | .)               # character
    | "[^"\\]*+(?:\\.[^"\\]*+)*+\\?                 # a string that goes on in the next piece
    | . | \Z)""",
    re.VERBOSE | re.DOTALL,
)
_STRING_REST: Final = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)N?", re.ASCII)
_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?(M?)", re.ASCII)
_KEYWORD: Final = re.compile(r":(?:[^:/@^`~][^@^`~]*|/)")
_SYMBOL: Final = re.compile(r"(?:[^/@^`~:#'0-9][^/@^`~]*/)?[^/@^`~:#'0-9][^/@^`~]*|/")
_SIGNED: Final = re.compile(r"[-+.][0-9]")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([0-3]?[0-7]{1,2})|(.))", re.DOTALL)
_ESCAPES: Final = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}
_CHARACTERS: Final = {
    "newline": "\n", "return": "\r", "space": " ", "tab": "\t", "formfeed": "\f", "backspace": "\b",
}  # fmt: skip
_WORDS: Final = {
    "true": True, "false": False, "##Inf": float("inf"), "##-Inf": float("-inf"), "##NaN": float("nan"),
}  # fmt: skip
_CLOSING: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_CLOSERS: Final = frozenset(_CLOSING.values())
_KINDS: Final = {"[": "vector", "(": "list", "{": "map", "#{": "set"}

_Items: TypeAlias = list[Any]


class EdnError(ValueError):
    """A text isn't EDN; the message says what is wrong with it."""


class Keyword(str):
    """A keyword, with its colon: `:append`."""

    __slots__ = ()


class Symbol(str):
    """A symbol: a bare word that is none of the other values."""

    __slots__ = ()


#: Stands among values for a `#_`, until the value that it discards is there.
_DISCARD: Final = object()


class Reader:
    """Reads values from text that comes in pieces, each of which ends with a line or right after a bracket."""

    def __init__(self, *, unwrap: bool = False) -> None:
        """With `unwrap`, a vector or list at the top is only a wrapping: its elements count as values."""
        self._unwrap = unwrap
        #: Values of the innermost bracket that is open.
        self._items: _Items = []
        #: For each bracket that is open, what it is and the values around it.
        self._open: list[tuple[str, _Items]] = []
        #: How many brackets were open where a `#_` stands.
        self._marked: set[int] = set()
        #: Pieces of a string that isn't closed yet; a comment that isn't, either.
        self._string: list[str] = []
        self._comment = False
        self._words: dict[str, Any] = dict(_WORDS)

    def feed(self, piece: str) -> list[Any]:
        """The values that this piece completes."""
        if self._string or self._comment:
            piece = self._continued(piece)
        items, remembered = self._items, self._words.get
        for word in _TOKEN.findall(piece):
            value = remembered(word)
            if value is not None:
                items.append(value)
            elif word in _CLOSING:
                if len(self._open) >= DEEPEST:
                    raise EdnError(f"values are nested deeper than {DEEPEST}")
                self._open.append((word, items))
                items = self._items = []
            elif word in _CLOSERS:
                items = self._close(word)
            elif word == "nil":
                items.append(None)
            else:
                self._take(word)
        return self._completed()

    @property
    def between(self) -> bool:
        """No value is incomplete: the next piece begins a new one."""
        inside = self._unwrap and not self._marked and [kind for kind, _ in self._open] in (["["], ["("])
        return not (self._string or self._comment or self._items or (self._open and not inside))

    def close(self) -> None:
        """Raise EdnError if a value is still incomplete."""
        if self._string:
            raise EdnError("a string isn't closed")
        if self._open:
            raise EdnError(f"a {_KINDS[self._open[-1][0]]} isn't closed")
        if self._items:
            raise EdnError("#_ stands before nothing")

    def _continued(self, piece: str) -> str:
        """The rest of a piece after the string or comment that the one before left open."""
        if self._comment:
            _, end, after = piece.partition("\n")
            self._comment = not end
            return after
        self._string.append(piece)
        if not _STRING_REST.match(piece):
            return ""
        whole = "".join(self._string)
        self._string = []
        return whole

    def _close(self, bracket: str) -> _Items:
        """Complete the innermost bracket and return the values around it."""
        if not self._open:
            raise EdnError(f"{bracket} closes nothing")
        items = self._resolved() if len(self._open) in self._marked else self._items
        kind, around = self._open.pop()
        if _CLOSING[kind] != bracket:
            raise EdnError(f"a {_KINDS[kind]} is closed by {bracket}")
        if kind == "{":
            around.append(_mapping(items))
        elif kind == "#{":
            around.append(_set(items))
        elif self._unwrap and not self._open and not self._marked:
            around.extend(items)
        else:
            around.append(items)
        self._items = around
        return around

    def _take(self, word: str) -> None:
        """Take a word that is no bracket and wasn't seen lately."""
        if not word:
            return
        if word[0] == "[":
            self._items.append(_integers(word[1:-1].replace(",", " ").split()))
        elif word[0] == '"' and not _STRING_REST.fullmatch(word, 1):
            self._string = [word]
        elif word[0] == ";":
            self._comment = not word.endswith("\n")
        elif word == "#_":
            self._marked.add(len(self._open))
            self._items.append(_DISCARD)
        elif word[0] != "#" or word.startswith("##"):
            self._items.append(self._remember(word, _atom(word)))
        elif not word[1:2].isalpha():
            raise EdnError(f"{quoted(word)} is no tag")

    def _remember(self, word: str, value: Any) -> Any:  # noqa: ANN401 (any value)
        if len(word) <= _LONGEST:
            if len(self._words) >= _REMEMBERED:
                self._words.clear()
                self._words.update(_WORDS)
            self._words[word] = value
        return value

    def _completed(self) -> list[Any]:
        depth = len(self._open)
        wrapped = self._unwrap and depth == 1 and self._open[0][0] in {"[", "("} and 0 not in self._marked
        if (self._open and not wrapped) or not self._items:
            return []
        values, self._items = self._items, []
        if depth in self._marked:
            values, self._items = _settled(values)
            if not self._items:
                self._marked.discard(depth)
        return values

    def _resolved(self) -> _Items:
        values, pending = _settled(self._items)
        if pending:
            raise EdnError("#_ stands before nothing")
        self._marked.discard(len(self._open))
        return values


def values(text: str) -> list[Any]:
    """Every value of a text."""
    reader = Reader()
    found = reader.feed(text)
    reader.close()
    return found


def written(value: Any) -> str:  # noqa: ANN401 (any value)
    """A value in EDN, as people may write it."""
    if value is None or isinstance(value, bool):
        return {None: "nil", True: "true", False: "false"}[value]
    if isinstance(value, str) and not isinstance(value, Keyword | Symbol):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return f"{{{', '.join(f'{written(key)} {written(held)}' for key, held in value.items())}}}"
    if isinstance(value, list | tuple | frozenset):
        elements = " ".join(map(written, value))
        return f"#{{{elements}}}" if isinstance(value, frozenset) else f"[{elements}]"
    return str(value)


def _settled(items: _Items) -> tuple[_Items, _Items]:
    """The values that `#_` leaves, and each `#_` whose value is still to come."""
    values: _Items = []
    pending: _Items = []
    for item in reversed(items):
        if item is not _DISCARD:
            values.append(item)
        elif values:
            values.pop()
        else:
            pending.append(item)
    return values[::-1], pending


def _mapping(items: _Items) -> dict[Any, Any]:
    if len(items) % 2:
        raise EdnError("a map has a key without a value")
    try:
        mapping = dict(zip(items[::2], items[1::2], strict=True))
    except TypeError:
        mapping = dict(zip(map(_hashable, items[::2]), items[1::2], strict=True))
    if len(mapping) * 2 != len(items):
        raise EdnError("a map has one key twice")
    return mapping


def _set(items: _Items) -> frozenset[Any]:
    elements = frozenset(map(_hashable, items))
    if len(elements) != len(items):
        raise EdnError("a set has one element twice")
    return elements


def _hashable(value: Any) -> Any:  # noqa: ANN401 (any value may be a key)
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, dict):
        return frozenset((_hashable(key), _hashable(held)) for key, held in value.items())
    return value


def _atom(word: str) -> Any:  # noqa: ANN401 (any value)
    first = word[0]
    if _INTEGER.fullmatch(word):
        return _integers([word.removesuffix("N")])[0]
    if first == ":":
        if not _KEYWORD.fullmatch(word):
            raise EdnError(f"{quoted(word)} is no keyword")
        return Keyword(word)
    if first == '"':
        return _string(word[1:-1])
    if first == "\\":
        return _character(word)
    if number := _DECIMAL.fullmatch(word):
        return Decimal(word[:-1]) if number[1] else float(word)
    if not _SYMBOL.fullmatch(word) or _SIGNED.match(word):
        raise EdnError(f"{quoted(word)} is no value")
    return Symbol(word)


def _integers(words: list[str]) -> list[int]:
    try:
        return list(map(int, words))
    except ValueError as error:
        raise EdnError(f"a number has {max(map(len, words))} digits") from error


def _string(body: str) -> str:
    if "\\" not in body:
        return body
    return _joined(_ESCAPE.sub(_unescaped, body))


def _unescaped(escape: re.Match[str]) -> str:
    unicode, octal, letter = escape.groups()
    if unicode or octal:
        return chr(int(unicode or octal, 16 if unicode else 8))
    if letter not in _ESCAPES:
        raise EdnError(f"a string has the unknown escape \\{letter}")
    return _ESCAPES[letter]


def _character(word: str) -> str:
    name = word[1:]
    if len(name) == 1:
        return name
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    if re.fullmatch(r"u[0-9A-Fa-f]{4}", name):
        return _joined(chr(int(name[1:], 16)))
    raise EdnError(f"{quoted(word)} is no character")


def _joined(text: str) -> str:
    """Two escapes may make one character, as in Java; half of such a pair is none."""
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise EdnError("an escape is half a character") from error
