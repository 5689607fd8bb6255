"""Control messages reach the nodes and are answered, whatever has become of the connections that sent earlier ones."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest
from kombu import Connection
from kombu.pidbox import Mailbox

from orchestrator.broker import Broker
from orchestrator.errors import ServiceError
from orchestrator.services import open_services
from worker.contract import TASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.services import Services

NODE = "node1-abcd@localhost"
QUEUE = "rowrace.abcd"


@pytest.fixture(scope="module")
def own() -> Iterator[Services]:
    """A pair that others don't use, so that it may be restarted."""
    with open_services() as opened:
        yield opened


@contextlib.contextmanager
def _listening(url: str) -> Iterator[list[tuple[str, str]]]:
    """A node that answers as Celery's do, by kombu's own mailbox; what it was asked to consume is in the list."""
    asked: list[tuple[str, str]] = []

    def note(command: str) -> Callable[..., None]:
        return lambda _state, queue, **_: asked.append((command, queue))

    handlers = {
        "ping": lambda _state, **_: {"ok": "pong"},
        "registered": lambda _state, **_: [TASK],
        "add_consumer": note("add_consumer"),
        "cancel_consumer": note("cancel_consumer"),
    }
    ended = threading.Event()
    with Connection(url) as connection:
        mailbox: Any = Mailbox("celery", type="fanout", accept=["json"], serializer="json")(connection)
        node = mailbox.Node(NODE, channel=connection.channel(), handlers=handlers)
        with node.listen():
            thread = threading.Thread(target=_answer, args=(connection, ended))
            thread.start()
            try:
                yield asked
            finally:
                ended.set()
                thread.join()


def _answer(connection: Any, ended: threading.Event) -> None:  # noqa: ANN401 - kombu has no types
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=0.1)


@pytest.mark.parametrize("keep", [True, False], ids=["data kept", "data lost"])
@pytest.mark.parametrize(
    ("send", "answer", "heard"),
    [
        (lambda broker: broker.ping(5.0, [NODE]), [NODE], []),
        (lambda broker: broker.workers(1.0), [NODE], []),
        (lambda broker: broker.listen(NODE), None, [("add_consumer", QUEUE)]),
        (lambda broker: broker.unlisten(NODE), None, [("cancel_consumer", QUEUE)]),
    ],
    ids=["ping", "workers", "listen", "unlisten"],
)
def test_a_control_message_survives_the_broker_s_restart(
    own: Services,
    send: Callable[[Broker], list[str] | None],
    answer: list[str] | None,
    heard: list[tuple[str, str]],
    keep: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """No connection that the restart has broken carries it, and no binding that was lost is taken for made."""
    assert own.servers is not None
    with contextlib.closing(Broker(own.broker_url, "abcd")) as broker:
        assert [] == broker.ping(0.1)
        own.servers.stop_broker(keep_data=keep)
        own.servers.start_broker()
        with _listening(own.broker_url) as asked:
            assert (answer, heard) == (send(broker), asked)


def test_control_messages_leave_no_connection(own: Services) -> None:
    """Each closes its own."""
    with contextlib.closing(Broker(own.broker_url, "abcd")) as broker:
        broker.ping(0.1)
        before = len(broker._redis.client_list())
        for _ in range(3):
            broker.ping(0.1)
        assert before == len(broker._redis.client_list())


@pytest.mark.parametrize("send", [lambda broker: broker.listen(NODE), lambda broker: broker.unlisten(NODE)])
def test_a_control_message_to_a_broker_that_is_gone_is_a_service_error(send: Callable[[Broker], None]) -> None:
    """One sentence, as for every other question, with the advice that was asked for."""
    with (
        contextlib.closing(Broker("redis://127.0.0.1:1/0", "abcd", advice="look at its log.")) as gone,
        pytest.raises(ServiceError, match=r"\AThe broker does not answer \(OperationalError\); look at its log\.\Z"),
    ):
        send(gone)
