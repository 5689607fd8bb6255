"""Asks a service whether it answers, and says in one sentence what is wrong where it doesn't."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.driver import need_driver
from orchestrator.errors import ServiceError
from orchestrator.services.urls import mask, place

_TIMEOUT: Final = 5

_DATABASE_VARIABLE: Final = "ROWRACE_DATABASE_URL"
_BROKER_VARIABLE: Final = "ROWRACE_BROKER_URL"

#: Pattern of a driver's message, what is wrong, what to do; the first that fits counts.
_FAULTS: Final = (
    ("connection refused", "nothing listens there", "start it, or correct {variable}"),
    ("password authentication failed", "it refuses the password of user {user}", "correct {variable}"),
    ("no password supplied", "it asks for a password", "add one to {variable}"),
    ('role ".*" does not exist', "it knows no user {user}", "create it, or correct {variable}"),
    ('database ".*" does not exist', "it has no database {path}", "create it, or correct {variable}"),
    ("permission denied for database", "user {user} may not enter database {path}", "grant it, or correct {variable}"),
    ("pg_hba.conf", "it accepts no connection of user {user} from here", "allow it there, or correct {variable}"),
    (
        "too many|slots are reserved|max number of clients",
        "it has no connection left",
        "end others, or raise its limit",
    ),
    ("starting up|loading", "it is still starting", "try again in a moment"),
    ("shutting down", "it is shutting down", "start it again"),
    ("does not support ssl", "it doesn't speak TLS", "correct sslmode in {variable}"),
    ("wrong_version_number|wrong version number", "it doesn't speak TLS", "use redis:// in {variable}"),
    ("noauth|authentication required|hello must be called", "it asks for a password (NOAUTH)", "add one to {variable}"),
    ("without any password", "it has no password, and one was given", "take it out of {variable}"),
    ("invalid username-password|wrongpass", "it refuses the password", "correct {variable}"),
    ("db index is out of range", "it has no database {path}", "correct {variable}"),
    ("timeout|timed out", "it gave no answer within {timeout} s", "start it, or correct {variable}"),
    ("host name|name or service|name resolution|nodename|no address", "no such host is known", "correct {variable}"),
    ("no route to host|unreachable", "there is no way to it", "start it, or correct {variable}"),
    ("closed the connection|connection closed|protocol error", "it speaks something else", "correct {variable}"),
)


def database(url: str, named: str = _DATABASE_VARIABLE) -> str:
    """The PostgreSQL server's version, or a `ServiceError` that says to correct what is `named`."""
    need_driver()
    import psycopg  # noqa: PLC0415 - it is there, and who asks no database needs none

    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT, autocommit=True, application_name="rowrace") as connection:
            row = connection.execute("SELECT current_setting('server_version')").fetchone()
    except psycopg.Error as error:
        raise ServiceError(_sentence("PostgreSQL", url, 5432, str(error), named)) from None
    return str(row[0]).split()[0] if row else ""


def broker(url: str) -> tuple[str, str]:
    """The broker's name ("valkey" or "redis") and version, or a `ServiceError`."""
    try:
        with _client(url) as client:
            client.ping()
            answer: dict[str, str] = client.info("server")
    except (redis.RedisError, OSError, ValueError) as error:
        raise ServiceError(_sentence("the broker", url, 6379, _chain(error), _BROKER_VARIABLE)) from None
    name = answer.get("server_name", "redis")
    return name, str(answer.get(f"{name}_version", answer.get("redis_version", "")))


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0)
    )


def _sentence(name: str, url: str, port: int, said: str, variable: str) -> str:
    parts, low = urlsplit(url), said.lower()
    fault = next((fault for fault in _FAULTS if re.search(fault[0], low)), None)
    if fault is None:
        what, todo = _safe(said, url), "correct {variable}"
    else:
        _, what, todo = fault
    facts = {
        "variable": variable,
        "user": unquote(parts.username or "") or "(none)",
        "path": unquote(parts.path.strip("/")) or "(none)",
        "timeout": _TIMEOUT,
    }
    return f"{name} at {place(url, port)} can't be used: {what.format(**facts)}; {todo.format(**facts)}"


def _safe(said: str, url: str) -> str:
    """The driver's own words in one line, the password taken out and braces made harmless."""
    words = " ".join(said.split()) or "it gave no reason"
    password = urlsplit(url).password
    for secret in filter(None, (password, unquote(password or ""))):
        words = words.replace(secret, "***")
    return mask(words).replace("{", "(").replace("}", ")")


def _chain(error: BaseException) -> str:
    """The messages of an error and of what caused it: redis-py hides a timeout's reason there."""
    cause = error.__cause__ or error.__context__
    said = f"{type(error).__name__} {error}"
    return said if cause is None else f"{said} {_chain(cause)}"
