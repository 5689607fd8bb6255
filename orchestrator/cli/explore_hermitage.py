"""`rowrace explore hermitage`: every case of the published table, at every level."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli.options import answering
from orchestrator.driver import need_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.hermitage.run import CaseResult

_INTERRUPTED: Final = 130


def print_table(database_url: str | None, *, as_json: bool) -> int:
    """Search each case at each level, and print the table; an interrupt prints what there is."""
    need_driver()
    from orchestrator.hermitage import run  # noqa: PLC0415 - heavy
    from orchestrator.hermitage.case import Level  # noqa: PLC0415 - as above

    results: list[CaseResult] = []
    total = len(run.CASES) * len(Level)
    interrupted = not _search(database_url, results, total)
    code = _INTERRUPTED if interrupted else _exit_code(results)
    if as_json:
        click.echo(json.dumps(_as_json(results, code), indent=2))
        return code
    if results:
        click.echo(f"{run.render(results)}\n")
    click.echo(_cut_short(results, total) if interrupted else _sentence(results, total))
    return code


def _search(database_url: str | None, results: list[CaseResult], total: int) -> bool:
    """Add result after result; says whether all are there, and not an interrupt's beginning."""
    from orchestrator.hermitage import run  # noqa: PLC0415 - heavy
    from orchestrator.interrupt import interruptible  # noqa: PLC0415 - only where it is needed

    with interruptible() as interrupt, ExitStack() as stack:
        try:
            with interrupt.raising():
                url = stack.enter_context(_server(database_url))
        except KeyboardInterrupt:
            return False
        advance = stack.enter_context(_progress(total))

        def note(result: CaseResult) -> None:
            results.append(result)
            advance(f"{result.case.name} at {result.level.value}")

        run.run_all(url, note, interrupt.asked.is_set)
    return not interrupt.asked.is_set()


def _exit_code(results: Sequence[CaseResult]) -> int:
    """Tell a contradiction of the published table (1) and an undecided case (3) from agreement."""
    if any(result.prevented is not None and not result.agrees for result in results):
        return 1
    return 3 if any(result.prevented is None for result in results) else 0


def _sentence(results: Sequence[CaseResult], total: int) -> str:
    agree = sum(result.agrees for result in results)
    schedules = sum(result.schedules for result in results)
    seconds = sum(result.seconds for result in results)
    return (
        f"{agree} of {total} agree with the published table; in parentheses the schedules that were run,"
        f" {schedules:,} in {seconds:.1f} s. Shown: a schedule with the anomaly was found. Prevented: a complete search"
        " proves that there is none."
    )


def _cut_short(results: Sequence[CaseResult], total: int) -> str:
    """Say what an interrupt has left: of what was not searched to its end nothing is known."""
    said = f"Search interrupted: {len(results)} of {total} results are there"
    return f"{said}. {_sentence(results, len(results))}" if results else f"{said}."


def _as_json(results: Sequence[CaseResult], code: int) -> dict[str, Any]:
    return {
        "cases": [
            {
                "case": result.case.name,
                "anomaly": result.case.anomaly,
                "title": result.case.title,
                "isolation": result.level.value,
                "prevented": result.prevented,
                "published": result.published,
                "agrees": result.agrees,
                "schedules": result.schedules,
                "seconds": result.seconds,
            }
            for result in results
        ],
        "interrupted": code == _INTERRUPTED,
        "exit_code": code,
    }


@contextmanager
def _server(database_url: str | None) -> Iterator[str]:
    """Give the URL of the server that was named, or of an embedded one."""
    url = answering(database_url)
    if url is not None:
        yield url
        return
    from orchestrator.controlled.embedded import embedded  # noqa: PLC0415 - only where it is needed

    with embedded() as started:
        yield started


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar on stderr, and only where that is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - heavy
    from rich.progress import Progress  # noqa: PLC0415 - as above

    console = Console(file=sys.stderr)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("hermitage", total=total)
        yield lambda text: bar.update(task, description=text, advance=1)
