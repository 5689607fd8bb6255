"""What a verification says: values, checks and witnesses.  Pure data; rendering is in reports/."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class Value(StrEnum):
    """The three values of a verdict; UNKNOWN is what nothing looked at deserves."""

    VALID = "VALID"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"


def merge(values: Iterable[Value]) -> Value:
    """INVALID beats UNKNOWN beats VALID; nothing at all is UNKNOWN (Jepsen `checker.clj`)."""
    seen = set(values)
    if Value.INVALID in seen:
        return Value.INVALID
    if Value.UNKNOWN in seen or not seen:
        return Value.UNKNOWN
    return Value.VALID


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that a witness tells of."""

    #: Its number in the history.
    number: int
    #: In a few words: "operation 12 (deduct 5 from users/7) on node-1, pid 4711, slot 0".
    name: str
    #: What else is known: worker, host, process, start, end.
    details: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One edge of a cycle: why one transaction comes before another."""

    #: "ww", "wr", "rw", "predicate-rw", "process" or "realtime".
    kind: str
    #: Places in the witness's `transactions`.
    source: int
    target: int
    row: str | None = None
    #: Versions that the two touched: what the source wrote or read, and what the target wrote or read.
    before: int | None = None
    after: int | None = None
    #: The edge in words, ending in "so T1 < T2".
    sentence: str = ""


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """The few attempts that prove an anomaly."""

    #: Name of the anomaly, in the field's words ("lost-update").
    anomaly: str
    #: The whole story in one sentence of plain words.
    sentence: str
    #: Tokens of the attempts, in the order in which the sentence names them.
    attempts: tuple[int, ...] = ()
    operations: tuple[int, ...] = ()
    #: "users/7", or None where no single row is concerned.
    row: str | None = None
    #: T1, T2 …: who takes part, in the order of the cycle where it is one.
    transactions: tuple[Participant, ...] = ()
    #: The cycle's edges in order; the last one leads back to the first transaction.
    steps: tuple[Step, ...] = ()
    #: Why the steps can't all be.
    contradiction: str = ""
    #: The smallest history that still shows it, as lines of the plain form; judged again, it shows the same anomaly.
    history: tuple[dict[str, Any], ...] = ()


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that a check found something about: not a proof, but one of a list that leaves none out."""

    operation: int
    #: Name of the anomaly, as witnesses have it.
    anomaly: str
    #: What else is known, in a few words.
    note: str = ""
    #: Names of the faults that fell into its window, the likeliest first.
    faults: tuple[str, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check's finding."""

    name: str
    value: Value
    #: One sentence: what was looked at and what was found.
    summary: str
    #: How many violations there are (exact), of which `witnesses` shows the first ten.
    found: int = 0
    witnesses: tuple[Witness, ...] = ()
    #: Every operation that something was found about, by number, where the check judges operations one by one.
    named: tuple[Named, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement of one group's history."""

    #: Data consistent, the verdict proper.
    value: Value
    #: Isolation kept: no anomaly that the run's isolation level prohibits.
    isolation: Check
    checks: tuple[Check, ...]
    #: What this history, or the rung it was made on, can't show; one sentence each.
    not_checked: tuple[str, ...] = ()
    #: What the dependencies of all committed transactions say, sessions and time included; None: none recorded.
    dependencies: Judgement | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the dependencies of a history's transactions say."""

    value: Value
    #: The consistency model that it was held to.
    level: str
    #: How often each anomaly was found, whether the level prohibits it or not.
    anomalies: dict[str, int]
    #: Those of `anomalies` whose count is only a lower bound.
    at_least: tuple[str, ...]
    #: The weakest consistency models that the anomalies rule out, and all the stronger ones.
    ruled_out: tuple[str, ...]
    also_ruled_out: tuple[str, ...]
    #: The strongest models that nothing found rules out.
    strongest: tuple[str, ...]
    #: Of each session guarantee: how often it was violated.
    sessions: dict[str, int]
    #: Names of what was looked for, and one sentence for each thing that was not, with the reason.
    checked: tuple[str, ...]
    not_checked: tuple[str, ...]
    #: How it was decided that there is no cycle, or where cycles were searched; one sentence.
    certificate: str
    #: Searches that ended at their bound, one sentence each.
    gave_up: tuple[str, ...] = ()
    #: The first ten of each anomaly, smallest first.
    witnesses: tuple[Witness, ...] = ()
    #: Committed transactions and their micro-operations.
    transactions: int = 0
    operations: int = 0
