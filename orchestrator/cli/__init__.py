"""The command `rowrace`: parses, calls, prints, exits."""

from __future__ import annotations

import contextlib
import errno
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
    "explore": ("explore", "Search interleavings of tasks for conflicts."),
    "resume": ("resume", "Bring a run whose orchestrator was killed to its end."),
    "verify": ("verify", "Judge a run's folder again, or another system's history."),
    "plan": ("show", "Print the digest of a profile's plan, or its operations."),
    "profile": ("show", "Print the profile that file and flags give, as TOML."),
    "faults": ("faults", "List the faults that a plan may name, and the mistakes."),
    "gallery": ("gallery", "Provoke the failures that Celery teams meet, and prevent each."),
    "hosts": ("hosts", "Race across hosts laid out on this machine (root, Linux)."),
    "services": ("services", "Keep embedded services up between runs."),
    "flower": ("services", "Start Flower, with authentication, against the broker."),
    "clean": ("clean", "Remove what ended and abandoned runs left."),
    "version": ("show", "Print the version."),
}

#: What a file, a pipe or a device without room answers to a write.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

#: Nobody read to the end, as a shell says of a program that SIGPIPE ended; no verdict has this code.
_UNREAD: Final = 141

_EPILOG: Final = """\b
Exit codes, where several apply the first in the order 2, 4, 130, 1, 3:
  0    Every verdict is the expected one, and every gate holds
  1    A verdict is not the expected one, or a gate failed (also: an unexpected error)
  2    Wrong usage or configuration
  3    UNKNOWN, or INVALID was expected and nothing was provoked
  4    A service can't be reached, fails to start or stops answering; groups judged before are reported
  130  Interrupted
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


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    if asked:
        ctx.invoke(rowrace.get_command(ctx, "version"))  # type: ignore[arg-type] # it is one of the commands
        ctx.exit()


@click.group(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)
def rowrace() -> None:
    """Race Celery tasks on real Postgres rows, and prove what survived."""


def main() -> NoReturn:
    """Run the command line and exit; whatever goes wrong is one sentence on stderr."""
    output = sys.stdout
    if output is None:  # closed by whoever started it: nothing would be read, and files that are opened take its place
        click.echo("rowrace: Output can't be written: stdout is closed.", err=True)
        sys.exit(2)
    try:
        code = rowrace.main(prog_name="rowrace", standalone_mode=False) or 0
        sys.stdout.flush()  # what can't be written is told here, not by the interpreter at its end
        sys.exit(code)
    except click.ClickException as error:
        _tell(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("rowrace: interrupted", err=True)
        sys.exit(130)
    except OrchestratorError as error:
        click.echo(f"rowrace: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as ended:  # where nobody reads, click wraps the output up and ends with 1
        sys.exit(ended.code if sys.stdout is output else _UNREAD)
    except BrokenPipeError:
        sys.stderr.close()  # nobody reads any more
        sys.exit(_UNREAD)
    except OSError as error:
        sys.exit(_unwritable(error) if error.errno in _FULL and error.filename is None else _failed(error))
    except Exception as error:  # noqa: BLE001 - a traceback is for the log, a sentence for people
        sys.exit(_failed(error))


def _tell(error: click.ClickException) -> None:
    """Say what click found in our style; a command without its subcommand shows its help."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # since click 8.2
        error.show()
    else:
        click.echo(f"rowrace: {' '.join(error.format_message().split())}", err=True)


def _unwritable(error: OSError) -> int:
    """Say that output has no room; what is still held back is dropped, or the interpreter would try again."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    click.echo(f"rowrace: Output can't be written: {(error.strerror or 'error').lower()}.", err=True)
    return 2


def _failed(error: Exception) -> int:
    click.echo(f"rowrace: {_unexpected(error)}", err=True)
    return 1


def _unexpected(error: Exception) -> str:
    """Keep the traceback in a file, and name it."""
    handle, path = tempfile.mkstemp(prefix="rowrace-error-", suffix=".log", text=True)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(traceback.format_exc())
    return f"failed unexpectedly ({type(error).__name__}); the traceback is in {path}."
