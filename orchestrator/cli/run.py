"""`rowrace run`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import configured, profile_of, profile_options, runs_option, service_options, text_path

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.reports.result import Report


@click.command(short_help="Race tasks on rows and judge what survived.")
@profile_options
@service_options
@runs_option
@click.option("--keep", is_flag=True, help="Leave the groups' schemas in the database; `rowrace clean` removes them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("--junit", type=text_path(dir_okay=False), help="Write the result as JUnit XML too.")
def run(
    *,
    scenarios: tuple[str, ...],
    file: Path | None,
    database_url: str | None,
    broker_url: str | None,
    runs_dir: Path | None,
    keep: bool,
    as_json: bool,
    junit: Path | None,
    **flags: Any,  # noqa: ANN401 - a flag per key of the profile, checked by `profile_of`
) -> int:
    """Race SCENARIO... (credits, config, requests) and judge what survived; see `rowrace --help` for exit codes."""
    profile = profile_of(scenarios, file, flags)
    config = configured(database_url, broker_url, runs_dir)
    if junit is not None:
        check_writable(junit)
    from orchestrator.interrupt import interruptible  # noqa: PLC0415 - heavy, and wrong usage is told before
    from orchestrator.reports.live import LiveView  # noqa: PLC0415 - as above
    from orchestrator.run import run as race  # noqa: PLC0415 - as above

    with interruptible() as interrupt, LiveView(sys.stderr) as watch:
        report = race(profile, config, watch, interrupt, keep=keep)
    tell(report, as_json=as_json, junit=junit)
    return int(report.exit_code)


def check_writable(path: Path) -> None:
    """Refuse, before anything is started, a file that can't be written."""
    from orchestrator.reports.junit import check  # noqa: PLC0415 - only where it is needed

    check(path)


def tell(report: Report, *, as_json: bool, junit: Path | None) -> None:
    """Print a run's report, and write it where that was asked for."""
    from orchestrator.reports import result, table  # noqa: PLC0415 - heavy
    from orchestrator.reports.junit import write  # noqa: PLC0415 - as above

    try:
        if junit is not None:
            write(report, junit)
    finally:  # a race's result is told even where the file can't be written
        if as_json:
            click.echo(json.dumps(result.as_json(report), indent=2))
        else:
            table.render(report, sys.stdout)
        if report.ends is result.Exit.SERVICE:  # its last note is the error
            click.echo(f"rowrace: {report.notes[-1]}", err=True)
