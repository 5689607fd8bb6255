"""The producer of requests: inserts a request for each operation, and publishes the task that is to fulfil it.

A message's operations are asked for in one transaction.  Most commit, and a third is rolled back, as an order is that
fails its last check.  Done right, publication follows COMMIT, and nothing is published for what was rolled back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from psycopg import sql

from orchestrator.patience import GONE
from orchestrator.publish import Publisher
from worker.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import psycopg
    from numpy.typing import NDArray

    from orchestrator.broker import Broker
    from orchestrator.patience import Line
    from orchestrator.profile import Profile
    from orchestrator.progress import Progress
    from orchestrator.publish import Message
    from orchestrator.watermark import Published, Watermark

#: One in so many transactions is rolled back.
ROLLED_BACK: Final = 3
#: How long a transaction that has published waits to hear of one more of its tasks before it commits, seconds.
_WAIT: Final = 10.0
_TICK: Final = 0.05

#: A COMMIT that got no answer may have been carried out: what is there already stays.
_INSERT: Final = """
    INSERT INTO {schema}.requests SELECT asked, asked, clock_timestamp() FROM unnest(%s::bigint[]) AS asked
    ON CONFLICT DO NOTHING
"""


class Requests:
    """The requests of one group, in its schema."""

    def __init__(self, line: Line, schema: str) -> None:
        self._line = line
        self._insert = sql.SQL(_INSERT).format(schema=sql.Identifier(schema))

    def ask(self, numbers: NDArray[np.int64], within: Callable[[], None], *, commit: bool) -> None:
        """Insert requests and end the transaction; `within` is called once in it, however often it must be repeated."""
        pending = [within]
        while True:
            connection = self._line.wait()
            try:
                self._once(connection, numbers, pending, commit=commit)
            except GONE as error:
                self._line.broke(error)
            else:
                return

    def close(self) -> None:
        """Give the connection up."""
        self._line.close()

    def _once(
        self,
        connection: psycopg.Connection[Any],
        numbers: NDArray[np.int64],
        pending: list[Callable[[], None]],
        *,
        commit: bool,
    ) -> None:
        with connection.transaction(force_rollback=not commit):
            connection.execute(self._insert, (numbers.tolist(),))
            while pending:
                pending.pop()()


class Producer(Publisher):
    """Publishes what is asked for in the database, batch by batch, as one process does after another request."""

    def __init__(
        self,
        broker: Broker,
        profile: Profile,
        requests: Requests,
        progress: Progress,
        *,
        again: bool,
        mark: Watermark | None = None,
    ) -> None:
        super().__init__(
            broker, profile.operations, profile.per_message, again=again, under_faults=bool(profile.faults), mark=mark
        )
        self._requests = requests
        self._progress = progress
        self._phase = profile.seed % ROLLED_BACK
        self._early = Mistake.PUBLISH_BEFORE_COMMIT in profile.mistakes
        self._ghosts = Mistake.PUBLISH_BEFORE_ROLLBACK in profile.mistakes

    def run(self, stream: Iterable[Message]) -> None:
        """Insert and publish until the stream ends, or as a publisher does."""
        try:
            super().run(stream)
        finally:
            self._requests.close()

    def take_up(self, before: Published) -> None:
        """Know what was published, and what was rolled back in between."""
        super().take_up(before)
        if not self._ghosts:
            messages = np.arange(len(self.confirmed)) // self._per_message
            rolled = self.confirmed & (messages % ROLLED_BACK == self._phase)
            self.confirmed[rolled] = False
            self._progress.unasked(np.flatnonzero(rolled))

    def _deliver(self, batch: list[Message]) -> bool:
        kept = [each for each in batch if not self._rolls_back(each)]
        dropped = [each for each in batch if self._rolls_back(each)]
        return (not dropped or self._roll_back(dropped)) and (not kept or self._commit(kept))

    def _publishes(self, message: Message) -> bool:
        """What is rolled back is published by mistake only."""
        return self._ghosts or not self._rolls_back(message)

    def _rolls_back(self, message: Message) -> bool:
        """Choose every third message, where to begin by the seed: no race is without one by chance."""
        return message.first // self._per_message % ROLLED_BACK == self._phase

    def _commit(self, batch: list[Message]) -> bool:
        if not self._early:
            self._requests.ask(_numbers(batch), _nothing, commit=True)
            return super()._deliver(batch)
        sent: list[bool] = []

        def publish() -> None:
            sent.append(super(Producer, self)._deliver(batch))
            self._await(_numbers(batch))

        self._requests.ask(_numbers(batch), publish, commit=True)
        return sent[0]

    def _roll_back(self, batch: list[Message]) -> bool:
        sent = [True]

        def publish() -> None:
            sent[0] = super(Producer, self)._deliver(batch)

        self._requests.ask(_numbers(batch), publish if self._ghosts else _nothing, commit=False)
        if not self._ghosts:
            numbers = _numbers(batch)
            self._progress.unasked(numbers)
            self.published += len(numbers)  # there is nothing to publish for them
        return sent[0]

    def _await(self, numbers: NDArray[np.int64]) -> None:
        """Wait until the operations have ended, for as long as more of them do: whoever is to fail has failed then."""
        deadline, before = 0.0, -1
        while not self.stop.is_set():
            ended = int(np.count_nonzero(self._progress.states[numbers]))
            if ended != before:
                deadline, before = time.monotonic() + _WAIT, ended
            if ended == len(numbers) or time.monotonic() > deadline:
                return
            self.stop.wait(_TICK)


def _numbers(batch: list[Message]) -> NDArray[np.int64]:
    """List the operations in some messages."""
    return np.concatenate([np.arange(each.first, each.end) for each in batch])


def _nothing() -> None:
    """Do nothing within a transaction."""
