"""Patience with a service that may come back, and a connection to the database that is opened again where it broke."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import psycopg

from orchestrator.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long a service may stay away while faults strike, seconds; without faults none may.
UNDER_FAULTS: Final = 90.0
#: Pause between two tries, seconds.
_TICK: Final = 0.05

#: What a driver raises when its connection is gone, and not when a statement is wrong.
GONE: Final = (psycopg.OperationalError, psycopg.InterfaceError)


class Patience:
    """Counts from the first failure in a row; what goes on longer than it lasts is raised."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._now = now
        self._since: float | None = None

    def failed(self, error: Exception) -> None:
        """Note a failure; raises it where patience is at its end."""
        self._since = self._now() if self._since is None else self._since
        if self._now() - self._since >= self.seconds:
            raise error

    def fine(self) -> None:
        """Note that all is well again."""
        self._since = None


class Line:
    """The orchestrator's own connection to the database."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], patience: float = 0.0) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self.patience = Patience(patience)

    def get(self) -> psycopg.Connection[Any]:
        """Give the connection, opened anew where it is not open; raises what the driver raises."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def broke(self, error: psycopg.Error) -> None:
        """Give the connection up after an error that ended it; raises ServiceError where patience is at its end."""
        self.close()
        failed = ServiceError(f"The database stopped answering in mid-run ({type(error).__name__}).")
        failed.__cause__ = error
        self.patience.failed(failed)

    def wait(self) -> psycopg.Connection[Any]:
        """Give a connection that answers, as soon as there is one."""
        while True:
            try:
                connection = self.get()
                connection.execute("SELECT 1")
            except GONE as error:
                self.broke(error)
                time.sleep(_TICK)
            else:
                self.patience.fine()
                return connection

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
