"""The fleet: worker nodes that are spawned for a run and always stopped, or nodes that listen already."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import psutil
import psycopg

import worker
from orchestrator.broker import unacked_of
from orchestrator.errors import ServiceError
from orchestrator.profile import Pool, Workers
from orchestrator.services import launch
from orchestrator.services.process import deferred_signals
from worker.postgres import connect
from worker.shipper import ship_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from orchestrator.broker import Broker
    from orchestrator.profile import Profile

#: How long spawned nodes may take to answer, seconds.
_PATIENCE: Final = 90.0
#: How long external nodes may take to answer, seconds.
_ANSWER: Final = 3.0
#: Pause between two questions to external nodes, seconds, and how many unanswered ones in a row mean that one is gone;
#: a solo pool answers only between its tasks.
_ASK: Final = 5.0
_UNANSWERED: Final = 3
#: Warm shutdown (finish what runs), cold shutdown, the end; each with the seconds that it may take.
_SIGNALS: Final = ((signal.SIGTERM, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
#: A node that a run has spawned for itself (`_address`).
_OWNED: Final = re.compile(r"node[0-9]+-[0-9]{12}[0-9a-f]{6}@localhost")
#: Pause between two looks, seconds.
_TICK: Final = 0.05


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fleet's nodes find their services and leave their files."""

    run: str
    database_url: str
    broker_url: str
    logs: Path
    journals: Path


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node that we started."""

    name: str
    child: subprocess.Popen[bytes]

    def lives(self) -> bool:
        """Say whether it still runs."""
        return self.child.poll() is None


class Fleet(Protocol):
    """The nodes that run a run's operations."""

    #: Nodes, hosts and processes that were promised.
    nodes: int
    hosts: int
    processes: int

    #: Its journals lie elsewhere: only silence shows that all was shipped.
    remote: bool

    def missing(self) -> list[str]:
        """Look for nodes that have ended, save their journals, and say what could not be saved."""

    def save(self) -> list[str]:
        """Ship what the nodes have written and not shipped yet, where we can, and say what could not be saved."""

    def none_left(self) -> bool:
        """Say whether no node can take a message any more."""


@contextlib.contextmanager
def fleet(profile: Profile, broker: Broker, place: Place, hurry: Event) -> Iterator[Fleet]:
    """Provide the nodes that the profile asks for, all listening; those it spawned end with the block."""
    if profile.workers is Workers.EXTERNAL:
        with _external(profile, broker) as nodes:
            yield nodes
    else:
        with _spawned(profile, broker, place, hurry) as nodes:
            yield nodes


class _External:
    """Nodes of somebody else's: they are asked, now and then, whether they still live."""

    remote = True

    def __init__(self, profile: Profile, broker: Broker, names: list[str]) -> None:
        self.nodes, self.hosts, self.processes = profile.nodes, profile.hosts, profile.nodes
        self._broker = broker
        #: Questions in a row that each node has left unanswered.
        self._silence = dict.fromkeys(names, 0)
        self._gone: set[str] = set()
        self._next = time.monotonic() + _ASK

    def missing(self) -> list[str]:
        if time.monotonic() < self._next:
            return []
        names = [name for name in self._silence if name not in self._gone]
        answered = set(self._broker.ping(1.0, names)) if names else set()
        self._silence.update({name: 0 if name in answered else self._silence[name] + 1 for name in names})
        found = [name for name in names if self._silence[name] >= _UNANSWERED]
        self._gone.update(found)
        self._next = time.monotonic() + _ASK
        return [f"node {name} answers no more: what it had not shipped is missing" for name in found]

    def save(self) -> list[str]:
        return []

    def none_left(self) -> bool:
        return len(self._gone) == len(self._silence)


@contextlib.contextmanager
def _external(profile: Profile, broker: Broker) -> Iterator[Fleet]:
    found = _answering(profile.nodes, broker)
    hosts = {name.partition("@")[2] for name in found}
    if len(found) < profile.nodes:
        raise ServiceError(
            f"{len(found)} worker nodes answer and {profile.nodes} are expected; start them with "
            "`celery -A worker worker`, or ask for fewer with --expect-nodes."
        )
    if len(hosts) < profile.hosts:
        raise ServiceError(f"The worker nodes span {len(hosts)} hosts and {profile.hosts} are expected (--hosts).")
    try:
        for name in found:
            broker.listen(name)
        yield _External(profile, broker, found)
    finally:
        for name in found:
            with contextlib.suppress(ServiceError, OSError):
                broker.unlisten(name)


def _answering(wanted: int, broker: Broker) -> list[str]:
    """Name every node that is nobody's own, as soon as enough answer."""
    found: set[str] = set()
    deadline = time.monotonic() + _ANSWER
    while len(found) < wanted and time.monotonic() < deadline:
        found.update(name for name in broker.workers(1.0) if not _OWNED.fullmatch(name))
    return sorted(found)


