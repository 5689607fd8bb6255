"""`rowrace plan`, `rowrace profile` and `rowrace version`: what would be run, and what runs it."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

from orchestrator import toml
from orchestrator.cli.options import configured, database_option, profile_of, profile_options

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Print the digest of a profile's plan, or its operations.")
@profile_options
@click.option("--list", "listed", is_flag=True, help="Print the operations, one JSON array a line.")
def plan(*, scenarios: tuple[str, ...], file: Path | None, listed: bool, **flags: Any) -> None:  # noqa: ANN401 - as in `run`
    """Print the plan's digest (sha256) per scenario: equal digests, equal operations, on every machine."""
    from orchestrator import plan as plans  # noqa: PLC0415 - the command has its name

    profile = profile_of(scenarios, file, flags)
    for scenario in profile.scenarios:
        if listed:
            for operation in plans.plan(profile, scenario):
                click.echo(plans.line(operation))
        else:
            click.echo(f"{plans.digest(profile, scenario)}  {scenario}")


@click.command(short_help="Print the profile that file and flags give, as TOML.")
@profile_options
@database_option
def profile(
    *,
    scenarios: tuple[str, ...],
    file: Path | None,
    database_url: str | None,
    **flags: Any,  # noqa: ANN401 - as in `run`
) -> None:
    """Print the whole profile as TOML; `rowrace run --profile` with it reproduces the run."""
    from orchestrator.groups import groups  # noqa: PLC0415 - only here, and the command has the module's name elsewhere
    from orchestrator.profile import Mode  # noqa: PLC0415 - as above

    built = profile_of(scenarios, file, flags)
    sqlite = not configured(database_url).database_given
    groups(built, eager=built.mode is Mode.EAGER, sqlite=sqlite)  # unknown names are told here, not when it is run
    click.echo(toml.dumps(built), nl=False)


@click.command(short_help="Print the version.")
def version() -> None:
    """Print rowrace's version."""
    click.echo(f"rowrace {_version()}")


def _version() -> str:
    try:
        return metadata.version("rowrace")
    except metadata.PackageNotFoundError:
        return "(not installed: run from a checkout)"
