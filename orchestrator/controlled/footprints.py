"""Footprints of SQL statements: which rows a text reads, writes and locks, rather too many than too few.

A text is parsed once; what is kept tells which of its parameters name which rows, so that the same
text costs a look-up and the binding of those parameters ever after.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from orchestrator.controlled import footprint_text
from orchestrator.controlled.catalog import NO_CATALOG
from orchestrator.controlled.footprint_commands import ANYTHING, DATABASE, Reading, command
from orchestrator.controlled.footprint_rows import Row
from orchestrator.controlled.footprint_template import Parts, Template
from orchestrator.controlled.footprint_touches import Everything
from orchestrator.controlled.footprint_walk import Walk
from orchestrator.explorer.model import EVERY, NOTHING, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot.tokenizer_core import Token

    from orchestrator.controlled.catalog import Catalog
    from orchestrator.controlled.footprint_text import Text

__all__ = ["DATABASE", "Footprints", "Reading"]

#: Texts that are kept.
_KEPT: Final = 4096
#: Kinds that end a transaction.
_ENDS: Final = frozenset({"commit", "rollback"})


class Footprints:
    """Reads the texts of one dialect, over the tables of one catalog."""

    def __init__(self, dialect: Literal["postgres", "sqlite"], catalog: Catalog | None = None) -> None:
        self._dialect, self._catalog = dialect, NO_CATALOG if catalog is None else catalog
        self._template = lru_cache(_KEPT)(self._compile)

    def read(self, sql: str, parameters: Any = None) -> Reading:  # noqa: ANN401 - what drivers take
        """Say what a text is and touches, with these parameters."""
        return self._template(sql, parameters is not None).bind(parameters)

    def _compile(self, sql: str, bound: bool) -> Template:  # noqa: FBT001 - a key of the cache
        """Parse a text, once."""
        try:
            text = footprint_text.read(sql, self._dialect, bound=bound)
            bare, parts = self._statements(text)
        except (SqlglotError, footprint_text.Unreadable, Everything, RecursionError):
            return self._constant(ANYTHING)
        return Template(bare, parts, text.picks, sqlite=self._dialect == "sqlite")

    def _constant(self, reading: Reading) -> Template:
        return Template(reading, Parts(fixed=reading.footprint), (), sqlite=self._dialect == "sqlite")

    def _statements(self, text: Text) -> tuple[Reading, Parts]:
        """Put the statements of a text together."""
        walk = Walk(self._catalog, self._dialect, text.dialect)
        fixed, kinds = NOTHING, []
        for tokens in text.statements:
            reading = command(tokens, self._dialect)
            if reading is None:
                self._parsed(walk, text, tokens)
                reading = Reading("statement")
            walk.frees = walk.frees or reading.frees
            fixed = union(fixed, reading.footprint)
            kinds.append(reading.kind)
        loud = sorted({kind for kind in kinds if kind != "quiet"})
        kind = loud[0] if len(loud) == 1 else "statement" if loud else "quiet"
        frees = walk.frees or (len(loud) > 1 and not _ENDS.isdisjoint(loud))
        reads, writes, locks, shares = (
            tuple(dict.fromkeys(rows)) for rows in (walk.reads, walk.writes, walk.locks, walk.shares)
        )
        return Reading(kind, frees=frees), Parts(reads, writes, locks, shares, fixed)

    def _parsed(self, walk: Walk, text: Text, tokens: list[Token]) -> None:
        """Take one statement that has to be parsed."""
        if self._calls_users(tokens):
            raise Everything
        if tokens[0].token_type == TokenType.LOCK:
            _lock_table(walk, text, tokens)
            return
        for tree in footprint_text.trees(text.dialect, tokens, text.sql):
            walk.statement(tree)

    def _calls_users(self, tokens: Sequence[Token]) -> bool:
        """Say whether a function that a user defined is called, whatever else may bear its name."""
        functions = self._catalog.functions
        return bool(functions) and any(
            after.token_type == TokenType.L_PAREN and (token.text in functions or token.text.lower() in functions)
            for token, after in pairwise(tokens)
        )


#: Modes of LOCK TABLE that only keep others from locking the whole table.
_SHARING: Final = frozenset({("ACCESS", "SHARE"), ("ROW", "SHARE"), ("ROW", "EXCLUSIVE")})
#: Words that end the list of tables.
_AFTER_NAMES: Final = frozenset({"IN", "NOWAIT"})


def _lock_table(walk: Walk, text: Text, tokens: Sequence[Token]) -> None:
    """Take LOCK TABLE: the strongest mode keeps even readers out, so it counts as a change of the table's shape."""
    words = [token.text.upper() for token in tokens]
    first = 2 if words[1:2] == ["TABLE"] else 1
    last = next((place for place, word in enumerate(words) if word in _AFTER_NAMES), len(words))
    if last <= first:
        raise Everything
    tree = walk.parsed(f"SELECT 1 FROM {text.sql[tokens[first].start : tokens[last - 1].end + 1]}")  # noqa: S608 - it is parsed, not run
    mode = tuple(word for word in words[last:] if word not in {"IN", "MODE", "NOWAIT"})
    for node in tree.find_all(exp.Table) if tree is not None else ():
        table = walk.find(node)
        if table is not None and table.view:
            raise Everything
        row = walk.row(node, table)
        if mode in _SHARING:
            walk.shares.append(row)
        elif mode in {(), ("ACCESS", "EXCLUSIVE")}:
            walk.change(row)
            walk.locks.append(Row(EVERY))
        else:
            walk.locks.append(row)
