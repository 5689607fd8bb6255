"""One direction of a connection: bytes from one socket to the other, in order, each when it is due."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.proxy.connection import Connection
    from orchestrator.proxy.way import Way


class End(Enum):
    """How a side of a connection ends."""

    FIN = "fin"
    RST = "rst"


class Pipe:
    """Reads nothing while its way is held: what comes stays in the kernel, and the sender meets its window's end."""

    def __init__(self, connection: Connection, source: socket.socket, sink: socket.socket, way: Way) -> None:
        self.way = way
        self._connection = connection
        self._source, self._sink = source, sink
        self._loop = asyncio.get_running_loop()
        #: What is on its way: when it is due, and what it is.
        self._queue: deque[tuple[float, bytes | End]] = deque()
        self._size = 0
        #: The source will say no more.
        self.ended = False
        #: The sink is not told of that.
        self.swallowed = False
        #: The source has gone by reset, though its socket may show an orderly end.
        self.broken = False
        #: The sink has gone: bytes for it get lost.
        self.deaf = False
        #: End of what was read, as the bytes that a trap waits for may come in two pieces.
        self.tail = b""
        self._reading = self._writing = self._full = False
        self._timer: asyncio.TimerHandle | None = None
        way.pipes.add(self)

    @property
    def done(self) -> bool:
        """Say whether nothing will pass any more."""
        return self.ended and not self._queue

    def changed(self) -> None:
        """Go by what the way has become."""
        if self.swallowed and not self.way.hushed:
            self._connection.abort()  # the survivor learns it now, as it would by a probe
            return
        if not self.way.shaped:
            self._queue = deque((0.0, what) for _, what in self._queue)
        self.settle()

    def settle(self) -> None:
        """Pass on what is due, and wait for whatever comes next."""
        if not self.way.held:
            self._flush()
        if self._connection.closed:
            return
        self._watch_source(wanted=not (self.way.held or self.ended or self._size >= self.way.room))
        waiting = bool(self._queue) and not self.way.held
        self._watch_sink(wanted=waiting and self._full)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._queue[0][0], self.settle) if waiting and not self._full else None
        if self.done:
            self._connection.close_if_done()

    def sever(self, *, source: bool) -> None:
        """Lose one socket, the source or the sink, which is closed: what is on its way gets lost."""
        self.stop()
        self._queue.clear()
        self._size = 0
        if source:
            self.ended = self.swallowed = True
        else:
            self.deaf = True
            self.settle()

    def stop(self) -> None:
        """Wait for nothing any more."""
        self._watch_source(wanted=False)
        self._watch_sink(wanted=False)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _readable(self) -> None:
        try:
            data = self._source.recv(self.way.grain)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end(End.RST)
            return
        if not data:
            self._end(End.FIN)  # a reset, should the sink have been found broken
        elif self._connection.link.traps:
            self._connection.spring(self, data)
        else:
            self.carry(data)

    def carry(self, data: bytes) -> None:
        """Pass bytes on, or keep them until they are due."""
        if self.deaf:
            return
        if not (self._queue or self.way.shaped):
            data = data[self._send(data) :]
        if data:
            self._push(data, len(data))

    def _push(self, what: bytes | End, size: int) -> None:
        """Put something behind what is on its way: it overtakes nothing, however early it is due."""
        due = self.way.due(self._loop.time(), size) if self.way.shaped else 0.0
        self._queue.append((due, what))
        self._size += size
        self.settle()

    def _end(self, how: End) -> None:
        self.ended = True
        self.swallowed = self.way.hushed
        if self.swallowed or self.deaf:
            self.settle()
        else:
            self._push(how, 0)

    def _flush(self) -> None:
        self._full = False
        while self._queue and not self._full:
            due, what = self._queue[0]
            if due > self._loop.time():
                return
            if isinstance(what, End):
                self._tell(what)
                return
            sent = self._send(what)
            if not self._queue:
                return  # the sink was lost, and all for it
            self._size -= sent
            if sent == len(what):
                self._queue.popleft()
            else:
                self._queue[0] = (due, what[sent:])
                self._full = True

    def _tell(self, how: End) -> None:
        """Tell the sink that the source has ended."""
        if how is End.RST or self.broken:
            self._connection.abort()
            return
        self._queue.popleft()
        with contextlib.suppress(OSError):
            self._sink.shutdown(socket.SHUT_WR)

    def _send(self, data: bytes) -> int:
        """Send what the sink takes; a lost sink takes all."""
        try:
            return self._sink.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.deaf = True
            self._queue.clear()
            self._size = 0
            self._connection.lost_sink(self)
            return len(data)

    def _watch_source(self, *, wanted: bool) -> None:
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._loop.add_reader(self._source.fileno(), self._readable)
            else:
                self._loop.remove_reader(self._source.fileno())

    def _watch_sink(self, *, wanted: bool) -> None:
        if wanted != self._writing:
            self._writing = wanted
            if wanted:
                self._loop.add_writer(self._sink.fileno(), self.settle)
            else:
                self._loop.remove_writer(self._sink.fileno())
