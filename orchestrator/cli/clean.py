"""`rowrace clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import configured, runs_option, service_options
from orchestrator.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.clean import Leavings
    from orchestrator.resumable import Waiting


@click.command(short_help="Remove what ended and abandoned runs left.")
@service_options
@runs_option
@click.option("--folders", is_flag=True, help="Remove runs' folders too: profiles, histories, reports.")
@click.option(
    "--forget",
    multiple=True,
    metavar="RUN",
    help="Remove only what this waiting run would be resumed with; its services are not asked, and may be gone.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def clean(
    *,
    database_url: str | None,
    broker_url: str | None,
    runs_dir: Path | None,
    folders: bool,
    forget: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Remove schemas, queues and data of runs that ended, were abandoned or wait for `rowrace resume`.

    Living runs are left alone.
    """
    from orchestrator import clean as cleaning  # noqa: PLC0415 - heavy
    from orchestrator.services import kept  # noqa: PLC0415 - only where it is needed

    config = configured(database_url, broker_url, runs_dir)
    if forget:
        found = cleaning.find_named(forget, config.runs_dir, folders=folders)
        if not dry_run:
            cleaning.remove_here(found)
        _tell(found, dry_run=dry_run)
        return
    up = kept.status(config.state_dir)
    database, broker = config.database_url or (up and up.database_url), config.broker_url or (up and up.broker_url)
    if database and broker:
        try:
            found = cleaning.find(database, broker, config.runs_dir, folders=folders)
        except ServiceError:
            _tell_elsewhere(cleaning.find_here(config.runs_dir, folders=False).elsewhere)
            raise
        if not dry_run:
            cleaning.remove(found, database, broker)
    elif database or broker:
        raise UsageError("Cleaning needs both the database's and the broker's URL.")
    else:
        # Embedded services take schemas and queues with them when they end.
        found = cleaning.find_here(config.runs_dir, folders=folders)
        if not dry_run:
            cleaning.remove_here(found)
    _tell(found, dry_run=dry_run)


def _tell(found: Leavings, *, dry_run: bool) -> None:
    verb = "Would remove" if dry_run else "Removed"
    for schema in found.schemas:
        click.echo(f"{verb} schema {schema}")
    for run in found.queues:
        click.echo(f"{verb} queue rowrace.{run}")
    for folder in found.data:
        click.echo(f"{verb} data {folder}")
    for folder in found.waiting:
        click.echo(f"{verb} what run {folder.name} would be resumed with")
    for folder in found.folders:
        click.echo(f"{verb} folder {folder}")
    _tell_elsewhere(found.elsewhere)
    if found == type(found)():
        click.echo("Nothing to remove.")


def _tell_elsewhere(found: Iterable[Waiting]) -> None:
    """Tell of runs that wait on services which were not cleaned, and how each can be let go."""
    for each in found:
        where = f"{each.base.database_url} and {each.base.broker_url}" if each.base else "no services"
        click.echo(
            f"Left waiting: run {each.run}, on {where}: clean with these URLs, or if they are gone with"
            f" `rowrace clean --forget {each.run}`."
        )
