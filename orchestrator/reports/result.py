"""What a run found, as data: a row per group, and what the command ends with."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator.reports.figures import Figures
from orchestrator.reports.witness import first_witness
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.verifier.verdict import Check, Verdict


class Exit(IntEnum):
    """What a command ends with."""

    AS_EXPECTED = 0
    #: A verdict is not the expected one, or a gate failed; also an unexpected error.
    NOT_AS_EXPECTED = 1
    USAGE = 2
    UNKNOWN = 3
    SERVICE = 4
    INTERRUPTED = 130


#: Which of several reasons is told, the first one first.
PRECEDENCE = (
    Exit.USAGE,
    Exit.SERVICE,
    Exit.INTERRUPTED,
    Exit.NOT_AS_EXPECTED,
    Exit.UNKNOWN,
    Exit.AS_EXPECTED,
)


#: The commands of a run, and of one across hosts that were laid out for it.
RUN: Final = "rowrace run"
ON_HOSTS: Final = "rowrace hosts"


class Row(Figures, frozen=True, kw_only=True):
    """One group's figures and verdict, and what was expected of it."""

    name: str
    expected: Value
    #: The run's folder.
    run: str
    #: Gates that failed, one sentence each.
    gates: tuple[str, ...] = ()

    def failing(self, gates: tuple[str, ...]) -> Row:
        """Give the row with the gates that failed."""
        return msgspec.structs.replace(self, gates=gates)

    @property
    def remark(self) -> str | None:
        """What is not as it should be, in a few words."""
        if self.verdict is Value.UNKNOWN:
            return "unknown"
        if self.expected is Value.INVALID and self.verdict is Value.VALID:
            return "control not provoked"
        if self.verdict is not self.expected:
            return "not as expected"
        return "gate failed" if self.gates else None

    @property
    def exit(self) -> Exit:
        """What this group alone makes the command end with."""
        if self.gates or (self.verdict is Value.INVALID and self.expected is not Value.INVALID):
            return Exit.NOT_AS_EXPECTED
        if self.verdict is Value.UNKNOWN or self.verdict is not self.expected:
            return Exit.UNKNOWN
        return Exit.AS_EXPECTED


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A row with the verdict behind it."""

    row: Row
    verdict: Verdict


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run has to say."""

    run: str
    #: The run's folder.
    folder: str
    rung: str
    findings: tuple[Finding, ...]
    #: Groups that were asked for.
    asked: int
    interrupted: bool = False
    #: What differs from a default run in a way that weakens what it shows, one sentence each.
    notes: tuple[str, ...] = ()
    #: What the command ends with, where that isn't what was expected of the groups; None: it is.
    ends: Exit | None = None
    #: The consistency model that the dependencies were held to as well; None: to none.
    level: str | None = None
    #: The command that runs it again.
    command: str = RUN

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table's rows."""
        return tuple(finding.row for finding in self.findings)

    @property
    def exit_code(self) -> Exit:
        """What the command ends with."""
        if self.ends is not None:
            return self.ends
        if self.interrupted:
            return Exit.INTERRUPTED
        return first(row.exit for row in self.rows) if self.findings else Exit.UNKNOWN


def first(reasons: Iterable[Exit]) -> Exit:
    """Choose the reason that is told."""
    return min(reasons, key=PRECEDENCE.index, default=Exit.AS_EXPECTED)


def as_json(report: Report) -> dict[str, Any]:
    """Build the object that `--json` prints."""
    return {
        "run": report.folder,
        "rung": report.rung,
        "command": report.command,
        "exit_code": int(report.exit_code),
        "interrupted": report.interrupted,
        "notes": list(report.notes),
        "rows": [_row(finding) for finding in report.findings],
    }


def _row(finding: Finding) -> dict[str, Any]:
    row: dict[str, Any] = _plain(finding.row)
    witness = first_witness(finding.verdict)
    return {
        **row,
        "remark": finding.row.remark,
        "witness": witness.sentence if witness else None,
        "isolation_kept": finding.verdict.isolation.value.value,
        "not_checked": list(finding.verdict.not_checked),
        "checks": [_check(check) for check in finding.verdict.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    """Give a check's finding with every operation that it names, for witnesses show the first ten only."""
    return {
        "name": check.name,
        "verdict": check.value.value,
        "summary": check.summary,
        "found": check.found,
        "named": _plain(check.named),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - what JSON can hold
    return msgspec.json.decode(msgspec.json.encode(value))
