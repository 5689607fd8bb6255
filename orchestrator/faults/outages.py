"""What faults of whole servers have in common: a server is taken away and given back, where it is ours to take."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import ServiceError, UsageError
from orchestrator.faults.model import Struck
from orchestrator.services import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchestrator.faults.model import Kind, Planned, Reach, Servers

#: What gives a server that is not the run's own.
_GIVEN_BY: Final = {"database": "ROWRACE_DATABASE_URL", "broker": "ROWRACE_BROKER_URL"}


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


def check(planned: Iterable[Planned], known: Mapping[str, Kind], origins: Mapping[str, Origin]) -> None:
    """Refuse, before anything is started, what would take away a server that is not the run's own."""
    for each in planned:
        kind = known[each.name]
        if not kind.own or kind.unless in each.options or origins[kind.own] is Origin.EMBEDDED:
            continue
        bounded = f"say {kind.unless}=, " if kind.unless else ""
        if origins[kind.own] is Origin.KEPT:
            why, cure = "the kept services are not", "end these with `rowrace services down`"
        else:
            why, cure = f"{_GIVEN_BY[kind.own]} names another", "leave that away"
        raise UsageError(
            f"Fault «{each.text}» needs a {kind.own} of the run's own, and {why}: {cure}, {bounded}or leave the fault"
            " out."
        )


def embedded(planned: Planned, reach: Reach) -> Servers:
    """The servers that may be stopped; those of somebody else's, or of other commands', are refused."""
    if reach.servers is None:
        raise UsageError(
            f"Fault «{planned.text}» needs services of the run's own, which it may stop: give no URL, end kept services"
            " with `rowrace services down`, or leave the fault out."
        )
    return reach.servers


def database(planned: Planned, reach: Reach) -> Servers:
    """The servers, where the database is among those that may be stopped."""
    servers = embedded(planned, reach)
    _ask(planned, servers.database_runs, "database")
    return servers


def broker(planned: Planned, reach: Reach) -> Servers:
    """The servers, where the broker is among those that may be stopped."""
    servers = embedded(planned, reach)
    _ask(planned, servers.broker_runs, "broker")
    return servers


def _ask(planned: Planned, runs: Callable[[], bool], name: str) -> None:
    try:
        runs()
    except ServiceError:
        raise UsageError(
            f"Fault «{planned.text}» needs a {name} of the run's own, which it may stop: don't give {_GIVEN_BY[name]}, "
            "or leave the fault out."
        ) from None
