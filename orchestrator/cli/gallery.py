"""`rowrace gallery`."""

from __future__ import annotations

import difflib
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import configured, runs_option, service_options
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.gallery import Failure, Shown


@click.command(short_help="Provoke the failures that Celery teams meet, and prevent each.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@service_options
@runs_option
@click.option("--list", "only_list", is_flag=True, help="List the failures, and race nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print a list, one object a failure, instead of the table.")
def gallery(
    *,
    names: tuple[str, ...],
    database_url: str | None,
    broker_url: str | None,
    runs_dir: Path | None,
    only_list: bool,
    as_json: bool,
) -> int:
    """Provoke each failure NAME (all without names) for real, say what the verifier found, and race it prevented."""
    from orchestrator.reports import gallery as reports  # noqa: PLC0415 - heavy

    chosen = _chosen(names)
    if only_list:
        for failure in chosen:
            click.echo(f"{failure.name}: {failure.story}")
        return 0
    config = configured(database_url, broker_url, runs_dir)
    from orchestrator.gallery.showing import show  # noqa: PLC0415 - heavy
    from orchestrator.interrupt import interruptible  # noqa: PLC0415 - as above

    shown: list[Shown] = []
    with interruptible() as interrupt, _progress(len(chosen)) as tell:
        for each in show(chosen, config, interrupt, lambda text: tell(text, len(shown))):
            shown.append(each)  # noqa: PERF402 - what was shown before an interrupt is told
    if as_json:
        click.echo(json.dumps(reports.as_json(shown), indent=2))
    else:
        reports.render(shown, len(chosen), sys.stdout)
    return int(reports.exit_code(shown, len(chosen)))


def _chosen(names: tuple[str, ...]) -> list[Failure]:
    from orchestrator.gallery import FAILURES  # noqa: PLC0415 - heavy

    for name in names:
        if name not in FAILURES:
            close = difflib.get_close_matches(name, FAILURES, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"Unknown failure {name}: {hint}`rowrace gallery --list` names them all.")
    return [FAILURES[name] for name in dict.fromkeys(names)] or list(FAILURES.values())


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str, int], None]]:
    """Show a bar on stderr, and only where that is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - heavy
    from rich.progress import Progress  # noqa: PLC0415 - as above

    console = Console(file=sys.stderr)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("gallery", total=total)
        yield lambda text, done: bar.update(task, description=text, completed=done)
