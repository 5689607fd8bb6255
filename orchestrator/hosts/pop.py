"""Cuts a worker host off from the broker just as it waits for a message.

BRPOP hands a message over by writing it into the connection, and forgets it; kombu notes it in `unacked` when it has
read it.  A worker that was cut off in between, and has given the connection up by its healing, never reads it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import redis

from orchestrator.faults.model import Struck
from orchestrator.faults.pop import waits
from orchestrator.hosts.layout import BROKER, address

if TYPE_CHECKING:
    from orchestrator.faults.model import Fault

#: Pause between two looks at the broker's clients, seconds: short, for the worker waits a second at a time.
_TICK: Final = 0.002
#: How long a strike waits for the worker to wait, seconds; an idle worker begins a wait every second.
_PATIENCE: Final = 3.0


class InPop:
    """A cut that is made at the begin of a wait, so that the broker will hand over what comes within a second."""

    def __init__(self, cut: Fault, worker: str, broker_url: str) -> None:
        self._cut = cut
        self._prefix = f"{address(worker, BROKER)}:"
        self._url = broker_url

    def strike(self) -> Struck | None:
        """Cut; a cut that came too late is healed at once, and made again at the next wait."""
        with redis.Redis.from_url(self._url, socket_timeout=5) as client:
            deadline, known = time.monotonic() + _PATIENCE, self._wait(client)
            while time.monotonic() < deadline:
                begun = self._wait(client)
                if begun not in ("", known) and (struck := self._caught(client, begun)) is not None:
                    return struck
                known = begun
                time.sleep(_TICK)
        return None

    def _caught(self, client: redis.Redis, wait: str) -> Struck | None:
        struck = self._cut.strike()
        if struck is None or struck.heal is None:
            return struck
        with ExitStack() as stack:
            stack.callback(struck.heal)
            if self._wait(client) == wait:
                stack.pop_all()
                return Struck(f"{struck.detail}, as the worker waited for a message", struck.heal)
        return None

    def _wait(self, client: redis.Redis) -> str:
        return waits(client, lambda where: where.startswith(self._prefix))
