"""`rowrace explore`."""

from __future__ import annotations

import json
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli.options import answering
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.explore import Found

#: The one scenario that is a table: every published case at every level.
_HERMITAGE: Final = "hermitage"

_POLICIES: Final = ("portfolio", "dpor", "exhaustive", "bounded", "pct", "pos", "random")
_LEVELS: Final = ("read committed", "repeatable read", "serializable")

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

#: What a replay ends with that asked for what the bodies no longer do.
_DIVERGED: Final = 3

_EPILOG: Final = """\b
Exit codes:
  0    A complete search found nothing (or a sample, with --accept-sample)
  1    Found (hermitage: a result contradicts the published table)
  2    Wrong usage
  3    A sample found nothing; a replay diverged
  4    A service can't be reached or fails to start
  130  Interrupted
"""


def _duration(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Read seconds that are written as `300ms`, `10s` or `2m`."""
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", value)
    length = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if length <= 0:
        raise UsageError(f"--budget is {value!r}: write a duration above 0, such as 300ms, 10s or 2m.")
    return length


def _stripped(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Leave out the blanks that copying has left around a token."""
    return value if value is None else value.strip()


@click.command(short_help="Search interleavings of two or more tasks for conflicts.", epilog=_EPILOG)
@click.argument("scenario", metavar="SCENARIO")
@click.option("--strategy", metavar="NAME", help="How the tasks guard against conflict [default: naive].")
@click.option("--isolation", type=click.Choice(_LEVELS), help="Level, on PostgreSQL [default: read committed].")
@click.option("--operations", type=click.IntRange(1), help="Operations, each a task [default: 2].")
@click.option("--workers", type=click.IntRange(1), help="Logical workers that take them [default: 2].")
@click.option("--backend", type=click.Choice(("sqlite", "postgres")), help="Database [default: sqlite].")
@click.option("--database-url", metavar="URL", help="PostgreSQL; default: ROWRACE_DATABASE_URL, else embedded.")
@click.option("--policy", type=click.Choice(_POLICIES), help="Who decides on the next schedule [default: portfolio].")
@click.option("--budget", metavar="DURATION", callback=_duration, help="Longest search: 300ms, 10s, 2m [default: 10s].")
@click.option("--schedules", type=click.IntRange(1), help="Most schedules [default: as many as the budget allows].")
@click.option("--preemptions", type=click.IntRange(0), help="Most preemptions, with --policy bounded.")
@click.option("--crashes", type=click.IntRange(0), help="Crashes of workers that a schedule may have [default: 0].")
@click.option("--all", "keep_going", is_flag=True, help="Go on after the first failure, and group what is found.")
@click.option(
    "--replay", metavar="TOKEN", callback=_stripped, help="Run the one schedule that TOKEN names, and print it."
)
@click.option("--accept-sample", is_flag=True, help="End with 0 where a search that was not complete found nothing.")
@click.option("--seed", type=int, help="Seed of the operations and of what policies draw [default: 1].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the report.")
def explore(*, scenario: str, as_json: bool, accept_sample: bool, **flags: Any) -> int:  # noqa: ANN401 - a flag's value
    """Search the interleavings of SCENARIO's tasks (credits, config), or print the table of Hermitage's cases.

    A complete search that finds nothing proves that there is nothing: for these tasks, rows and bounds.
    """
    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    if scenario == _HERMITAGE:
        return _hermitage(given, as_json=as_json)
    return _search(scenario, given, as_json=as_json, accept_sample=accept_sample)


def _search(scenario: str, given: dict[str, Any], *, as_json: bool, accept_sample: bool) -> int:
    settings = _settings(given)
    from orchestrator.explore import explore_scenario  # noqa: PLC0415 - heavy, and wrong usage is told before
    from orchestrator.explorer.scheduler import Divergence, ExplorerError  # noqa: PLC0415 - as above
    from orchestrator.interrupt import interruptible  # noqa: PLC0415 - as above
    from orchestrator.reports import exploration  # noqa: PLC0415 - as above
    from orchestrator.reports.live_search import LiveSearch  # noqa: PLC0415 - as above

    try:
        with interruptible() as interrupt, LiveSearch(sys.stderr, interrupt) as live:
            found = explore_scenario(scenario, tell=live.tell, **settings)
    except Divergence as error:
        click.echo(f"rowrace: the replay diverged: {error}", err=True)
        return _DIVERGED
    except ExplorerError as error:
        raise UsageError(str(error)) from error
    code = 130 if interrupt.asked.is_set() else exploration.exit_code(found, accept_sample=accept_sample)
    _tell(found, code, scenario, given, as_json=as_json)
    return code


def _tell(found: Found, code: int, scenario: str, given: dict[str, Any], *, as_json: bool) -> None:
    from orchestrator.reports import exploration  # noqa: PLC0415 - only where it is needed

    if as_json:
        click.echo(json.dumps(exploration.as_json(found, code), indent=2))
        return
    every = "keep_going" in given
    for line in exploration.lines(found, lambda token: _command(scenario, given, token), every=every):
        click.echo(line)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """Turn flags into arguments, and refuse those that would change nothing."""
    settings = dict(given)
    if "preemptions" in given and given.get("policy") != "bounded":
        raise UsageError("--preemptions bounds the policy `bounded`: give --policy bounded too.")
    url = settings.pop("database_url", None)
    if given.get("backend", "sqlite") == "sqlite":
        if url is not None:
            raise UsageError("--database-url is for PostgreSQL: give --backend postgres too.")
        if "isolation" in given:
            raise UsageError("SQLite has one isolation of its own: leave --isolation out, or give --backend postgres.")
    else:
        settings["backend"] = answering(url) or "postgres"
    return settings


def _command(scenario: str, given: dict[str, Any], token: str) -> str:
    """Write the command that replays a token: what decides on the bodies stays, what decides on the search goes."""
    words = ["rowrace", "explore", scenario]
    for name in ("strategy", "isolation", "operations", "workers", "backend", "crashes", "seed"):
        if name in given:
            words += [f"--{name}", str(given[name])]
    return shlex.join([*words, "--replay", token])


def _hermitage(given: dict[str, Any], *, as_json: bool) -> int:
    beyond = [name for name in given if name != "database_url"]
    if beyond:
        flag = "--all" if beyond[0] == "keep_going" else f"--{beyond[0].replace('_', '-')}"
        raise UsageError(f"{flag} is for a scenario's search; `hermitage` is all cases at all levels on PostgreSQL.")
    from orchestrator.cli.explore_hermitage import print_table  # noqa: PLC0415 - only where it is needed

    return print_table(given.get("database_url"), as_json=as_json)
