"""What a verification says: values, checks and witnesses.  Pure data; rendering is in reports/."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

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


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check's finding."""

    name: str
    value: Value
    #: One sentence: what was looked at and what was found.
    summary: str
    #: How many violations there are (exact), of which `witnesses` shows the first ten.
    found: int = 0
    witnesses: tuple[Witness, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement of one group's history."""

    #: Data consistent, the verdict proper.
    value: Value
    #: Isolation kept: no anomaly that the run's isolation level prohibits.
    isolation: Check
    checks: tuple[Check, ...]
    #: What this history, or the rung it was made on, can't show; one sentence each.
    not_checked: tuple[str, ...] = ()
