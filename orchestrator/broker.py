"""The run's queue: what waits, what is unacknowledged, who listens, and its removal.

Everything here is confined to one queue, `rowrace.<run>`; other users of the broker are not touched.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from orchestrator.errors import ServiceError
from worker.contract import TASK, UNACKED

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What kombu's Redis transport puts before an exchange's name, as kombu 5.7 has it.
_BINDINGS: Final = ("_kombu.binding.", "_kombu.binding_permanent.")

#: Where kombu binds each node's mailbox for control messages; one that was killed doesn't unbind its own.
_MAILBOXES: Final = "_kombu.binding.celery.pidbox"

#: How long the broker may take to answer, seconds.
_PATIENCE: Final = 30.0

#: Messages taken back in one round trip.
_PIECE: Final = 500


class _Headers(msgspec.Struct):
    id: str


class _Envelope(msgspec.Struct):
    headers: _Headers


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)

#: What to do about a broker that does not answer, where its URL was given.
GIVEN: Final = "check ROWRACE_BROKER_URL."

#: What a client of the broker raises when the broker does not answer.
BROKEN: Final = (redis.RedisError, OperationalError, OSError)


def queue_of(run: str) -> str:
    """Name the run's queue."""
    return f"rowrace.{run}"


def unacked_of(run: str) -> str:
    """Name the hash that keeps what the run's own nodes have taken and not acknowledged; external nodes share one."""
    return f"{UNACKED}.{run}"


