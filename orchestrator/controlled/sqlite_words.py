"""What SQLite and its Python driver make of a statement's first words."""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Before these the driver opens a transaction by itself, unless it is told not to.
_CHANGES = ("insert", "update", "delete", "replace")
#: PRAGMAs that the explorer has a say in.
SETTINGS = frozenset({"busy_timeout", "journal_mode", "synchronous"})
_SEPARATORS = str.maketrans("=();", "    ")


@lru_cache(4096)
def words(text: str) -> tuple[str, ...]:
    """Give a statement's first words in lower case, without the comments before them."""
    return tuple(_bare(text)[:200].lower().translate(_SEPARATORS).split(maxsplit=4)[:4])


@lru_cache(4096)
def changes(text: str) -> bool:
    """Say whether the driver takes it for a change of rows: it looks at the first word only, so WITH is none."""
    return _bare(text)[:7].lower().startswith(_CHANGES)


@lru_cache(4096)
def savepoint(text: str) -> bool:
    """Say whether a statement is SAVEPOINT, RELEASE or ROLLBACK TO."""
    first, *more = (*words(text), "")
    return first in {"savepoint", "release"} or (first == "rollback" and "to" in more)


@lru_cache(4096)
def setting(text: str) -> tuple[str, str]:
    """Give the name and the new value of a PRAGMA, "" for each that is not there."""
    first, name, value, *_ = (*words(text), "", "", "")
    return (name.rpartition(".")[2], value.strip("'\"")) if first == "pragma" else ("", "")


def statements(script: str) -> Iterator[str]:
    """Cut a script where a statement is complete; a semicolon in a trigger or a string ends none."""
    text = ""
    for piece in script.split(";"):
        text += piece + ";"
        if sqlite3.complete_statement(text):
            if words(text):
                yield text
            text = ""
    if words(text):
        yield text


class Savepoints:
    """A transaction's savepoints, outermost first; releasing the one that opened the transaction is its COMMIT."""

    __slots__ = ("_names", "_opened")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._opened = False

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._names)

    def take(self, text: str, *, inside: bool) -> None:
        """Count a SAVEPOINT, RELEASE or ROLLBACK TO as done; it was sent `inside` a transaction or not."""
        first, name = words(text)[0], _name(text)
        if first == "savepoint":
            self._opened = self._opened or not inside
            self._names.append(name)
        elif name in self._names:
            del self._names[self._innermost(name) + (first == "rollback") :]

    def commits(self, text: str) -> bool:
        """Say whether a statement releases the savepoint that opened the transaction."""
        name = _name(text)
        return self._opened and words(text)[0] == "release" and name in self._names and self._innermost(name) == 0

    def clear(self) -> None:
        """Forget them: the transaction has ended."""
        self._names.clear()
        self._opened = False

    def _innermost(self, name: str) -> int:
        return len(self._names) - 1 - self._names[::-1].index(name)


def _name(text: str) -> str:
    return text.replace(";", " ").split()[-1].strip("\"`[]'").lower()


def _bare(text: str) -> str:
    """Leave out white space and comments at the start, as the driver does."""
    text = text.lstrip()
    while text.startswith(("--", "/*")):
        _, _, text = text.partition("\n" if text.startswith("--") else "*/")
        text = text.lstrip()
    return text
