"""Breaking things in a run: its fault plan, the ways that faults disturb, and what the workers are told of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import UsageError
from orchestrator.faults import clock, network, outages, pop, worker
from orchestrator.faults.failpoints import failpoints, unstruck
from orchestrator.faults.model import Reach
from orchestrator.faults.network import Links, links_needed
from orchestrator.faults.plan import parse
from orchestrator.faults.striker import Striker
from orchestrator.hosts.faults import known
from orchestrator.hosts.remote import Remote
from orchestrator.profile import Pool, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.faults.model import Nodes, Planned
    from orchestrator.faults.striker import Strike
    from orchestrator.profile import Profile
    from orchestrator.services import Origin, Services
    from orchestrator.services.process import Birth
    from worker.contract import Failpoint

#: Environment variable by which the workers of a spawned fleet are told each key of the profile's section `worker`.
_TOLD: Final = {
    "acks_late": "ROWRACE_ACKS_LATE",
    "reject_on_worker_lost": "ROWRACE_REJECT_ON_WORKER_LOST",
    "max_deliveries": "ROWRACE_MAX_DELIVERIES",
    "pool_size": "ROWRACE_POOL_SIZE",
    "pool_timeout": "ROWRACE_POOL_TIMEOUT",
    "engine_before_fork": "ROWRACE_ENGINE_BEFORE_FORK",
    "recovery": "ROWRACE_RECOVERY",
}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The group that faults are to meet."""

    nodes: Nodes
    services: Services
    schema: str
    table: str
    queue: str
    #: Hears of each strike as it happens, and again once it is healed.
    told: Callable[[Strike], None]