class Broker:
    """One run's view of the broker."""

    def __init__(self, url: str, run: str, *, advice: str = GIVEN) -> None:
        """`advice` ends the sentence that is said where the broker does not answer."""
        self.queue = queue_of(run)
        self._advice = advice
        self.url = url
        self._hashes = (UNACKED, unacked_of(run))
        # The connection's name shows others that the run lives.
        self._redis = redis.Redis.from_url(
            url, socket_connect_timeout=5, socket_timeout=_PATIENCE, retry=None, client_name=self.queue
        )
        #: A client for control messages and publishing; it knows no task and leaves no backend.
        self.app = Celery("rowrace", broker=url, set_as_current=False)
        self.app.conf.update(
            task_serializer="json",
            accept_content=["json"],
            task_ignore_result=True,
            broker_connection_retry_on_startup=False,
            broker_connection_timeout=5,
            # A broker that stops answering must end a publication, not hold it for ever.
            broker_transport_options={"socket_connect_timeout": 5, "socket_timeout": _PATIENCE},
            worker_enable_remote_control=True,
        )

    def check(self) -> str:
        """Ask the broker for its name and version."""
        with _answering(self._advice):
            info: dict[str, Any] = self._redis.info("server")
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"

    def waiting(self) -> int:
        """Count messages in the queue."""
        with _answering(self._advice):
            return int(self._redis.llen(self.queue))

    def unacknowledged(self) -> int:
        """Count the run's messages that a worker took and did not acknowledge yet."""
        with _answering(self._advice):
            return len(self._taken())

    def empty(self) -> bool:
        """Say whether, at one moment, nothing waits and nothing is unacknowledged: a message may pass either way."""
        with _answering(self._advice):
            pipe = self._redis.pipeline(transaction=True)
            pipe.llen(self.queue)
            for name in self._hashes:
                pipe.hvals(name)
            waiting, *taken = pipe.execute()
        return not waiting and not any(json.loads(entry)[2] == self.queue for entries in taken for entry in entries)

    def _taken(self) -> list[tuple[str, bytes]]:
        """List hash and delivery tag of every message in kombu's hashes that was routed to this queue."""
        return [
            (name, tag)
            for name in self._hashes
            for tag, entry in self._redis.hscan_iter(name)
            if json.loads(entry)[2] == self.queue
        ]

    @contextmanager
    def _fresh(self) -> Iterator[Any]:
        """Connect anew for a control message: one of kombu's pool shows only in use that it was broken meanwhile."""
        with _answering(self._advice), self.app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
            yield connection

    def listen(self, node: str) -> None:
        """Have a worker node take the run's messages too."""
        with self._fresh() as connection:
            self.app.control.add_consumer(self.queue, destination=[node], reply=True, timeout=5, connection=connection)

    def unlisten(self, node: str) -> None:
        """Have a worker node take no more of the run's messages."""
        with self._fresh() as connection:
            self.app.control.cancel_consumer(
                self.queue, destination=[node], reply=True, timeout=5, connection=connection
            )

    def ping(self, timeout: float, nodes: list[str] | None = None) -> list[str]:
        """Name the nodes that answer in time, all nodes of the broker or the ones asked for."""
        chosen = {"destination": nodes, "limit": len(nodes)} if nodes else {}
        with self._fresh() as connection:
            ask: Any = self.app.control.ping
            replies = ask(timeout=timeout, connection=connection, **chosen)
        return sorted(node for reply in replies or () for node in reply)

    def workers(self, timeout: float) -> list[str]:
        """Name the nodes that know our task; other apps' workers on the broker would throw its messages away."""
        with self._fresh() as connection:
            inspect: Any = self.app.control.inspect
            answer: dict[str, list[str]] = inspect(timeout=timeout, connection=connection).registered() or {}
        return sorted(node for node, tasks in answer.items() if TASK in tasks)

    def withdraw(self) -> Iterator[str]:
        """Take back the messages that wait, so that no further operation starts; name each of ours by its id."""
        with _answering(self._advice):
            client: Any = self._redis  # its types don't tell a list from one message
            while taken := client.lpop(self.queue, _PIECE):
                for message in taken:
                    with suppress(msgspec.MsgspecError):  # a stranger's
                        yield _ENVELOPE.decode(message).headers.id

    def give_back(self) -> int:
        """Put what the run's own nodes took and did not acknowledge at the head of the queue; how many those were.

        For nodes that are dead: they would hold the messages until the visibility timeout.
        """
        own = self._hashes[1]
        with _answering(self._advice):
            return sum(self._restore(own, tag) for name, tag in self._taken() if name == own)

    def _restore(self, name: str, tag: bytes) -> bool:
        """Move one message, whole or not at all, as kombu does; False where somebody else did so already."""
        moved = False

        def move(pipe: Any) -> None:  # noqa: ANN401 - redis-py's types don't know that it answers at once here
            nonlocal moved
            entry = pipe.hget(name, tag)
            pipe.multi()
            pipe.hdel(name, tag)
            pipe.zrem(f"{name}_index", tag)
            moved = entry is not None
            if moved:
                pipe.rpush(self.queue, json.dumps(_redelivered(json.loads(entry)[0])))

        self._redis.transaction(move, name)
        return moved

    def ids(self) -> set[str]:
        """List the ids of all messages that the broker holds of the run, waiting or unacknowledged.

        A message that is taken meanwhile is listed all the same, if it stays unacknowledged.
        """
        with _answering(self._advice):
            return set(self._waiting_ids()) | set(self._taken_ids())

    def _waiting_ids(self) -> Iterator[str]:
        client: Any = self._redis  # its types don't tell a list from one message
        start = 0
        while messages := client.lrange(self.queue, start, start + _PIECE - 1):
            start += len(messages)
            for message in messages:
                with suppress(msgspec.MsgspecError):  # a stranger's
                    yield _ENVELOPE.decode(message).headers.id

    def _taken_ids(self) -> Iterator[str]:
        for name in self._hashes:
            for _, entry in self._redis.hscan_iter(name):
                message, _, queue = json.loads(entry)
                if queue == self.queue:
                    yield message["headers"]["id"]

    def remove(self) -> None:
        """Remove every trace of the run from the broker."""
        with _answering(self._advice):
            pipe = self._redis.pipeline()
            for name, tag in self._taken():
                pipe.hdel(name, tag)
                pipe.zrem(f"{name}_index", tag)
            own = self._hashes[1]
            for key in (
                self.queue,
                own,
                f"{own}_index",
                f"{own}_mutex",
                *(prefix + self.queue for prefix in _BINDINGS),
            ):
                pipe.delete(key)
            nodes = f"*-{self.queue.removeprefix('rowrace.')}@*"
            for mailbox in self._redis.sscan_iter(_MAILBOXES, match=nodes):
                pipe.srem(_MAILBOXES, mailbox)
            pipe.execute()

    def close(self) -> None:
        """Close the connections."""
        self.app.close()
        self._redis.close()


def _redelivered(message: dict[str, Any]) -> dict[str, Any]:
    """Mark a message as kombu marks one that it restores."""
    with suppress(KeyError):  # another program's
        message["headers"]["redelivered"] = True
        message["properties"]["delivery_info"]["redelivered"] = True
    return message


def leftovers(url: str) -> list[str]:
    """List the runs that have left something on the broker, and have no orchestrator connected to it."""
    prefixes = ("", *_BINDINGS)
    with _answering(GIVEN), redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=_PATIENCE) as client:
        found = {
            key.decode().removeprefix(prefix) for prefix in prefixes for key in client.scan_iter(f"{prefix}rowrace.*")
        }
        living = {each["name"] for each in client.client_list()}
    return sorted(queue.removeprefix("rowrace.") for queue in found - living)


@contextmanager
def _answering(advice: str) -> Iterator[None]:
    """Say in one sentence, and without the URL's password, that the broker does not answer."""
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.AuthorizationError) as error:
        raise ServiceError("The broker refuses the password or user of its URL (ROWRACE_BROKER_URL).") from error
    except BROKEN as error:
        raise ServiceError(f"The broker does not answer ({type(error).__name__}); {advice}") from error
