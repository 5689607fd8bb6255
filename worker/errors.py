"""What can end an attempt.  Bodies raise `Refused`; links translate driver errors into the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.contract import Reason


class RowraceError(Exception):
    """Root of the project's own errors."""


class Refused(RowraceError):
    """A business rule refused the operation; a clean, final `fail`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Conflict(RowraceError):
    """The attempt met another one and was, or must be, rolled back; retry it in a new transaction."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Duplicate(RowraceError):
    """The guard found the operation applied already; this transaction was rolled back whole."""


class RolledBack(RowraceError):
    """COMMIT was answered with ROLLBACK: a statement had failed, and its error was swallowed."""


class PoolTimeout(RowraceError):
    """No connection of the pool became free in time."""


class LostConnection(RowraceError):
    """The connection broke; `in_commit` says whether COMMIT had been sent (then the outcome is unknown)."""

    def __init__(self, *, in_commit: bool) -> None:
        super().__init__("connection lost" + (" during COMMIT" if in_commit else ""))
        self.in_commit = in_commit
