"""Publishing: operations into messages, messages into batches, each confirmed or published again under the same id.

A batch that failed may or may not have been delivered, so ids are `<run>.<group>.<message>`, and the guard on
operations makes a second delivery harmless; without the guard nothing is published twice.
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from kombu import Producer
from kombu.exceptions import KombuError

from orchestrator.broker import BROKEN
from worker.contract import TASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from orchestrator.broker import Broker
    from orchestrator.watermark import Published, Watermark
    from worker.contract import Operation, Settings

#: Messages in one round trip to the broker.
BATCH: Final = 500
#: Operations published and not ended yet, at most: neither the broker's memory nor ours grows with the plan.
WINDOW: Final = 50_000
#: How often a batch is published before it is given up.
TRIES: Final = 4
#: The same while faults strike, which take the broker away for seconds.
TRIES_UNDER_FAULTS: Final = 40
#: Pause after a batch's first failure, seconds; it doubles with each, up to the longest.
_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 2.0

#: Where an id, `<run>.<group>.<message>`, has the message's number.
_NUMBER: Final = 2

#: Celery's message protocol 2: the body's third part.
_EMBED: Final = b'{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]'


class Message(msgspec.Struct, frozen=True):
    """One message, ready for the wire."""

    id: str
    body: str
    #: The first operation in it, and the one after its last.
    first: int
    end: int


def messages(
    settings: Settings, prefix: str, operations: Iterable[Operation], per_message: int, number: int = 0
) -> Iterator[Message]:
    """Pack operations, in their order, into messages that are numbered from `number` on.

    The body is Celery's protocol 2, written once and not once per field.
    """
    head = b'[[],{"settings":' + msgspec.json.encode(settings) + b',"operations":'
    stream = iter(operations)
    while chunk := list(islice(stream, per_message)):
        body = head + msgspec.json.encode(chunk) + b"}," + _EMBED
        yield Message(f"{prefix}.{number}", body.decode(), chunk[0].operation, chunk[-1].operation + 1)
        number += 1


def again(settings: Settings, prefix: str, operations: Iterable[Operation], round_: int) -> Iterator[Message]:
    """Pack operations that are published again, a message each, under ids of their own (`<operation>r<round>`).

    They were delivered before, as far as failpoints go: only those that strike always travel with them.
    """
    always = tuple(each for each in settings.failpoints if each.always)
    settings = msgspec.structs.replace(settings, failpoints=always)
    for operation in operations:
        (one,) = messages(settings, prefix, [operation], 1)
        yield msgspec.structs.replace(one, id=f"{prefix}.{operation.operation}r{round_}")


class Publisher:
    """Publishes one group's messages in batches; `run` may be a thread's target."""

    def __init__(
        self,
        broker: Broker,
        count: int,
        per_message: int,
        *,
        again: bool,
        under_faults: bool = False,
        mark: Watermark | None = None,
    ) -> None:
        """`mark` is told what is published, so that a kill leaves no doubt about more than one batch."""
        self._broker = broker
        self._mark = mark
        self._per_message = per_message
        self._tries = (TRIES_UNDER_FAULTS if under_faults else TRIES) if again else 1
        #: A batch that could not be published stays unconfirmed, and the next one is tried.
        self._go_on = under_faults
        #: Per operation: the broker confirmed the message that carries it.
        self.confirmed: NDArray[np.bool_] = np.zeros(count, dtype=np.bool_)
        #: Operations that have ended, as the journal's reader says; publishing keeps a bounded distance.
        self.settled = 0
        #: Operations handed to the broker so far.
        self.published = 0
        #: Messages published a second time, since their first publication was not confirmed.
        self.republished = 0
        #: Per operation: how often it was published again because it was thought to be lost.
        self.repeated: NDArray[np.int32] = np.zeros(count, dtype=np.int32)
        #: Set it to publish no further batch.
        self.stop = threading.Event()
        self.error: Exception | None = None

    def run(self, stream: Iterable[Message]) -> None:
        """Publish until the stream ends, or is stopped, or the broker fails for good (then `error` says how)."""
        rest = iter(stream)
        try:
            while not self.stop.is_set() and (batch := list(islice(rest, BATCH))):
                first, end = batch[0].first, batch[-1].end
                if self._mark:
                    self._mark.about_to(first, end)
                if self._deliver(batch):
                    self._note(first, end)
                elif not self._go_on:
                    return
                else:
                    self.error = None  # the batch stays unconfirmed; the race goes on
                while self.published - self.settled > WINDOW and not self.stop.wait(0.05):
                    pass
        except Exception as error:  # noqa: BLE001 - a thread's failure is told by the loop that started it
            self.error = error

    def repeat(self, stream: Iterable[Message]) -> int:
        """Publish operations again, a message each; gives how many were sent.

        What the broker does not take ends this round and not the race; it may have taken some, so they count.
        """
        rest, count = iter(stream), 0
        while batch := list(islice(rest, BATCH)):
            places = [each.first for each in batch]
            if self._mark:
                self._mark.again(places)
            self.repeated[places] += 1
            count += len(batch)
            if not self._send(batch):
                self.error = None
                return count
            self.confirmed[places] = True
        return count

    def take_up(self, before: Published) -> None:
        """Know what an earlier process had published; what it left in doubt is yet to be settled."""
        for first, end in before.confirmed:
            self.confirmed[first:end] = True
            self.published += end - first
        for operation in before.repeated:
            self.repeated[operation] += 1

    def settle(self, batch: list[Message], present: Callable[[Message], bool]) -> int:
        """Settle a batch that was left in doubt: what is present was delivered, the rest is published now; its number.

        Its ids are those of the first time.
        """
        absent = [each for each in batch if not present(each)]
        for each in batch:
            if present(each):
                self.confirmed[each.first : each.end] = True
                self.published += each.end - each.first
        if not absent or self._deliver(absent):
            self._note(batch[0].first, batch[-1].end)
        return sum(map(self._publishes, absent))

    def _publishes(self, message: Message) -> bool:  # noqa: ARG002 - others choose
        """Say whether a message is one that goes to the broker at all."""
        return True

    def _note(self, first: int, end: int) -> None:
        if self._mark:
            self._mark.confirmed(first, end)

    def withdrawn(self, message: str) -> None:
        """Note that a message was taken back, by its id: its operations are as if they were never published."""
        parts = message.split(".")
        if "r" in parts[_NUMBER]:
            self.confirmed[int(parts[_NUMBER].partition("r")[0])] = False
            return
        number = int(parts[_NUMBER])
        if len(parts) > _NUMBER + 1:  # Celery's retry of one operation: `<id>.<operation>.<attempt>`
            self.confirmed[int(parts[_NUMBER + 1])] = False
        else:
            self.confirmed[number * self._per_message : (number + 1) * self._per_message] = False

    def _deliver(self, batch: list[Message]) -> bool:
        for attempt in range(self._tries):
            self.republished += len(batch) if attempt else 0
            if self._send(batch):
                for each in batch:
                    self.confirmed[each.first : each.end] = True
                self.published += sum(each.end - each.first for each in batch)
                return True
            if self.stop.wait(min(_PAUSE * 2**attempt, _LONGEST_PAUSE)):
                break
        self.published += sum(each.end - each.first for each in batch) if self._go_on else 0
        return False

    def _send(self, batch: list[Message]) -> bool:
        try:
            with self._broker.app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=5)
                _publish(connection, self._broker.queue, batch)
        except (*BROKEN, KombuError) as error:
            self.error = error
            return False
        self.error = None
        return True


def _publish(connection: Any, queue: str, batch: list[Message]) -> None:  # noqa: ANN401 - kombu has no types
    producer: Any = Producer(connection)  # its types know no batch yet
    with producer.batch(max_size=len(batch)):
        for message in batch:
            producer.publish(
                message.body,
                exchange="",
                routing_key=queue,
                content_type="application/json",
                content_encoding="utf-8",
                headers=_headers(message.id),
                correlation_id=message.id,
                reply_to="",
            )


def _headers(message: str) -> dict[str, Any]:
    """Write the headers that Celery's worker reads; `argsrepr` is for eyes only, and kept short."""
    return {
        "lang": "py",
        "task": TASK,
        "id": message,
        "root_id": message,
        "parent_id": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "shadow": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "rowrace",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
