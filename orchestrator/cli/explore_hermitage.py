"""`rowrace explore hermitage`: every case of the published table, at every level."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import answering
from orchestrator.driver import need_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.hermitage.run import CaseResult


def print_table(database_url: str | None, *, as_json: bool) -> int:
    """Search each case at each level, and print the table; an interrupt prints what there is."""
    need_driver()
    from orchestrator.hermitage import run  # noqa: PLC0415 - heavy
    from orchestrator.hermitage.case import Level  # noqa: PLC0415 - as above

    results: list[CaseResult] = []
    total = len(run.CASES) * len(Level)
    interrupted = False
    try:
        with _server(database_url) as url, _progress(total) as advance:

            def note(result: CaseResult) -> None:
                results.append(result)
                advance(f"{result.case.name} at {result.level.value}")

            run.run_all(url, note)
    except KeyboardInterrupt:
        interrupted = True
    code = 130 if interrupted else _exit_code(results)
    if as_json:
        click.echo(json.dumps(_as_json(results, code), indent=2))
    else:
        click.echo(run.render(results))
        click.echo(f"\n{_sentence(results, total)}")
    return code


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
