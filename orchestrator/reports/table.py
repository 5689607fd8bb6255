"""The report on a terminal or in a file: one table, then witnesses and limits in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from orchestrator.reports.witness import check_lines
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from rich.console import RenderableType

    from orchestrator.reports.result import Finding, Report, Row

_STYLES: Final = {Value.VALID: "green", Value.INVALID: "bold red", Value.UNKNOWN: "yellow"}

_NUMBERS: Final = (
    "ops",
    "ok",
    "fail",
    "info",
    "attempts",
    "conflicts",
    "give-ups",
    "lost",
    "overlaps",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "max ms",
    "ops/s",
)


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


def table(report: Report) -> Table:
    """Build the table: a row per group."""
    built = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("scenario", "strategy", "isolation"):
        built.add_column(name, overflow="fold")
    for name in _NUMBERS:
        built.add_column(name, justify="right", overflow="fold")
    built.add_column("verdict", overflow="fold")
    built.add_column("expected", overflow="fold")
    for row in report.rows:
        *plain, verdict, expected = cells(row)
        style = "" if row.remark is None else "yellow"
        built.add_row(*plain, Text(verdict, style=_STYLES[row.verdict]), Text(expected, style=style))
    return built


def words(report: Report) -> Iterator[str]:
    """Say what the table can't: witnesses, open questions, the isolation kept, the rung, and how to run it again."""
    for finding in report.findings:
        yield from _finding(finding)
    if report.interrupted:
        yield f"Interrupted: {len(report.findings)} of {report.asked} groups are judged, on what was gathered of them."
    yield _isolation(report)
    yield f"It stood on {report.rung}."
    limits = dict.fromkeys(limit for finding in report.findings for limit in finding.verdict.not_checked)
    yield from (f"Not shown: {limit}" for limit in limits)
    yield from report.notes
    yield f"The run is in {report.folder}; run it again with: rowrace run --profile {report.folder}/profile.toml"


def _finding(finding: Finding) -> Iterator[str]:
    row = finding.row
    where = f"{row.scenario}, {row.strategy}, {row.isolation}"
    if row.verdict is not Value.VALID:
        yield f"{row.verdict.value}: {where}"
        deciding = [check for check in finding.verdict.checks if check.value is row.verdict]
        # What is unknown has several reasons, each of which must be mended; of what is wrong, one proof will do.
        for check in deciding[:1] if row.verdict is Value.INVALID else deciding:
            yield from check_lines(check)
    if row.remark == "control not provoked":
        yield f"Control not provoked ({where}): INVALID was expected, and nothing was caught; raise contention."
    yield from (f"Gate failed ({where}): {gate}" for gate in row.gates)


def _isolation(report: Report) -> str:
    broken = [finding for finding in report.findings if finding.verdict.isolation.value is not Value.VALID]
    if not report.findings:
        return "Isolation kept: UNKNOWN, nothing was raced."
    if not broken:
        return f"Isolation kept: VALID in {_groups(report)}: no anomaly that the level prohibits."
    names = "; ".join(f"{each.verdict.isolation.value} in {each.row.name}" for each in broken)
    return f"Isolation kept: {names}" + ("; VALID in the others." if len(broken) < len(report.findings) else ".")


def _groups(report: Report) -> str:
    count = len(report.findings)
    return "1 group" if count == 1 else f"all {count} groups"


def render(report: Report, stream: TextIO) -> None:
    """Write the report; on a terminal in colour and within its width, elsewhere as wide as it needs."""
    console = Console(file=stream, highlight=False)
    built = table(report)
    parts: list[RenderableType] = [built] if report.findings else []
    lines = list(words(report))
    if not console.is_terminal:
        widest = Measurement.get(console, console.options.update(width=10_000), built).maximum
        console = Console(file=stream, highlight=False, width=max([widest, *map(len, lines)]) + 1)
    console.print(Group(*parts, *(Text(line) for line in lines)))
