"""Kills a node between the broker's pop and its note in `unacked`, the gap in which a message is lost.

BRPOP hands a message to the node and forgets it; kombu notes it in `unacked` afterwards.  A node that is stopped while
it waits in BRPOP is handed a message all the same, since the server writes it into the socket; killed then, it takes
the message along.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import psutil
import redis

from orchestrator.errors import UsageError
from orchestrator.faults.model import Kind, Struck

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.faults.model import Planned, Reach

#: Pause between two looks at the broker's clients, seconds: short, for the node waits a second at a time.
_TICK: Final = 0.002
#: How long a strike waits for the node to wait, seconds; kombu's BRPOP returns after one.
_PATIENCE: Final = 5.0
#: The broker, or the node, is away just now: another fault was quicker.
_AWAY: Final = (redis.ConnectionError, redis.TimeoutError, psutil.NoSuchProcess)


class _InPop:
    def __init__(self, planned: Planned, reach: Reach) -> None:
        self._nodes = reach.nodes
        self._node = planned.targets[0] if planned.targets else reach.nodes.names()[0]
        if self._node not in reach.nodes.names():
            raise UsageError(f"Fault «{planned.text}»: there is no node {self._node}.")
        self._url = reach.broker_url

    def strike(self) -> Struck | None:
        """Stop the node while it waits; a thread kills it as soon as it has been handed something."""
        pid = self._nodes.pid(self._node)
        if pid is None:
            return None
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(redis.Redis.from_url(self._url, socket_timeout=5))
            back = self._nodes.expect(self._node)
            stack.callback(back)
            try:
                caught = self._caught_waiting(client, pid)
            except _AWAY:
                return None
            if not caught:
                return None
            stack.pop_all()
        over = threading.Event()
        thread = threading.Thread(target=self._kill_when_served, args=(client, pid, over), daemon=True)
        thread.start()
        detail = f"{self._node} was stopped in BRPOP, and killed when it had been handed a message"
        return Struck(detail, lambda: self._heal(thread, over, back))

    def _caught_waiting(self, client: redis.Redis, pid: int) -> bool:
        """Stop the node just after it began to wait, so that the server will not time it out meanwhile."""
        deadline, known = time.monotonic() + _PATIENCE, _waits(client, pid)
        while time.monotonic() < deadline:
            waits = _waits(client, pid)
            if waits and waits != known and self._stopped(client, pid, waits):
                return True
            known = waits
            time.sleep(_TICK)
        return False

    def _stopped(self, client: redis.Redis, pid: int, waits: str) -> bool:
        """Stop the node in this very wait; one that has gone on, or can't be seen, goes on."""
        caught = False
        self._nodes.signal(self._node, signal.SIGSTOP)
        try:
            caught = _waits(client, pid) == waits
        finally:
            if not caught:
                self._nodes.signal(self._node, signal.SIGCONT)
        return caught

    def _kill_when_served(self, client: redis.Redis, pid: int, over: threading.Event) -> None:
        with contextlib.suppress(redis.RedisError, psutil.Error), client:
            wait = _waits(client, pid)
            while _waits(client, pid) == wait and not over.wait(_TICK):
                pass
        if self._nodes.pid(self._node) == pid:  # otherwise another fault was quicker
            self._nodes.kill(self._node)

    def _heal(self, thread: threading.Thread, over: threading.Event, back: Callable[[], None]) -> None:
        over.set()
        thread.join()
        try:
            self._nodes.start(self._node)
        finally:
            back()


def _waits(client: redis.Redis, pid: int) -> str:
    """Name the wait of a process on this machine."""
    ours = {f"{each.laddr.ip}:{each.laddr.port}" for each in psutil.Process(pid).net_connections("tcp") if each.laddr}
    return waits(client, ours.__contains__)


def waits(client: redis.Redis, ours: Callable[[str], bool]) -> str:
    """Name the wait of who is blocked in BRPOP, known by its address; each wait differently, empty where none is."""
    clients: list[dict[str, Any]] = client.client_list()
    blocked = (each for each in clients if ours(each["addr"]) and each["cmd"] == "brpop" and "b" in each["flags"])
    # Servers older than Valkey 8 don't count a client's commands; there only the pause between two waits shows.
    return next((f"{each['id']}/{each.get('tot-cmds', '')}" for each in blocked), "")


def _build(planned: Planned, reach: Reach) -> _InPop:
    if len(planned.targets) > 1:
        raise UsageError(f"Fault «{planned.text}»: one node is killed in its pop; name one.")
    return _InPop(planned, reach)


FAULTS: Final[Mapping[str, Kind]] = {
    "kill-in-pop": Kind(
        build=_build,
        default_duration=2.0,
        targets="[node]",
        help="a node is killed between the broker's pop of a message and its note that the node has it",
    ),
}
