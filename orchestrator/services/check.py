"""Asks a service whether it answers, and says in one sentence what is wrong where it doesn't."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.errors import ServiceError
from orchestrator.services.urls import mask, place

_TIMEOUT: Final = 5

_DATABASE_VARIABLE: Final = "ROWRACE_DATABASE_URL"
_BROKER_VARIABLE: Final = "ROWRACE_BROKER_URL"

#: What a driver's message says, what is wrong, what to do; the first that fits counts.
_FAULTS: Final = (
    ("connection refused", "nothing listens there", "start it, or correct {variable}"),
    ("password authentication failed", "it refuses the password of user {user}", "correct {variable}"),
    ("no password supplied", "it asks for a password", "add one to {variable}"),
    ("role ", "it knows no user {user}", "create it, or correct {variable}"),
    ("database ", "it has no database {path}", "create it, or correct {variable}"),
    ("pg_hba.conf", "it accepts no connection of user {user} from here", "allow it there, or correct {variable}"),
    ("too many", "it has no connection left", "end other clients, or raise its limit"),
    ("starting up", "it is still starting", "try again in a moment"),
    ("shutting down", "it is shutting down", "start it again"),
    ("does not support ssl", "it doesn't speak TLS", "correct {variable}"),
    ("noauth", "it asks for a password (NOAUTH)", "add one to {variable}"),
    ("authentication required", "it asks for a password (NOAUTH)", "add one to {variable}"),
    ("without any password", "it has no password, and one was given", "take it out of {variable}"),
    ("invalid username-password", "it refuses the password", "correct {variable}"),
    ("wrongpass", "it refuses the password", "correct {variable}"),
    ("db index is out of range", "it has no database {path}", "correct {variable}"),
    ("loading", "it is still loading its data", "try again in a moment"),
    ("timeout", "it gave no answer within {timeout} s", "start it, or correct {variable}"),
    ("timed out", "it gave no answer within {timeout} s", "start it, or correct {variable}"),
    ("resolve host", "no host of that name is known", "correct {variable}"),
    ("translate host name", "no host of that name is known", "correct {variable}"),
    ("name or service not known", "no host of that name is known", "correct {variable}"),
    ("name resolution", "no host of that name is known", "correct {variable}"),
    ("no address associated", "no host of that name is known", "correct {variable}"),
    ("nodename nor servname", "no host of that name is known", "correct {variable}"),
    ("no route to host", "there is no way to it", "start it, or correct {variable}"),
    ("unreachable", "there is no way to it", "start it, or correct {variable}"),
    ("wrong_version_number", "it doesn't speak TLS", "use redis:// instead of rediss://"),
    ("closed the connection", "it closed the connection", "see whether that is the right port"),
    ("protocol error", "it is no Redis or Valkey server", "correct {variable}"),
)


def database(url: str) -> str:
    """The PostgreSQL server's version, or a `ServiceError`."""
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT, autocommit=True, application_name="rowrace") as connection:
            row = connection.execute("SELECT current_setting('server_version')").fetchone()
    except psycopg.Error as error:
        raise ServiceError(_sentence("PostgreSQL", url, 5432, str(error), _DATABASE_VARIABLE)) from None
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
    fault = next((fault for fault in _FAULTS if fault[0] in low), None)
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
    """The driver's own words, last line first to say why, with the password taken out and braces kept harmless."""
    words = " ".join(said.split()) or "it gave no reason"
    password = urlsplit(url).password
    for secret in filter(None, (password, unquote(password or ""))):
        words = words.replace(secret, "***")
    return mask(words).replace("{", "(").replace("}", ")")


def _chain(error: BaseException) -> str:
    """The messages of an error and of what caused it: redis-py hides a timeout's reason there."""
    said, seen = [type(error).__name__], error
    while seen is not None:
        said.append(str(seen))
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment] -- the loop ends at None
    return " ".join(said)