class _Spawned:
    remote = False

    def __init__(self, profile: Profile, place: Place, servers: list[_Node]) -> None:
        self.nodes, self.hosts = profile.nodes, 1
        self.processes = profile.nodes * (profile.concurrency if profile.pool is Pool.PREFORK else 1)
        self._place = place
        self._servers = servers
        #: Nodes whose end was seen, and whose process group was swept; the system may give its number away by now.
        self.swept: set[str] = set()

    def missing(self) -> list[str]:
        found = [each.name for each in self._servers if each.name not in self.swept and not each.lives()]
        if not found:
            return []
        self.swept.update(found)
        _sweep([each for each in self._servers if each.name in found])  # nothing may be written once all is shipped
        return self._ship(found)

    def save(self) -> list[str]:
        return self._ship([each.name for each in self._servers])

    def _ship(self, names: list[str]) -> list[str]:
        try:
            ship_all(self._place.journals, lambda: connect(self._place.database_url, "rowrace", ""))
        except (psycopg.Error, OSError) as error:
            return [f"journals: what {', '.join(names)} did not ship could not be saved ({type(error).__name__})"]
        return []

    def none_left(self) -> bool:
        return not any(each.lives() for each in self._servers)


@contextlib.contextmanager
def _spawned(profile: Profile, broker: Broker, place: Place, hurry: Event) -> Iterator[Fleet]:
    servers: list[_Node] = []
    nodes = _Spawned(profile, place, servers)
    try:
        for number in range(1, profile.nodes + 1):
            with deferred_signals():
                servers.append(_node(profile, broker, place, f"node{number}"))
        _wait(servers, broker, place)
        yield nodes
    finally:
        _end([each for each in servers if each.name not in nodes.swept], hurry)


def _node(profile: Profile, broker: Broker, place: Place, name: str) -> _Node:
    """Start a node in a session of its own, so that the terminal's Ctrl-C doesn't reach it before us."""
    order: launch.Order = {
        "rights": "same",
        "uid": 0,
        "gid": 0,
        "parent": os.getpid(),
        "signal": signal.SIGQUIT,
        "detach": False,
        "argv": list(_command(profile, broker.queue, _address(place.run, name))),
    }
    with (place.logs / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            launch.command(order),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(profile, place, name),
            cwd=os.sep,
            start_new_session=True,
        )
    return _Node(name=name, child=child)


def _address(run: str, name: str) -> str:
    """Name the node on the broker, where other runs have a node1 too."""
    return f"{name}-{run}@localhost"


def _command(profile: Profile, queue: str, address: str) -> tuple[str, ...]:
    """Write the node's command line; nothing in it is secret."""
    return (
        *(sys.executable, "-m", "celery", "-A", "worker", "worker"),
        *("-n", address, "-Q", queue, "--pool", profile.pool.value, "--concurrency", str(profile.concurrency)),
        *("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        *(("--events",) if profile.events else ()),
    )


def _environment(profile: Profile, place: Place, name: str) -> dict[str, str]:
    """Hand the node its credentials and settings, and the packages that we import ourselves."""
    home = str(Path(worker.__file__).resolve().parent.parent)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", "")))),
        "ROWRACE_DATABASE_URL": place.database_url,
        "ROWRACE_BROKER_URL": place.broker_url,
        "ROWRACE_JOURNAL_DIR": str(place.journals),
        "ROWRACE_NODE": name,
        "ROWRACE_VISIBILITY_TIMEOUT": str(profile.visibility_timeout),
        "ROWRACE_PREFETCH": str(profile.prefetch),
        # Another run's nodes may have another visibility timeout.
        "ROWRACE_UNACKED": unacked_of(place.run),
    }


def _wait(servers: list[_Node], broker: Broker, place: Place) -> None:
    """Wait until every node answers; one that ends, or stays silent, is an error that names its log."""
    names = [_address(place.run, server.name) for server in servers]
    deadline = time.monotonic() + _PATIENCE
    missing = names
    while missing:
        for server in servers:
            if not server.lives():
                raise ServiceError(f"Worker {server.name} ended before it was ready: {_why(place, server.name)}")
        if time.monotonic() > deadline:
            first = missing[0].partition("-")[0]
            raise ServiceError(f"Worker {first} did not answer within {_PATIENCE:g} s: {_why(place, first)}")
        missing = sorted(set(missing) - set(broker.ping(1.0, missing)))


def _why(place: Place, name: str) -> str:
    log = place.logs / f"{name}.log"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"its last words are «{lines[-1][:200] if lines else 'none'}», the rest is in {log}."


def _end(servers: list[_Node], hurry: Event) -> None:
    """Stop the nodes, then what is left of their pools."""
    for number, patience in _SIGNALS:
        for server in servers:
            server.child.send_signal(number)
        deadline = time.monotonic() + patience
        while any(server.lives() for server in servers) and time.monotonic() < deadline:
            if hurry.is_set() and number == signal.SIGTERM:
                break
            time.sleep(_TICK)
    _sweep(servers)


def _sweep(nodes: list[_Node]) -> None:
    """Kill what is left of ended nodes' pools: each node leads a process group of its own."""
    leaders = {node.child.pid for node in nodes if not node.lives()}
    orphans = [process for process in psutil.process_iter() if _leader(process) in leaders]
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(orphans, timeout=5)


def _leader(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except OSError:
        return None
