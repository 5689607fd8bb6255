"""The report on a terminal or in a file: one table, then witnesses and limits in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from orchestrator.reports import recovery
from orchestrator.reports.asked import asked_for, counted
from orchestrator.reports.result import Exit
from orchestrator.reports.together import survivors
from orchestrator.reports.witness import check_lines
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import TextIO

    from rich.console import RenderableType

    from orchestrator.reports.result import Finding, Report, Row

#: What the exit code of a verdict says, where nothing was expected.
_VALUES: Final = {Exit.AS_EXPECTED: Value.VALID, Exit.NOT_AS_EXPECTED: Value.INVALID, Exit.UNKNOWN: Value.UNKNOWN}
_UNASKED: Final = "verify doesn't count what was expected"

_STYLES: Final = {Value.VALID: "green", Value.INVALID: "bold red", Value.UNKNOWN: "yellow"}

_NUMBERS: Final = (
    "ops",
    "ok",
    "fail",
    "info",
    "attempts",
    "conflicts",
    "give-ups",
    "lost updates",
    "overlaps",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "max ms",
    "ops/s",
)
_HEADERS: Final = ("scenario", "strategy", "isolation", *_NUMBERS, "verdict", "expected")

#: What a narrow terminal does without, the first ones first; report.txt and --json have everything.
_DISPENSABLE: Final = (
    *("max ms", "p95 ms", "info", "attempts", "ops", "p50 ms", "give-ups", "overlaps", "fail", "ops/s", "p99 ms"),
    *("conflicts", "expected", "ok"),
)

#: A line is not worth reading beyond this, however wide the terminal.
_READABLE: Final = 110


def cells(row: Row) -> list[str]:
    """Write a row's cells, in the order of the table's columns."""
    counts = (row.operations, row.ok, row.fail, row.info, row.attempts)
    found = (row.give_ups, row.lost_updates, row.overlaps)
    latencies = (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)
    return [
        *(row.scenario, row.strategy, row.isolation),
        *(str(count) for count in counts),
        f"{row.conflict_rate:.1%}",
        *(str(count) for count in found),
        *("-" if value is None else f"{value:.1f}" for value in latencies),
        "-" if row.operations_per_s is None else f"{row.operations_per_s:.0f}",
        row.verdict.value,
        row.expected.value + (f" ({row.remark})" if row.remark else ""),
    ]


def table(report: Report, without: Collection[str] = ()) -> Table:
    """Build the table: a row per group, and the columns that are not left out."""
    shown = [number for number, header in enumerate(_HEADERS) if header not in without]
    built = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in (_HEADERS[number] for number in shown):
        built.add_column(header, justify="right" if header in _NUMBERS else "left", overflow="fold")
    for row in report.rows:
        *plain, verdict, expected = cells(row)
        style = "" if row.remark is None else "yellow"
        written: list[str | Text] = [*plain, Text(verdict, style=_STYLES[row.verdict]), Text(expected, style=style)]
        built.add_row(*(written[number] for number in shown))
    return built


def fitting(report: Report, console: Console) -> tuple[Table, tuple[str, ...]]:
    """Leave out columns until the table fits; give it and what was left out."""
    for count in range(len(_DISPENSABLE) + 1):
        built = table(report, _DISPENSABLE[:count])
        if _width(built, console) <= console.width:
            break
    return built, _DISPENSABLE[:count]


def _width(built: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10_000), built).maximum


def words(report: Report, width: int = _READABLE) -> Iterator[str]:
    """Say what the table can't: witnesses, open questions, the isolation kept, the rung, and how to run it again."""
    for finding in report.findings:
        yield from _finding(finding, width)
        yield from recovery.lines(finding.row)
    if report.interrupted:
        yield f"Interrupted: {len(report.findings)} of {report.asked} groups are judged, on what was gathered of them."
    if report.findings:
        yield _expected(report)
    yield _isolation(report)
    yield from _evidence(report)
    yield from asked_for(report)
    yield f"It stood on {report.rung}."
    limits = dict.fromkeys(limit for finding in report.findings for limit in finding.verdict.not_checked)
    if limits:
        yield f"Not shown: {'; '.join(limits)}."
    yield from report.notes
    yield f"The run is in {report.folder}; run it again with: {report.command} --profile {report.folder}/profile.toml"


