"""Nodes of somebody else's: they are asked, now and then, whether they still live."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, NoReturn

from orchestrator.errors import ServiceError
from orchestrator.fleet.node import OWNED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.broker import Broker
    from orchestrator.fleet.model import Crew
    from orchestrator.profile import Profile

#: How long external nodes may take to answer, seconds.
_ANSWER: Final = 3.0
#: Pause between two questions to external nodes, seconds, and how many unanswered ones in a row mean that one is gone;
#: a solo pool answers only between its tasks.
_ASK: Final = 5.0
_UNANSWERED: Final = 3


class External:
    """Nodes that listen already: watched, never touched."""

    remote = True

    def __init__(self, profile: Profile, broker: Broker, names: list[str]) -> None:
        self.nodes, self.hosts, self.processes = profile.nodes, profile.hosts, profile.nodes
        self._broker = broker
        #: Questions in a row that each node has left unanswered.
        self._silence = dict.fromkeys(names, 0)
        self._gone: set[str] = set()
        self._next = time.monotonic() + _ASK

    def missing(self) -> list[str]:
        """Name those that have left three questions in a row unanswered."""
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
        """Nothing of theirs is within reach."""
        return []

    def none_left(self) -> bool:
        """Say whether all are gone."""
        return len(self._gone) == len(self._silence)

    def revived(self) -> dict[str, int]:
        """None is started again by us."""
        return {}

    def names(self) -> tuple[str, ...]:
        """Refuse."""
        return _refuse()

    def forks(self) -> bool:
        """Refuse."""
        return _refuse()

    def pid(self, node: str) -> int | None:
        """Refuse."""
        return _refuse(node)

    def children(self, node: str) -> list[int]:
        """Refuse."""
        return _refuse(node)

    def signal(self, node: str, number: int) -> None:
        """Refuse."""
        _refuse(node, number)

    def kill(self, node: str) -> None:
        """Refuse."""
        _refuse(node)

    def start(self, node: str) -> None:
        """Refuse."""
        _refuse(node)

    def expect(self, node: str) -> Callable[[], None]:
        """Refuse."""
        return _refuse(node)


def _refuse(*_: object) -> NoReturn:
    raise ServiceError(
        "External workers are not ours to strike: leave their faults away, or let the run spawn its nodes "
        "(--workers spawn)."
    )


@contextlib.contextmanager
def listening(profile: Profile, broker: Broker) -> Iterator[Crew]:
    """Have the nodes that answer take the run's messages, for a `with` block; fewer than promised are refused."""
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
        yield External(profile, broker, found)
    finally:
        for name in found:
            with contextlib.suppress(ServiceError, OSError):
                broker.unlisten(name)


def _answering(wanted: int, broker: Broker) -> list[str]:
    """Name every node that is nobody's own, as soon as enough answer."""
    found: set[str] = set()
    deadline = time.monotonic() + _ANSWER
    while len(found) < wanted and time.monotonic() < deadline:
        found.update(name for name in broker.workers(1.0) if not OWNED.fullmatch(name))
    return sorted(found)
