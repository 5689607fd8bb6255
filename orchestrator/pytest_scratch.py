"""Databases of a test's own: a SQLite file, or a PostgreSQL database on a server that the session's tests share."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    import pytest


class Scratch:
    """Makes a database when it is first asked for; the test's end removes it."""

    def __init__(self, stack: ExitStack, server: Callable[[], str], folders: pytest.TempPathFactory) -> None:
        self._stack, self._server, self._folders = stack, server, folders

    @cached_property
    def sqlite_path(self) -> Path:
        """Where the SQLite file is to be."""
        return self._folders.mktemp("rowrace") / "scratch.db"

    @cached_property
    def postgres(self) -> str:
        """URL of an empty database."""
        server = self._server()
        from orchestrator.controlled.postgres_scratch import scratch  # noqa: PLC0415 - SQLite's users may have no psycopg

        return self._stack.enter_context(scratch(server))


def started(stack: ExitStack) -> Callable[[], str]:
    """Make what gives the server's URL: of the one that ROWRACE_DATABASE_URL names, else of an embedded one."""

    @cache
    def url() -> str:
        from orchestrator import config  # noqa: PLC0415 - only where it is needed

        given = config.load().database_url
        if given is not None:
            from orchestrator.services import check  # noqa: PLC0415 - as above

            check.database(given)
            return given
        from orchestrator.controlled.embedded import embedded  # noqa: PLC0415 - as above

        return stack.enter_context(embedded())

    return url