def _expected(report: Report) -> str:
    """Say in one line what the exit code says."""
    code = int(report.exit_code)
    if report.ends in (None, Exit.SERVICE):
        good = sum(row.remark is None for row in report.rows)
        return f"As expected: {good} of {counted(report.asked)}; exit code {code}."
    value = _VALUES.get(report.ends, Value.UNKNOWN)
    count = sum(row.verdict is value for row in report.rows)
    count += report.asked - len(report.rows) if value is Value.UNKNOWN else 0
    return f"{value.value} in {count} of {counted(report.asked)}; exit code {code} ({_UNASKED})."


def _finding(finding: Finding, width: int) -> Iterator[str]:
    row = finding.row
    where = f"{row.scenario}, {row.strategy}, {row.isolation}"
    if row.verdict is not Value.VALID:
        expected = ", as expected" if row.remark is None else ""
        yield f"{row.verdict.value}: {where}{expected}"
        deciding = [check for check in finding.verdict.checks if check.value is row.verdict]
        # What is unknown has several reasons, each of which must be mended; of what is wrong, one proof will do.
        for check in deciding[:1] if row.verdict is Value.INVALID else deciding:
            title, *rest = check_lines(check, width=width)
            yield f"  {title.removeprefix(check.value.value).lstrip()}"
            yield from rest
    if row.remark == "control not provoked":
        yield f"Control not provoked ({where}): INVALID was expected, and nothing was caught; raise contention."
    yield from (f"Gate failed ({where}): {gate}" for gate in row.gates)


def _isolation(report: Report) -> str:
    broken = [finding for finding in report.findings if finding.verdict.isolation.value is not Value.VALID]
    if not report.findings:
        return "Isolation kept: UNKNOWN, nothing was raced."
    if not broken:
        return f"Isolation kept by the database in {_groups(report)}: no anomaly that the level asked for prohibits."
    names = "; ".join(f"{each.verdict.isolation.value} in {each.row.name}" for each in broken)
    return f"Isolation kept: {names}" + ("; VALID in the others." if len(broken) < len(report.findings) else ".")


def _evidence(report: Report) -> Iterator[str]:
    """Say of each level that was raced at what was looked at, and what held beyond it."""
    levels = dict.fromkeys(finding.row.isolation for finding in report.findings)
    for level in levels:
        asked = [finding for finding in report.findings if finding.row.isolation == level]
        kept = [finding.verdict.dependencies for finding in asked if finding.verdict.isolation.value is Value.VALID]
        looked = [judgement for judgement in kept if judgement is not None]
        if looked:
            transactions, operations = (
                sum(getattr(judgement, name) for judgement in looked) for name in ("transactions", "operations")
            )
            strongest = " and ".join(survivors(looked)) or "none"
            yield (
                f"Raced at {level}, and got it in {counted(len(looked))}: {transactions:,} transactions with"
                f" {operations:,} reads and writes looked at; strongest model that held in all: {strongest}."
            )


def _groups(report: Report) -> str:
    count = len(report.findings)
    return "1 group" if count == 1 else f"all {count} groups"


def render(report: Report, stream: TextIO) -> None:
    """Write the report; on a terminal in colour and within its width, elsewhere as wide as it needs."""
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        lines = list(words(report))
        wide = Console(file=stream, highlight=False, width=10_000)
        console = Console(file=stream, highlight=False, width=max([_width(table(report), wide), *map(len, lines)]) + 1)
    built, left_out = fitting(report, console)
    parts: list[RenderableType] = [built] if report.findings else []
    if left_out and report.findings:
        parts.append(Text(f"Not enough columns for {', '.join(left_out)}: see report.txt."))
    console.print(Group(*parts, *(Text(line) for line in words(report, min(console.width, _READABLE)))))
