"""Verdicts and witnesses as lines of text: data in, lines out."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from orchestrator.verifier.verdict import Check, Verdict, Witness

#: Columns a line may take.
_WIDTH: Final = 110

#: Checks that decide, before those that merely hold.
_ORDER: Final = (Value.INVALID, Value.UNKNOWN, Value.VALID)


def witness_lines(witness: Witness, indent: str = "  ", width: int = _WIDTH) -> list[str]:
    """The anomaly, its row, and the story."""
    title = witness.anomaly if witness.row is None else f"{witness.anomaly} on {witness.row}"
    wrapped = textwrap.wrap(witness.sentence, width - len(indent) - 2, break_long_words=False)
    return [f"{indent}{title}:", *(f"{indent}  {line}" for line in wrapped)]


def check_lines(check: Check, witnesses: int = 1, width: int = _WIDTH) -> list[str]:
    """A check's finding, with its first few witnesses."""
    lines = [f"{check.value}  {check.name}: {check.summary}"]
    for witness in check.witnesses[:witnesses]:
        lines += witness_lines(witness, width=width)
    if check.witnesses and check.found > witnesses:
        lines.append(f"  … {check.found - min(witnesses, len(check.witnesses)):,} more")
    return lines


def verdict_lines(verdict: Verdict, witnesses: int = 1) -> list[str]:
    """The whole verdict: what decides first, then what holds, then what was not looked at."""
    lines = [f"verdict: {verdict.value}"]
    for value in _ORDER:
        for check in verdict.checks:
            if check.value is value:
                lines += check_lines(check, witnesses)
    lines += check_lines(verdict.isolation, witnesses)
    return lines + [f"not checked: {sentence}" for sentence in verdict.not_checked]


def first_witness(verdict: Verdict) -> Witness | None:
    """The witness to show where there is room for one: of the first check that found something."""
    return next((check.witnesses[0] for check in verdict.checks if check.witnesses), None)
