"""Statements that are told by their first words: transactions, settings, LOCK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.explorer.model import EVERYTHING, NOTHING, Footprint, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot.tokenizer_core import Token

#: What SQLite locks as one: everybody's writes.
DATABASE: Final = Place("\0database")


class Reading(NamedTuple):
    """What a text is, and what it touches."""

    #: "statement", "begin", "commit", "rollback", or "quiet": nobody else can notice it.
    kind: str
    footprint: Footprint = NOTHING
    #: It may free locks though its transaction goes on.
    frees: bool = False
    writes: bool = False


#: It may do anything.
ANYTHING: Final = Reading("statement", EVERYTHING, writes=True)

#: Statements that are parsed; WITH may begin any of them.
PARSED: Final = frozenset({"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE", "("})

_QUIET: Final = {
    "postgres": frozenset(
        {"SAVEPOINT", "RELEASE", "SET", "RESET", "SHOW", "LISTEN", "UNLISTEN", "NOTIFY", "CLOSE", "DEALLOCATE"}
    ),
    "sqlite": frozenset({"SAVEPOINT", "RELEASE", "PRAGMA"}),
}
_BEGIN: Final = {"postgres": frozenset({"BEGIN", "START"}), "sqlite": frozenset({"BEGIN"})}
_COMMIT: Final = frozenset({"COMMIT", "END"})
_ROLLBACK: Final = {"postgres": frozenset({"ROLLBACK", "ABORT"}), "sqlite": frozenset({"ROLLBACK"})}
#: BEGIN so: the write lock is taken at once.
_AT_ONCE: Final = frozenset({"IMMEDIATE", "EXCLUSIVE"})
#: Pragmas that read or write what others can see.
_LOUD: Final = frozenset(
    {
        *("user_version", "application_id", "data_version", "schema_version", "wal_checkpoint", "journal_mode"),
        *("incremental_vacuum", "auto_vacuum", "optimize", "writable_schema", "page_size", "encoding"),
    }
)


def command(tokens: Sequence[Token], dialect: str) -> Reading | None:
    """Read a statement that need not be parsed; None for one that must be."""
    words = [token.text.upper() for token in tokens]
    if words[0] in PARSED or (words[0], dialect) == ("LOCK", "postgres"):
        return None
    if "PREPARED" in words[1:2]:
        return ANYTHING
    return _transaction(words, dialect) or _setting(words, dialect) or ANYTHING


def _transaction(words: Sequence[str], dialect: str) -> Reading | None:
    """Read what begins or ends a transaction, or part of it."""
    first = words[0]
    if first in _BEGIN[dialect]:
        locked = dialect == "sqlite" and not _AT_ONCE.isdisjoint(words[1:2])
        return Reading("begin", Footprint(locks=frozenset([DATABASE])) if locked else NOTHING)
    if first in _COMMIT:
        return Reading("commit")
    if first in _ROLLBACK[dialect]:
        return Reading("statement", frees=True) if "TO" in words[1:3] else Reading("rollback")
    return None


def _setting(words: Sequence[str], dialect: str) -> Reading | None:
    """Read what only the session itself can notice."""
    if words[0] in _QUIET[dialect]:
        return ANYTHING if _loud(words) else Reading("quiet")
    if dialect == "postgres" and words[0] == "DISCARD":  # DISCARD ALL gives the advisory locks back
        return Reading("statement", Footprint(locks=frozenset([Place("advisory")])), frees=True)
    return None


def _loud(words: Sequence[str]) -> bool:
    """Say whether a setting is more than that."""
    if words[0] == "PRAGMA":
        return any(word.lower() in _LOUD for word in words[1:4])
    return words[:2] == ["SET", "CONSTRAINTS"]
