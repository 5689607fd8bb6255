"""`rowrace verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command(short_help="Judge a finished run's folder again.")
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def verify(*, path: Path, as_json: bool) -> int:
    """Judge the history in RUN, a run's folder or a group's, again; exit 0 VALID, 1 INVALID, 3 UNKNOWN."""
    from orchestrator.again import again, exit_code  # noqa: PLC0415 - heavy
    from orchestrator.reports import result, table  # noqa: PLC0415 - as above

    report = again(path)
    code = exit_code(report)
    if as_json:
        click.echo(json.dumps({**result.as_json(report), "exit_code": int(code)}, indent=2))
    else:
        table.render(report, sys.stdout)
    return int(code)
