"""What a fleet is: to the race that it runs, and to the faults that strike it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from orchestrator.faults.model import Nodes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.broker import Broker
    from orchestrator.watchdog import Watchdog


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fleet's nodes find their services and leave their files."""

    run: str
    database_url: str
    broker_url: str
    logs: Path
    journals: Path
    #: Environment of every node, over ours, and by node, over that: other URLs, the worker's settings.
    common: Mapping[str, str] = {}
    extra: Mapping[str, Mapping[str, str]] = {}
    #: Settings of Celery's own by node, as its command line takes them: `worker.soft_shutdown_timeout=2`.
    settings: Mapping[str, tuple[str, ...]] = {}
    #: A node that ends by itself is started again, as an init system would, unless it ends at once time after time.
    supervised: bool = False
    #: Told of every node, so that none outlives us.
    watchdog: Watchdog | None = None

    def __repr__(self) -> str:
        return f"Place({self.run!r})"  # URLs and environments hold passwords


class Fleet(Protocol):
    """The nodes that run a run's operations."""

    #: Nodes, hosts and processes that were promised.
    nodes: int
    hosts: int
    processes: int

    #: Its journals lie elsewhere: only silence shows that all was shipped.
    remote: bool

    def missing(self) -> list[str]:
        """Look for nodes that have ended, save their journals, and say what will stay missing."""

    def save(self) -> list[str]:
        """Ship what the nodes have written and not shipped yet, where we can, and say what could not be saved."""

    def none_left(self) -> bool:
        """Say whether no node can take a message any more, and none is expected back."""


class Crew(Fleet, Nodes, Protocol):
    """A fleet whose nodes faults may lay hands on; those of somebody else's refuse."""

    def ready(self, broker: Broker) -> None:
        """Wait for nodes that an earlier group's faults took away, as far as they come back in time."""

    def revived(self) -> dict[str, int]:
        """Count, by node, how often one that had ended by itself was started again."""
