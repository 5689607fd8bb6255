"""What `--help` says, of every command alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


def _described(command: click.Command, context: click.Context) -> Iterator[str]:
    """Give all that a command's help says, of its subcommands too."""
    yield command.help or ""
    yield from [command.get_short_help_str(limit=1_000)]
    yield from (each.help or "" for each in command.params if isinstance(each, click.Option))
    codes = (command.epilog or "").splitlines()[2:]
    yield from (line.split(maxsplit=1)[1] for line in codes)
    if isinstance(command, click.Group):
        for found in (command.get_command(context, name) for name in command.list_commands(context)):
            assert found is not None
            yield from _described(found, context)


def test_whatever_help_says_begins_with_a_capital() -> None:
    """Commands, options and exit codes alike."""
    said = list(_described(cli.rowrace, click.Context(cli.rowrace)))
    assert [] == [text for text in said if not text[:1].isupper()]
