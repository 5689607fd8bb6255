"""Databases made for one exploration."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a server is set to that nobody but an exploration uses: its data needn't outlive it, and neither statistics nor
#: plans change between two schedules.
_TUNED: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "jit": "off",
    "deadlock_timeout": "1h",
}


def tuned(url: str) -> None:
    """Set a server that is ours alone for exploring."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name, value in _TUNED.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def scratch(url: str) -> Iterator[str]:
    """Give the URL of a fresh database on a server; it is dropped after the block, whoever is still connected."""
    name = f"rowrace_explore_{secrets.token_hex(6)}"
    made = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(made))
    try:
        yield _at(url, name)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(made))


def _at(url: str, database: str) -> str:
    """Write the same server's URL with another database's name."""
    given = conninfo_to_dict(url)
    head, _, rest = url.partition("://")
    place, _, options = rest.partition("?")
    server = place.rpartition("/")[0] if given.get("dbname") else place.rstrip("/")
    return f"{head}://{server}/{database}{'?' + options if options else ''}"
