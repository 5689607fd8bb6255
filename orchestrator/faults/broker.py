"""Faults of the broker: workers' connections cut, the server restarted with or without its data, stopped, paused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec
import redis

from orchestrator.broker import unacked_of
from orchestrator.errors import ServiceError
from orchestrator.faults import outages
from orchestrator.faults.choosing import share, some, word
from orchestrator.faults.model import Kind, Struck
from orchestrator.faults.outages import Outage
from worker.contract import UNACKED

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from orchestrator.faults.model import Fault, Planned, Reach

Answer = TypeVar("Answer")

#: How long the broker may take to answer, seconds; one that another fault stopped or paused is left for the next time.
_PATIENCE_S: Final = 3.0

_DATA: Final[tuple[Literal["keep", "lose"], ...]] = ("keep", "lose")

#: What a fault's own connection is called; its name must not look like a run's.
_NAME: Final = "rowrace-fault"

#: What the names of orchestrators' connections begin with.
_RUNS: Final = "rowrace."


class KillClients(msgspec.Struct, frozen=True, kw_only=True):
    """Cuts connections of the run's workers, which are named after the hash that keeps their messages."""

    text: str
    url: str
    queue: str
    #: The name of the workers' connections.
    workers: str
    share: float
    random: random.Random

    def __repr__(self) -> str:
        return f"KillClients({self.text!r})"  # the URL holds a password

    def strike(self) -> Struck | None:
        """Cut them."""
        return self._ask(self._cut)

    def check(self) -> None:
        """Refuse at once what can't be done here."""
        self._ask(self._found)

    def _cut(self, client: redis.Redis) -> Struck | None:
        found = self._found(client)
        chosen = some(found, self.share, self.random)
        cut = sum(int(client.client_kill_filter(_id=number)) for number in chosen)
        return Struck(f"{cut} of {len(found)} connections of workers to the broker were cut") if cut else None

    def _found(self, client: redis.Redis) -> list[str]:
        """The numbers of the workers' connections; refuses where they may be another run's."""
        clients: list[dict[str, Any]] = client.client_list()
        others = {each["name"] for each in clients if each["name"].startswith(_RUNS)} - {self.queue}
        if others and self.workers == UNACKED:
            raise ServiceError(
                f"Fault «{self.text}» can't tell which external workers serve this run, for run "
                f"{min(others).removeprefix(_RUNS)} uses the same broker: wait for its end, or leave the fault out."
            )
        return sorted((each["id"] for each in clients if each["name"] == self.workers), key=int)

    def _ask(self, action: Callable[[redis.Redis], Answer]) -> Answer | None:
        """What an action gives; None where the broker doesn't answer just now."""
        try:
            with redis.Redis.from_url(
                self.url, socket_connect_timeout=_PATIENCE_S, socket_timeout=_PATIENCE_S, retry=None, client_name=_NAME
            ) as client:
                return action(client)
        except redis.exceptions.NoPermissionError:
            raise ServiceError(
                f"Fault «{self.text}» is more than the broker's user may do: grant it the commands CLIENT LIST and "
                "CLIENT KILL, or leave the fault out."
            ) from None
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            return None


def _kill(planned: Planned, reach: Reach) -> Fault:
    made = KillClients(
        text=planned.text,
        url=reach.broker_url,
        queue=reach.queue,
        workers=_name(reach),
        share=share(planned),
        random=reach.random,
    )
    made.check()
    return made


def _name(reach: Reach) -> str:
    """What the workers' connections are called; external workers have one name for every run."""
    try:
        reach.nodes.names()
    except ServiceError:
        return UNACKED
    return unacked_of(reach.queue.removeprefix(_RUNS))


def _stop(planned: Planned, reach: Reach) -> Fault:
    keep = word(planned, "data", _DATA) == "keep"
    servers = outages.broker(planned, reach)
    return Outage(
        detail=f"the broker was stopped, its data {'kept' if keep else 'lost'}",
        runs=servers.broker_runs,
        take=lambda: servers.stop_broker(keep_data=keep),
        give=servers.start_broker,
    )


def _pause(planned: Planned, reach: Reach) -> Fault:
    servers = outages.broker(planned, reach)
    return Outage(
        detail="the broker got SIGSTOP",
        runs=servers.broker_runs,
        take=servers.pause_broker,
        give=servers.resume_broker,
    )


def _data(planned: Planned) -> object:
    return word(planned, "data", _DATA)


FAULTS: Final[Mapping[str, Kind]] = {
    "kill-clients": Kind(
        build=_kill,
        options={"share": "1"},
        check=share,
        help="Cut the workers' connections to the broker, all or a share of them.",
    ),
    "restart-broker": Kind(
        build=_stop,
        # Given back at once: its healing is the start, which ends when the broker has read its data.
        default_duration=0.0,
        options={"data": "keep"},
        own="broker",
        check=_data,
        help="Stop the embedded broker and start it again, with its data (data=keep) or without (data=lose).",
    ),
    "stop-broker": Kind(
        build=_stop,
        default_duration=2.0,
        options={"data": "keep"},
        own="broker",
        check=_data,
        help="Stop the embedded broker for some seconds, with its data (data=keep) or without (data=lose).",
    ),
    "pause-broker": Kind(
        build=_pause,
        default_duration=2.0,
        own="broker",
        help="SIGSTOP the embedded broker for some seconds: it neither answers nor refuses.",
    ),
}