class Troubles:
    """A run's fault plan, made ready for services and workers."""

    def __init__(self, planned: tuple[Planned, ...], links: Links | None, wires: Path | None = None) -> None:
        self._planned = planned
        self._links = links
        #: Asks the owner of the hosts that the run is on.
        self._remote = Remote(wires) if wires is not None else None
        self._known = known(wires)
        #: They travel in every message.
        self.failpoints: tuple[Failpoint, ...] = failpoints(planned)

    def url(self, party: str, service: str, url: str) -> str:
        """Give the URL by which a party reaches a service ("db" or "broker"): a proxy's where the plan cuts there."""
        return url if self._links is None else self._links.url(party, service) or url

    def unmet(
        self, striker: Striker | None, struck: Mapping[str, NDArray[np.bool_]], earlier: Iterable[Strike]
    ) -> tuple[str, ...]:
        """Say which of the plan's entries never struck."""
        return unmet(self._planned, striker, struck, earlier)

    def births(self) -> tuple[Birth, ...]:
        """Name the processes that carry links, each the leader of a group of its own."""
        return () if self._links is None else (self._links.birth,)

    def environments(self, profile: Profile, urls: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Give, per node, what its environment says beside the usual; `urls` are "db" and "broker", direct."""
        common = {_TOLD[key]: _text(value) for key, value in msgspec.to_builtins(profile.worker).items()}
        skewed = clock.environment(self._planned)
        return {
            node: {
                **common,
                "ROWRACE_DATABASE_URL": self.url(node, "db", urls["db"]),
                "ROWRACE_BROKER_URL": self.url(node, "broker", urls["broker"]),
                **skewed.get(node, {}),
            }
            for node in nodes_of(profile)
        }

    def celery_settings(self, profile: Profile) -> Mapping[str, tuple[str, ...]]:
        """Give, per node, what its command line says beside the usual."""
        return worker.celery_settings(self._planned, nodes_of(profile))

    def striker(self, profile: Profile, target: Target, began_us: int) -> Striker | None:
        """Make ready to strike one group; `began_us` is the database's clock now. None where nothing is planned."""
        if not self._planned:
            return None
        ahead = began_us - time.monotonic_ns() // 1000
        reach = Reach(
            nodes=target.nodes,
            servers=target.services.servers,
            database_url=target.services.database_url,
            broker_url=target.services.broker_url,
            schema=target.schema,
            table=target.table,
            queue=target.queue,
            network=self._remote or self._links,
            random=random.Random(profile.seed),  # noqa: S311 - choices must be repeatable, not secret
        )
        return Striker(
            self._planned,
            reach,
            lambda: time.monotonic_ns() // 1000 + ahead,
            known=self._known,
            told=target.told,
        )


def strikes(striker: Striker | None) -> list[Strike]:
    """List what was struck."""
    return striker.strikes() if striker else []


def gaps(striker: Striker | None) -> tuple[str, ...]:
    """Say what of the plan could not be struck or healed."""
    return () if striker is None else tuple(striker.gaps())


def unmet(
    planned: Iterable[Planned],
    striker: Striker | None,
    struck: Mapping[str, NDArray[np.bool_]],
    earlier: Iterable[Strike] = (),
) -> tuple[str, ...]:
    """Say which entries never struck: faults that were asked for and not met show nothing.

    `struck` says which operations failpoints struck; `earlier` are strikes of a process that was killed.
    """
    entries = tuple(planned)
    names = Counter(each.name for each in entries)
    # Where several entries have a name, nobody knows which of them struck before.
    before = {each.name for each in earlier if names[each.name] == 1}
    met = {each.text for each in entries if each.name in before}
    idle = [text for text in striker.unstruck() if text not in met] if striker else []
    texts = (*idle, *unstruck(entries, struck))
    return tuple(f"fault {text} never struck: nothing was there, or the race was over" for text in texts)


def nodes_of(profile: Profile) -> tuple[str, ...]:
    """Name the nodes that a run spawns."""
    return tuple(f"node{number}" for number in range(1, profile.nodes + 1))


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def planned(profile: Profile, wires: Path | None = None) -> tuple[Planned, ...]:
    """Read a profile's fault plan; raises UsageError."""
    return parse(profile.faults, known(wires))


def check(profile: Profile, wires: Path | None = None) -> None:
    """Refuse, before anything is started, a plan that names what the run will not have; raises UsageError."""
    found = planned(profile, wires)
    beyond = [each for point in failpoints(found) for each in point.operations if each >= profile.operations]
    if beyond:
        raise UsageError(f"There is no operation {beyond[0]} to strike: they are 0 to {profile.operations - 1}.")
    if profile.workers is not Workers.SPAWN:
        clock.check_nodes(found, ())
        if wires is None:  # `rowrace hosts` has refused its own before
            _spare_external_nodes(found)
        return
    nodes = nodes_of(profile)
    clock.check_nodes(found, nodes)
    worker.celery_settings(found, nodes)
    links_needed(found, nodes)
    for each in found:
        missing = set(each.targets) - set(nodes) if each.name in {**worker.FAULTS, **pop.FAULTS} else set()
        if missing:
            raise UsageError(f"Fault «{each.text}»: there is no {min(missing)}; the nodes are {', '.join(nodes)}.")
        if each.name in worker.OF_CHILDREN and profile.pool is not Pool.PREFORK:
            raise UsageError(f"Fault «{each.text}»: the pool has no processes of its own; use --pool prefork.")


def _spare_external_nodes(found: Iterable[Planned]) -> None:
    """Refuse what would kill, pause or cut off nodes that the run doesn't spawn."""
    for each in found:
        cuts = each.name in network.FAULTS and not all(link.startswith("orchestrator-") for link in each.targets)
        if cuts or each.name in {**worker.FAULTS, **pop.FAULTS}:
            raise UsageError(
                f"Fault «{each.text}»: external workers are not ours to strike; leave it out, or let the run spawn its"
                " nodes (--workers spawn)."
            )


def check_servers(profile: Profile, database: Origin, broker: Origin, wires: Path | None = None) -> None:
    """Refuse a plan that would take away servers which are not the run's own; raises UsageError."""
    outages.check(planned(profile, wires), known(wires), {"database": database, "broker": broker})


@contextmanager
def troubles(profile: Profile, services: Services, wires: Path | None = None) -> Iterator[Troubles]:
    """Make a run's fault plan ready; the proxies that it needs end with the block."""
    found = planned(profile, wires)
    clock.check_nodes(found, nodes_of(profile) if profile.workers is Workers.SPAWN else ())
    if wires is not None:  # the hosts' own network is cut, and nobody goes through a proxy
        yield Troubles(found, None, wires)
        return
    needed = links_needed(found, nodes_of(profile))
    if not needed:
        yield Troubles(found, None)
        return
    with Links(needed, {"db": services.database_url, "broker": services.broker_url}) as links:
        yield Troubles(found, links)
