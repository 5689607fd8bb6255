"""`rowrace resume`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from orchestrator.cli.options import configured, runs_option, service_options, text_path
from orchestrator.cli.run import check_writable, tell
from orchestrator.driver import need_driver
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Bring a run whose orchestrator was killed to its end.")
@click.argument("run", metavar="[RUN]", required=False)
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
    run: str | None,
    database_url: str | None,
    broker_url: str | None,
    runs_dir: Path | None,
    republish: bool | None,
    as_json: bool,
    junit: Path | None,
) -> int:
    """Bring RUN, by its id or its folder, to its end, and judge it; see `rowrace --help` for exit codes.

    Without RUN, list the runs that wait.  A run that stood on given services needs their URLs again; one that has
    services of its own takes none.
    """
    config = configured(database_url, broker_url, runs_dir)
    if run is None:
        _refuse_alone({"--republish": republish is not None, "--junit": junit is not None})
        _list(config.runs_dir, runs_dir, as_json=as_json)
    if junit is not None:
        check_writable(junit)
    need_driver()
    from orchestrator.interrupt import interruptible  # noqa: PLC0415 - heavy, and wrong usage is told before
    from orchestrator.reports.live import LiveView  # noqa: PLC0415 - as above
    from orchestrator.resume import folder_of  # noqa: PLC0415 - as above
    from orchestrator.resume import resume as go_on  # noqa: PLC0415 - as above

    folder = folder_of(run, config.runs_dir)
    with interruptible() as interrupt, LiveView(sys.stderr) as watch:
        report = go_on(folder, config, watch, interrupt, republish=republish, urls=(database_url, broker_url))
    tell(report, as_json=as_json, junit=junit)
    return int(report.exit_code)


def _refuse_alone(given: dict[str, bool]) -> None:
    """Refuse flags that change nothing where runs are listed."""
    for flag, is_given in given.items():
        if is_given:
            raise UsageError(f"{flag} is for a run that is resumed: say which, `rowrace resume RUN`, or leave it out.")


def _list(where: Path, flag: Path | None, *, as_json: bool) -> NoReturn:
    """List the runs that wait, and end: which of them is meant must be said."""
    from orchestrator import resumable  # noqa: PLC0415 - only where it is needed

    found = resumable.waiting_runs(where)
    if as_json:
        click.echo(json.dumps({"waiting": [resumable.as_json(each, flag) for each in found]}, indent=2))
    else:
        click.echo("".join(f"{line}\n" for each in found for line in resumable.lines(each, flag)), nl=False)
    if found:
        raise UsageError("Say which run is to be resumed: `rowrace resume RUN`.")
    raise UsageError(f"No run waits in {where} (--runs-dir says where runs are).")
