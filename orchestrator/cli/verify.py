"""`rowrace verify`."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import text_path
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.foreign import Format
    from orchestrator.verifier.verdict import Judgement

#: `orchestrator.foreign.Format`, which is imported only when the command is called.
_FORMATS = ("auto", "run", "list-append", "plain")


def _once(_: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Give a flag's one value; of several none is more meant than the others."""
    if len(values) > 1:
        raise UsageError(f"{param.opts[0]} is given {len(values)} times; give it once.")
    return values[0] if values else None


@click.command(short_help="Judge a finished run's folder, or another system's history.")
@click.argument("path", metavar="PATH", type=text_path())
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    multiple=True,
    callback=_once,
    help="What PATH holds; auto tells a run's or group's folder, list-append and the plain form apart [default: auto].",
)
@click.option(
    "--level",
    metavar="NAME",
    multiple=True,
    callback=_once,
    help="Consistency model to hold it to; default: the strictest that its times and sessions let be looked at, as a"
    " rule strict-serializable; a run is held to it beside its own checks.",
)
@click.option(
    "--versions",
    type=click.Choice(("counted", "ordered")),
    multiple=True,
    callback=_once,
    help="Versions of the plain form: counted by one from 0, or of an order alone [default: counted].",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the report.")
def verify(*, path: Path, form: str | None, level: str | None, versions: str | None, as_json: bool) -> int:
    """Judge the history in PATH; exit 0 VALID, 1 INVALID, 3 UNKNOWN, 2 where it is malformed.

    PATH is a run's folder or a group's, or a history that another system made (docs/foreign-histories.md).
    """
    from orchestrator.foreign import Format, format_of, judged, level_of, seekable  # noqa: PLC0415 - heavy

    model = level_of(level) if level is not None else None
    format_ = Format(form or "auto")
    _for_plain(path, format_, versions)
    with seekable(path) as file:
        if format_ is Format.AUTO:
            format_ = format_of(file)
            _for_plain(path, format_, versions)
        if format_ is Format.RUN:
            return _run(file, model, as_json=as_json)
        with _status(f"reading and judging {path}"):
            judgement = judged(file, format_, level, ordered=versions == "ordered")
    return _foreign(path, judgement, level, as_json=as_json)


def _for_plain(path: Path, format_: Format, versions: str | None) -> None:
    """Refuse a flag that would change nothing."""
    if versions is not None and format_ not in ("auto", "plain"):
        raise UsageError(f"--versions is for the plain form alone, and {path} is taken for {format_}.")


def _run(path: Path, level: str | None, *, as_json: bool) -> int:
    from orchestrator.again import again, exit_code  # noqa: PLC0415 - heavy
    from orchestrator.reports import table, together  # noqa: PLC0415 - as above

    report = again(path, level)
    code = exit_code(report)
    if as_json:
        click.echo(json.dumps(together.as_json(report, code, level), indent=2))
    else:
        table.render(report, sys.stdout)
    return int(code)


def _foreign(path: Path, judgement: Judgement, level: str | None, *, as_json: bool) -> int:
    from orchestrator.foreign import exit_code  # noqa: PLC0415 - heavy
    from orchestrator.reports import judgement as reports  # noqa: PLC0415 - as above

    code = exit_code(judgement)
    if as_json:
        click.echo(json.dumps({**reports.as_json(judgement), "exit_code": int(code)}, indent=2))
    else:
        reports.render(judgement, level or judgement.level, str(path), sys.stdout)
    return int(code)


@contextmanager
def _status(text: str) -> Iterator[None]:
    """Say on stderr what takes its time, and only where that is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - heavy

    console = Console(file=sys.stderr, highlight=False)
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield
