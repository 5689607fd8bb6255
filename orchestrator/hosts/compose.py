"""What docker-compose.yml declares: variables filled in, command lines as lists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The project's own file, where this runs from a checkout.
FILE: Final = Path(__file__).resolve().parents[2] / "docker-compose.yml"

#: `$$`, `${NAME}`, `${NAME:-default}`, `${NAME:?message}`: the forms of Compose's interpolation that the file may use.
_VARIABLE: Final = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<form>[-?])(?P<text>[^}]*))?\}")


class MissingVariableError(UsageError):
    """A `${NAME:?message}` whose variable is unset or empty, where Compose refuses to start."""


def services(environ: Mapping[str, str], file: Path = FILE) -> dict[str, Any]:
    """The services, every variable filled in from `environ`."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} can't be read ({error.strerror}): name a docker-compose.yml by --compose.") from error
    filled: dict[str, Any] = _fill(_parsed(text, file), environ)
    return filled


def argv(service: Mapping[str, Any]) -> list[str]:
    """A service's command line."""
    command = service["command"]
    return shlex.split(command) if isinstance(command, str) else list(command)


def _parsed(text: str, file: Path) -> Any:  # noqa: ANN401 -- YAML is anything
    try:
        return yaml.safe_load(text)["services"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is no docker-compose.yml: it declares no services.") from error


def _fill(value: Any, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 -- YAML is anything
    if isinstance(value, dict):
        return {key: _fill(each, environ) for key, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, environ) for each in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _substitute(found, environ), value)
    return value


def _substitute(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found[0] == "$$":
        return "$"
    value = environ.get(found["name"], "")
    if value or found["form"] is None:
        return value
    if found["form"] == "?":
        raise MissingVariableError(f"{found['name']}: {found['text']}")
    return str(found["text"])
