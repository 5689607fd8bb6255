"""The command `rowrace`: parses, calls, prints, exits."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import traceback
from typing import Final, NoReturn

import click

from orchestrator.errors import OrchestratorError

#: Command to module and one line of help; modules are imported when they are needed, so that the others start at once.
_COMMANDS: Final = {
    "run": ("run", "Race tasks on rows and judge what survived."),
    "verify": ("verify", "Judge a finished run's folder again."),
    "plan": ("show", "Print the digest of a profile's plan, or its operations."),
    "profile": ("show", "Print the profile that file and flags give, as TOML."),
    "services": ("services", "Keep embedded services up between runs."),
    "flower": ("services", "Start Flower, with authentication, against the broker."),
    "clean": ("clean", "Remove what ended and abandoned runs left."),
    "version": ("show", "Print the version."),
}

_EPILOG: Final = """\b
Exit codes, where several apply the first in the order 2, 4, 130, 1, 3:
  0    every verdict is the expected one, and every gate holds
  1    a verdict is not the expected one, or a gate failed (also: an unexpected error)
  2    wrong usage or configuration
  3    UNKNOWN, or INVALID was expected and nothing was provoked
  4    a service can't be reached or fails to start
  130  interrupted
"""


class _Commands(click.Group):
    """Imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"orchestrator.cli.{_COMMANDS[cmd_name][0]}")
        found: click.Command = getattr(module, cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def rowrace() -> None:
    """Race Celery tasks on real Postgres rows, and prove what survived."""


def main() -> NoReturn:
    """Run the command line and exit; whatever goes wrong is one sentence on stderr."""
    try:
        sys.exit(rowrace.main(prog_name="rowrace", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("rowrace: interrupted", err=True)
        sys.exit(130)
    except OrchestratorError as error:
        click.echo(f"rowrace: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - a traceback is for the log, a sentence for people
        click.echo(f"rowrace: {_unexpected(error)}", err=True)
        sys.exit(1)


def _unexpected(error: Exception) -> str:
    """Keep the traceback in a file, and name it."""
    handle, path = tempfile.mkstemp(prefix="rowrace-error-", suffix=".log", text=True)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(traceback.format_exc())
    return f"failed unexpectedly ({type(error).__name__}); the traceback is in {path}."
