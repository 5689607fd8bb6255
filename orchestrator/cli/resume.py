"""`rowrace resume`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import configured, runs_option, service_options, text_path
from orchestrator.cli.run import check_writable, tell
from orchestrator.driver import need_driver

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Bring a run whose orchestrator was killed to its end.")
@click.argument("run", metavar="RUN")
@service_options
@runs_option
@click.option(
    "--republish/--no-republish",
    default=None,
    help="Publish again what was lost; counted and shown [default: the profile's].",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("--junit", type=text_path(dir_okay=False), help="Write the result as JUnit XML too.")
def resume(
    *,
    run: str,
    database_url: str | None,
    broker_url: str | None,
    runs_dir: Path | None,
    republish: bool | None,
    as_json: bool,
    junit: Path | None,
) -> int:
    """Bring RUN, by its id or its folder, to its end, and judge it; see `rowrace --help` for exit codes.

    A run that stood on given services needs their URLs again.
    """
    config = configured(database_url, broker_url, runs_dir)
    if junit is not None:
        check_writable(junit)
    need_driver()
    from orchestrator.interrupt import interruptible  # noqa: PLC0415 - heavy, and wrong usage is told before
    from orchestrator.reports.live import LiveView  # noqa: PLC0415 - as above
    from orchestrator.resume import folder_of  # noqa: PLC0415 - as above
    from orchestrator.resume import resume as go_on  # noqa: PLC0415 - as above

    folder = folder_of(run, config.runs_dir)
    with interruptible() as interrupt, LiveView(sys.stderr) as watch:
        report = go_on(folder, config, watch, interrupt, republish=republish)
    tell(report, as_json=as_json, junit=junit)
    return int(report.exit_code)
