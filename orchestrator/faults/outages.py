"""What faults of whole servers have in common: a server is taken away and given back, where it is ours to take."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from orchestrator.errors import ServiceError
from orchestrator.faults.model import Struck

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.faults.model import Planned, Reach, Servers


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """Takes a server away; healing gives it back."""

    detail: str
    #: Whether it is there to be taken; it may be down or paused by another fault.
    runs: Callable[[], bool]
    take: Callable[[], None]
    give: Callable[[], None]

    def strike(self) -> Struck | None:
        """Take it away."""
        if not self.runs():
            return None
        try:
            self.take()
        except BaseException:
            with contextlib.suppress(Exception):  # what is told is why it could not be taken
                self.give()  # half taken, nobody would give it back
            raise
        return Struck(self.detail, self.give)


def embedded(planned: Planned, reach: Reach) -> Servers:
    """The servers that may be stopped; those of somebody else's, or of other commands', are refused."""
    if reach.servers is None:
        raise ServiceError(
            f"Fault «{planned.text}» needs services of the run's own, which it may stop: give no URL, end kept services"
            " with `rowrace services down`, or leave the fault out."
        )
    return reach.servers


def database(planned: Planned, reach: Reach) -> Servers:
    """The servers, where the database is among those that may be stopped."""
    servers = embedded(planned, reach)
    _ask(planned, servers.database_runs, "database", "ROWRACE_DATABASE_URL")
    return servers


def broker(planned: Planned, reach: Reach) -> Servers:
    """The servers, where the broker is among those that may be stopped."""
    servers = embedded(planned, reach)
    _ask(planned, servers.broker_runs, "broker", "ROWRACE_BROKER_URL")
    return servers


def _ask(planned: Planned, runs: Callable[[], bool], name: str, variable: str) -> None:
    try:
        runs()
    except ServiceError:
        raise ServiceError(
            f"Fault «{planned.text}» needs a {name} of the run's own, which it may stop: don't give {variable}, "
            "or leave the fault out."
        ) from None
