"""`rowrace faults`."""

from __future__ import annotations

import json
import sys

import click


@click.command(short_help="List the faults that a plan may name, and the mistakes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the tables.")
def faults(*, as_json: bool) -> int:
    """List what `--faults` and `--mistakes` take; docs/faults.md explains them."""
    from orchestrator.reports import faults as reports  # noqa: PLC0415 - heavy

    if as_json:
        click.echo(json.dumps(reports.as_json(), indent=2))
    else:
        reports.render(sys.stdout)
    return 0
