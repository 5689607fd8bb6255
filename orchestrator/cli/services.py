"""`rowrace services` and `rowrace flower`: what runs around a run."""

from __future__ import annotations

import os
import shlex

import click

from orchestrator.cli.options import configured, service_options
from orchestrator.config import BROKER_URL, DATABASE_URL, mask
from orchestrator.errors import UsageError


@click.group(short_help="Keep embedded services up between runs.")
def services() -> None:
    """Keep an embedded PostgreSQL and Valkey up between runs; `rowrace run` finds them by itself."""


@services.command(short_help="Start the services, and print their URLs.")
def up() -> None:
    """Start the services unless they are up, and print how other programs find them."""
    from orchestrator.services import kept  # noqa: PLC0415 - only where it is needed

    found = kept.up(configured().state_dir)
    click.echo(f"export {DATABASE_URL}={shlex.quote(found.database_url)}")
    click.echo(f"export {BROKER_URL}={shlex.quote(found.broker_url)}")


@services.command()
def down() -> None:
    """Stop the services, and remove their data."""
    from orchestrator.services import kept  # noqa: PLC0415 - only where it is needed

    click.echo("Stopped." if kept.down(configured().state_dir) else "Nothing was up.")


@services.command()
def status() -> int:
    """Say whether the services are up; exit code 4 if they are not."""
    from orchestrator.services import kept  # noqa: PLC0415 - only where it is needed

    found = kept.status(configured().state_dir)
    if found is None:
        click.echo("Nothing is up.")
        return 4
    click.echo(f"Up: {mask(found.database_url)}, {mask(found.broker_url)}; logs in {found.folder}")
    return 0


@click.command(short_help="Start Flower, with authentication, against the broker.")
@service_options
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5555, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
def flower(*, database_url: str | None, broker_url: str | None, address: str, port: int) -> int:
    """Start Flower on the broker that was given or is kept up; user and password from ROWRACE_FLOWER_AUTH."""
    from orchestrator import flower as flowers  # noqa: PLC0415 - heavy
    from orchestrator.services import kept  # noqa: PLC0415 - only where it is needed

    config = configured(database_url, broker_url)
    up_ = None if config.broker_url else kept.status(config.state_dir)
    url = config.broker_url or (up_.broker_url if up_ else None)
    if url is None:
        raise UsageError(f"Flower needs a broker: first `rowrace services up`, or give --broker-url or {BROKER_URL}.")
    auth = config.flower_auth or flowers.random_auth()
    with flowers.serving(url, auth, address, port) as serving:
        said = "" if config.flower_auth else f", user and password {auth}"
        click.echo(f"Flower is at {serving.url}{said}; end it with Ctrl-C.", err=True)
        try:
            return serving.wait() and os.EX_SOFTWARE
        except KeyboardInterrupt:  # the end that was announced
            return 0
