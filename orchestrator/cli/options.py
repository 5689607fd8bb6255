"""A flag for every key of a profile, made from the profile's own types."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator import toml
from orchestrator.config import BROKER_URL, DATABASE_URL, broker_url, database_url, load
from orchestrator.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.config import Config
    from orchestrator.profile import Profile

Command = TypeVar("Command", bound="Callable[..., Any]")

#: Second names of flags.
_ALSO = {"--strategy": ("--strategies",), "--nodes": ("--expect-nodes",), "--hosts": ("--expect-hosts",)}


#: In a URL's place: a database of the run's own.
_EMBEDDED = "embedded"


class _TextPath(click.Path):
    """A path that is not the empty text, which `Path` would take for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        if value == "" and param is not None:
            name = param.opts[0] if isinstance(param, click.Option) else str(param.metavar)
            raise UsageError(f"{name} takes a path, not an empty text.")
        return super().convert(value, param, ctx)


def text_path(*, file_okay: bool = True, dir_okay: bool = True) -> click.Path:
    """Make a flag's or an argument's type: a path, which need not exist."""
    return _TextPath(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)


def profile_options(command: Command) -> Command:
    """Give a command its scenarios, `--profile`, and a flag for each key."""
    for key in reversed(toml.known()):
        if key.path != ("scenarios",):
            command = _option(key)(command)
    command = click.option(
        "--profile", "file", type=text_path(dir_okay=False), help="Profile in TOML; flags override it."
    )(command)
    return click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")(command)


def _option(key: toml.Key) -> Callable[[Command], Command]:
    name = "__".join(key.path)
    if key.switch:
        return click.option(f"{key.flag}/--no-{key.flag[2:]}", name, default=None, help=_help(key))
    names = (key.flag, *_ALSO.get(key.flag, ()))
    return click.option(*names, name, default=None, multiple=key.many, metavar=_metavar(key), help=_help(key))


def _help(key: toml.Key) -> str:
    default = ", ".join(key.default) if key.many else key.default
    return key.help[:1].upper() + key.help[1:] + ("." if default is None else f" [default: {default}].")


def _metavar(key: toml.Key) -> str:
    return "A,B" if key.many else toml.placeholder(key.type)


def profile_of(scenarios: tuple[str, ...], file: Path | None, flags: Mapping[str, Any]) -> Profile:
    """Build the profile that arguments, file and flags give."""
    given: dict[tuple[str, ...], Any] = {
        tuple(name.split("__")): ",".join(filter(None, value)) if isinstance(value, tuple) else value
        for name, value in flags.items()
        if value is not None and value != ()
    }
    if scenarios:
        given[("scenarios",)] = ",".join(scenarios)
    return toml.build(file, given)


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags that name services; a service that can't be used is told by its flag, if it has one."""

    @functools.wraps(command)
    def naming(*, database_url: str | None, broker_url: str | None, **others: Any) -> Any:  # noqa: ANN401 - any command
        try:
            return command(database_url=database_url, broker_url=broker_url, **others)
        except (ServiceError, UsageError) as error:
            said = str(error)
            if database_url is not None:
                said = said.replace(DATABASE_URL, "--database-url")
            if broker_url is not None:
                said = said.replace(BROKER_URL, "--broker-url")
            raise type(error)(said) from error

    named = click.option(
        "--broker-url", metavar="URL", help="Redis or Valkey; default: ROWRACE_BROKER_URL, else kept or embedded."
    )(naming)
    return database_option(named)


def database_option(command: Command) -> Command:
    """Give a command the flag that names the database; connecting to it is the command's own affair."""
    return click.option(
        "--database-url",
        "--database",
        metavar="URL",
        help="PostgreSQL, or the word embedded; default: ROWRACE_DATABASE_URL, else kept or embedded (eager: SQLite).",
    )(command)


def runs_option(command: Command) -> Command:
    """Give a command the flag that says where runs' folders are."""
    help_ = "Where runs' folders are; default: ROWRACE_RUNS_DIR, else rowrace-runs."
    return click.option("--runs-dir", type=text_path(file_okay=False), metavar="DIR", help=help_)(command)


def configured(database: str | None = None, broker: str | None = None, runs_dir: Path | None = None) -> Config:
    """Take the environment's configuration, overridden by flags."""
    import msgspec  # noqa: PLC0415 - only here

    changes: dict[str, Any] = {}
    if database == _EMBEDDED:
        changes |= {"database_url": None, "embedded_database": True}
    elif database is not None:
        changes["database_url"] = database_url(database, "--database-url")
    if broker is not None:
        changes["broker_url"] = broker_url(broker, "--broker-url")
    if runs_dir is not None:
        changes["runs_dir"] = runs_dir
    return msgspec.structs.replace(load(), **changes)


def answering(database: str | None) -> str | None:
    """Give the URL of the database that a flag or the environment names, if it answers; None where neither does."""
    from orchestrator.services import check  # noqa: PLC0415 - drivers

    url = configured(database).database_url
    if url is None:
        return None
    try:
        check.database(url)
    except ServiceError as error:
        raise ServiceError(str(error).replace(DATABASE_URL, "--database-url") if database else str(error)) from error
    return url
