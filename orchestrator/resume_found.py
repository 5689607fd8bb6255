"""What a killed run has left with its services: made fit to go on from, before any of its nodes starts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from orchestrator import schema, settle, watermark
from orchestrator.errors import ServiceError
from orchestrator.group_race import schema_of
from orchestrator.profile import Workers
from orchestrator.tail import Tail
from orchestrator.watermark import PUBLISHED_FILE
from worker.contract import EndLine, Line, StartLine
from worker.postgres import connect
from worker.shipper import ship_all

if TYPE_CHECKING:
    import psycopg
    from numpy.typing import NDArray

    from orchestrator.broker import Broker
    from orchestrator.interrupt import Interrupt
    from orchestrator.publish import Message
    from orchestrator.stage import Stage
    from orchestrator.state import Standing
    from orchestrator.watermark import Published

#: How long sessions of killed workers may take to end once they are told to, seconds.
_END: Final = 5.0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """How far the group under way had come when nobody worked on it."""

    group: int
    published: Published
    #: Ids of the messages that the broker held.
    ids: frozenset[str]
    #: Per operation: a worker had begun an attempt.
    begun: NDArray[np.bool_]

    def has(self, message: Message) -> bool:
        """Say whether a message was delivered: the broker has it, or a worker had it."""
        return message.id in self.ids or bool(self.begun[message.first : message.end].any())


class _Told(msgspec.Struct):
    """What the journals tell."""

    begun: NDArray[np.bool_]
    #: Backends (pid, start) of attempts without an end, by token.
    open: dict[int, tuple[int, int]]


class Left:
    """A killed run's remains on its database and broker, and in its folder."""

    def __init__(
        self, stage: Stage, standing: Standing, connection: psycopg.Connection[Any], broker: Broker, url: str
    ) -> None:
        """`url` leads to the database."""
        self._stage, self._standing, self._broker = stage, standing, broker
        self._connection, self._url = connection, url
        self._spawned = stage.profile.workers is Workers.SPAWN

    def group_under_way(self, interrupt: Interrupt) -> Found | None:
        """Save and give back what dead nodes had; say how far the group is, None where none is or it begins anew.

        Raises ServiceError where its data are gone: it is never begun anew in silence.
        """
        now = self._standing.now
        if self._spawned:
            ship_all(self._stage.journals, lambda: connect(self._url, "rowrace", ""))
        present = schema.schemas(self._connection)
        self._drop_ended(present)
        name = schema_of(self._stage.run, now.group)
        if not now.group or not now.created:
            if now.group:
                schema.drop(self._connection, name)
            self._empty()
            return None
        if name not in present:
            raise ServiceError(
                f"The data of run {self._stage.run}'s group {now.group} are gone: the database has no schema {name}."
                f" `rowrace clean --forget {self._stage.run}` removes what it would be resumed with."
            )
        return self._found(name, interrupt)

    def _drop_ended(self, present: list[str]) -> None:
        """Drop what groups left whose histories are whole."""
        for number in self._standing.now.done if not self._stage.keep else ():
            if (name := schema_of(self._stage.run, number)) in present:
                schema.drop(self._connection, name)

    def _empty(self) -> None:
        """Take back what the broker holds: no group that it could belong to is under way."""
        if self._spawned:
            self._broker.give_back()
        for _ in self._broker.withdraw():
            pass

    def _found(self, name: str, interrupt: Interrupt) -> Found:
        stage, number = self._stage, self._standing.now.group
        (group,) = (each for each in stage.groups if each.number == number)
        published = watermark.read(stage.folder / group.name / PUBLISHED_FILE)
        if self._spawned:
            told = _told(self._connection, name, stage.profile.operations)
            self._end_sessions(told)
            self._broker.give_back()
            return Found(group=number, published=published, ids=frozenset(self._broker.ids()), begun=told.begun)
        ids = self._broker.ids() if published.doubtful else set()
        if published.doubtful:
            # Their nodes live: a message may just now be in nobody's books, and lines take a while to be shipped.
            interrupt.asked.wait(stage.profile.grace)
            ids |= self._broker.ids()
        told = _told(self._connection, name, stage.profile.operations)
        return Found(group=number, published=published, ids=frozenset(ids), begun=told.begun)

    def _end_sessions(self, told: _Told) -> None:
        """End sessions of dead workers' attempts: nothing of theirs is committed later, and no row stays locked."""
        settle.terminate(self._connection, set(told.open.values()))
        settle.ended(self._connection, told.open, _END)


def _told(connection: psycopg.Connection[Any], name: str, operations: int) -> _Told:
    """Read a group's whole journal."""
    told = _Told(np.zeros(operations, dtype=np.bool_), {})
    decoder = msgspec.json.Decoder(Line)
    for _, lines in Tail(name).read(connection):
        for text in lines.splitlines():
            with suppress(msgspec.MsgspecError, UnicodeDecodeError):
                line = decoder.decode(text)
                if isinstance(line, StartLine):
                    told.open[line.token] = (line.backend_pid, line.backend_start_us)
                    if 0 <= line.operation < operations:
                        told.begun[line.operation] = True
                elif isinstance(line, EndLine):
                    told.open.pop(line.token, None)
    return told
