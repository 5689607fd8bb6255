"""A tiny language for histories of transactions that read and write versions of rows.

Items stand between `|` or on lines of their own.  A transaction is `label: operations`, an operation `r` or `w`, the
row's letter and the version, `?` where it isn't known: `a: rx0 wx1 ry?`.  Between label and colon may stand, in this
order, the session (`a@s`), the outcome (`!` aborted, `?` unknown; else committed), and when it began and ended
(`[2,5]`; `[2,]` where the end isn't known).  So `b@s?[3,]: rx1 wx2` is an unknown transaction of session s.

An item `a -predicate-rw:x-> b` is a dependency that versions don't show: its kind, the row, the two labels.

Transactions are numbered as they stand, sessions and rows by their names' order.  Without an interval nothing is known
of a transaction's time, without a session it has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.history.transactions import (
    ABORTED,
    COMMITTED,
    NEVER,
    NO_VERSION,
    PREDICATE_RW,
    RW,
    UNKNOWN,
    WR,
    WW,
    Edges,
    Transactions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KINDS = {"ww": WW, "wr": WR, "rw": RW, "predicate-rw": PREDICATE_RW}

_OUTCOMES = {"": COMMITTED, "!": ABORTED, "?": UNKNOWN}
_ITEM = re.compile(
    r"(?P<label>\w+)(@(?P<session>\w+))?(?P<outcome>[!?]?)(\[(?P<invoke>-?\d+),(?P<complete>-?\d*)\])?:(?P<operations>.*)"
)
_OPERATION = re.compile(r"([rw])([a-z])(\d+|\?)")
_EDGE = re.compile(r"(\w+) -([a-z-]+):([a-z])-> (\w+)")


@dataclass(frozen=True, kw_only=True)
class TinyNames:
    """Tells of transactions by their labels and of rows by their letters."""

    #: By number: each transaction's label, and each row's letter.
    labels: tuple[str, ...]
    rows: tuple[str, ...]

    def transaction(self, number: int) -> str:
        """The label."""
        return self.labels[number]

    def details(self, number: int) -> Mapping[str, Any]:
        """Nothing else is known."""
        del number
        return {}

    def row(self, number: int) -> str:
        """The letter."""
        return self.rows[number]

    def version(self, row: int, version: int) -> str:
        """Versions are numbers only."""
        del row, version
        return ""


def history(text: str) -> Transactions:
    """The history that the text tells."""
    items = [item.strip() for item in re.split(r"[|\n]", text) if item.strip()]
    edges = [_match(_EDGE, item).groups() for item in items if "->" in item]
    heads = [_match(_ITEM, item) for item in items if "->" not in item]
    words = [(number, word) for number, head in enumerate(heads) for word in head["operations"].split()]
    operations = [_match(_OPERATION, word).groups() for _, word in words]
    rows = sorted({row for _, row, _ in operations} | {row for _, _, row, _ in edges})
    names = TinyNames(labels=tuple(head["label"] for head in heads), rows=tuple(rows))
    sessions = sorted({head["session"] for head in heads if head["session"]})
    return Transactions(
        status=np.array([_OUTCOMES[head["outcome"]] for head in heads], dtype=np.int8),
        session=np.array([sessions.index(head["session"]) if head["session"] else -1 for head in heads], np.int32),
        invoke=np.array([int(head["invoke"] or 0) for head in heads], dtype=np.int64),
        complete=np.array([_end(head) for head in heads], dtype=np.int64),
        txn=np.array([number for number, _ in words], dtype=np.int32),
        row=np.array([rows.index(row) for _, row, _ in operations], dtype=np.int32),
        write=np.array([kind == "w" for kind, _, _ in operations], dtype=np.bool_),
        version=np.array([NO_VERSION if v == "?" else int(v) for _, _, v in operations], dtype=np.int32),
        names=names,
        edges=_edges(edges, names),
        predicates=any(kind == "predicate-rw" for _, kind, _, _ in edges),
    )


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    """What the pattern finds in the text."""
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not of the tiny language")
    return found


def _end(head: re.Match[str]) -> int:
    """When a transaction ended; an unknown one never did, as far as anybody knows."""
    return int(head["complete"]) if head["complete"] and head["outcome"] != "?" else NEVER


def _edges(edges: Sequence[tuple[str, ...]], names: TinyNames) -> Edges:
    """The dependencies that versions don't show."""
    return Edges(
        source=np.array([names.labels.index(source) for source, _, _, _ in edges], dtype=np.int32),
        target=np.array([names.labels.index(target) for _, _, _, target in edges], dtype=np.int32),
        kind=np.array([KINDS[kind] for _, kind, _, _ in edges], dtype=np.int8),
        row=np.array([names.rows.index(row) for _, _, row, _ in edges], dtype=np.int32),
    )
