"""A tiny language for list-append histories: `0= ax1 rx1` is process 0, which appended 1 to x and read x as [1].

Events stand between `|` or on lines of their own.  After the process comes what happened: `>` it invoked, `+` ok,
`-` fail, `?` info; `=` is an invocation and its ok right after it.  A key is a letter, an element a digit; `rx` is a
read that isn't known, or that found nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from orchestrator.history import list_append

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.history.transactions import Transactions

_TYPES = {">": "invoke", "+": "ok", "-": "fail", "?": "info"}
_EVENT = re.compile(r"(\d)([>+?=-])(.*)")
_OPERATION = re.compile(r"([ar])([a-z])(\d*)")


def events(text: str) -> list[dict[str, Any]]:
    """The events that a text tells."""
    found = []
    for item in re.split(r"[|\n]", text):
        if not item.strip():
            continue
        process, kind, words = _match(_EVENT, item.strip())
        value = [_operation(word) for word in words.split()]
        if kind == "=":
            asked = [[name, key, held if name == "append" else None] for name, key, held in value]
            found.append({"type": "invoke", "process": int(process), "f": "txn", "value": asked})
        found.append({"type": _TYPES.get(kind, "ok"), "process": int(process), "f": "txn", "value": value})
    return found


def written(folder: Path, events: Sequence[dict[str, Any]]) -> Path:
    """A file with these events, one a line."""
    path = folder / "h.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return path


def told(folder: Path, text: str) -> Transactions:
    """The history that a text tells, written to a file and read."""
    return list_append.read(written(folder, events(text)))


def operations(history: Transactions) -> str:
    """A history's micro-operations, a transaction after another: `w0.1 r1.2 | r0.?`."""
    each: list[list[str]] = [[] for _ in history.status]
    for txn, row, write, version in zip(history.txn, history.row, history.write, history.version, strict=True):
        each[txn].append(f"{'w' if write else 'r'}{row}.{'?' if version < 0 else version}")
    return " | ".join(" ".join(some) for some in each)


def edges(history: Transactions) -> list[tuple[int, str, int, int]]:
    """A history's explicit dependencies: source, kind, target, row."""
    one = history.edges
    columns = one.source.tolist(), one.kind.tolist(), one.target.tolist(), one.row.tolist()
    return sorted(
        (source, ("ww", "wr", "rw")[kind], target, row) for source, kind, target, row in zip(*columns, strict=True)
    )


def _operation(word: str) -> list[Any]:
    kind, key, digits = _match(_OPERATION, word)
    if kind == "a":
        return ["append", key, int(digits)]
    return ["r", key, [int(digit) for digit in digits] or None]


def _match(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not of the tiny language")
    return found.groups()
