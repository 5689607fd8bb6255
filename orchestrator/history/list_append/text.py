"""How keys, elements and lists of a list-append history are told to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.history.edn import Keyword, Symbol
from orchestrator.history.lines import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.history.list_append.events import Word

#: A longer list is told by its beginning and its end.
_LONGEST: Final = 16
_END: Final = 6


def shown(word: Word) -> str:
    """A key or an element as the file has it."""
    if isinstance(word, Keyword | Symbol):
        return str(word)
    return quoted(word) if isinstance(word, str) else str(word)


def listed(elements: Sequence[Word]) -> str:
    """A list as Elle's users write it: [1 2 3]."""
    if len(elements) <= _LONGEST:
        return f"[{' '.join(map(shown, elements))}]"
    first, last = (" ".join(map(shown, some)) for some in (elements[:_END], elements[-_END:]))
    return f"[{first} … {last}] ({len(elements)} elements)"


def several(elements: Sequence[Word]) -> str:
    """Elements in a sentence: 1, 2 and 3."""
    *most, last = map(shown, elements)
    return f"{', '.join(most)} and {last}" if most else last
