"""`rowrace verify`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import text_path

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Judge a finished run's folder again.")
@click.argument("path", metavar="RUN", type=text_path())
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
