"""Services' URLs: what is accepted, and how they are shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_DATABASE: Final = {"postgresql": "postgresql", "postgres": "postgresql"}
_BROKER: Final = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}

#: Everything up to the last @ is the user's part, for an unescaped password may hold any character.
_USER: Final = re.compile(r"://(?P<name>[^/:@]*)(?P<secret>:?.*)@", re.DOTALL)
_PARAMETER: Final = re.compile(r"(?P<name>[?&](?:ssl)?passw(?:or)?d=)[^&]*", re.IGNORECASE)


def mask(url: str) -> str:
    """The URL with its password hidden, to be shown in messages."""
    return _PARAMETER.sub(r"\g<name>***", _USER.sub(_hidden, url))


def database_url(text: str, source: str) -> str:
    """A PostgreSQL URL, checked and in the form that drivers take; `source` names the variable or flag."""
    return _checked(text, source, _DATABASE, "postgresql://user:password@host:5432/database")


def broker_url(text: str, source: str) -> str:
    """A Redis or Valkey URL, checked and in the form that Celery takes; `source` names the variable or flag."""
    checked = _checked(text, source, _BROKER, "redis://:password@host:6379/0")
    parts = urlsplit(checked)
    if not parts.hostname:
        raise UsageError(f"{source} names no host: {mask(text)}")
    if not re.fullmatch(r"/?|/\d+", parts.path):
        raise UsageError(f"{source} must end with the number of a database, as in redis://host:6379/0: {mask(text)}")
    return checked


def place(url: str, default_port: int) -> str:
    """Host and port of a checked URL, for messages."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'the local socket'}:{parts.port or default_port}"


def _checked(text: str, source: str, schemes: dict[str, str], example: str) -> str:
    scheme, separator, rest = text.strip().partition("://")
    known = schemes.get(scheme.lower())
    if not separator or known is None:
        raise UsageError(f"{source} must look like {example}, not {_shown(text)}")
    url = f"{known}://{rest}"
    _split(url, source)
    return url


def _split(url: str, source: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed only here
    except ValueError:
        # The cause would show the password: urlsplit quotes what it could not read.
        raise UsageError(
            f"{source} can't be read, as its host or port is wrong or its password holds an unescaped / ? # or @: "
            f"{mask(url)}"
        ) from None
    return parts


def _shown(text: str) -> str:
    """A text that is no URL may be anything, a password too: only what looks harmless is shown."""
    if "://" in text:
        return mask(text)
    return repr(text) if "@" not in text else "what was given"


def _hidden(found: re.Match[str]) -> str:
    """A lone word before the @ is a user's name, or a password whose colon was forgotten: hidden as well."""
    return f"://{found['name']}:***@" if found["secret"] else "://***@"
