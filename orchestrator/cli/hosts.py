"""`rowrace hosts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli.options import configured, profile_of, profile_options, runs_option, text_path
from orchestrator.driver import need_driver
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.profile import Profile

#: Worker hosts where neither flag nor profile says.
_HOSTS: Final = 2

#: Keys that a layout decides by itself, and their flags.
_DECIDED: Final = {"nodes": "--nodes", "hosts": "--hosts", "workers": "--workers"}


@click.command(short_help="Race across hosts laid out on this machine (root, Linux).")
@profile_options
@runs_option
@click.option(
    "--worker-hosts",
    "--workers-hosts",
    type=click.IntRange(1, 64),
    help=f"Worker hosts, a node on each; default: the profile's, else {_HOSTS}.",
)
@click.option(
    "--compose", type=text_path(dir_okay=False), help="File whose commands are started, instead of the project's own."
)
@click.option("--logs", type=text_path(file_okay=False), metavar="DIR", help="Keep what services wrote: a file a host.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("--junit", type=text_path(dir_okay=False), help="Write the result as JUnit XML too.")
def hosts(
    *,
    scenarios: tuple[str, ...],
    file: Path | None,
    runs_dir: Path | None,
    worker_hosts: int | None,
    compose: Path | None,
    logs: Path | None,
    as_json: bool,
    junit: Path | None,
    **flags: Any,  # noqa: ANN401 - a flag per key of the profile, checked by `profile_of`
) -> int:
    """Lay out hosts, start on each what docker-compose.yml declares, race SCENARIO... across them, tear all down.

    The hosts are orchestrator, database, broker, worker1, worker2, ...; a fault plan may cut them off from each other:
    --faults partition:worker1-database:at=2s:for=3s:how=silent:way=both
    """
    for key, flag in _DECIDED.items():
        if flags.get(key) is not None:
            raise UsageError(f"There is one node on each worker host: leave {flag} away, and say --worker-hosts.")
    profile = profile_of(scenarios, file, flags)
    config = configured(runs_dir=runs_dir)
    need_driver()
    from orchestrator.hosts import racing  # noqa: PLC0415 - heavy, and wrong usage is told before
    from orchestrator.hosts.compose import FILE  # noqa: PLC0415 - as above
    from orchestrator.interrupt import interruptible  # noqa: PLC0415 - as above

    wanted = racing.Wanted(
        profile=profile,
        workers=worker_hosts or _promised(profile),
        file=compose or FILE,
        runs_dir=config.runs_dir,
        logs=logs,
        arguments=_arguments(junit, as_json=as_json),
    )
    with interruptible() as interrupt:
        return racing.race(wanted, interrupt, lambda text: click.echo(f"rowrace: {text}", err=True))


def _promised(profile: Profile) -> int:
    """Worker hosts of a profile that an earlier run on hosts wrote down."""
    from orchestrator.profile import Workers  # noqa: PLC0415 - as above

    return profile.hosts if profile.workers is Workers.EXTERNAL else _HOSTS


def _arguments(junit: Path | None, *, as_json: bool) -> tuple[str, ...]:
    """Hand over to the run how it reports."""
    return (*(("--json",) if as_json else ()), *(("--junit", str(junit.absolute())) if junit else ()))
