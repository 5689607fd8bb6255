"""One group's race: publish while the journal is followed, until every operation has ended or no more will."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from orchestrator.ending import End
from orchestrator.errors import ServiceError
from orchestrator.patience import GONE, Patience
from orchestrator.publish import WINDOW
from orchestrator.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.broker import Broker
    from orchestrator.fleet import Fleet
    from orchestrator.groups import Group
    from orchestrator.interrupt import Interrupt
    from orchestrator.patience import Line
    from orchestrator.progress import Counts, Progress
    from orchestrator.publish import Message, Publisher

#: Pause between two looks at the journal, seconds.
_TICK: Final = 0.05
#: Silence that shows that the nodes have shipped everything, seconds; some of their periods.
_SHIPPING: Final = 0.5
#: How often what is missing is published again before it is called lost.
_ROUNDS: Final = 10
#: How long settled operations may wait for their messages' acknowledgement, seconds.
_ACKNOWLEDGING: Final = 3.0


class Watch(Protocol):
    """Who is told how a run goes on."""

    def begin(self, group: Group, operations: int) -> None:
        """Hear that a group begins."""

    def progress(self, published: int, counts: Counts, seconds: float) -> None:
        """Hear how far it is."""

    def end(self) -> None:
        """Hear that the group's operations have ended, and verification begins."""


class Faults(Protocol):
    """What is broken on purpose while the race goes on."""

    def start(self) -> None:
        """Begin to strike."""

    def stop(self) -> None:
        """Heal everything; strike no more."""


class NoFaults:
    """Nothing is broken on purpose."""

    def start(self) -> None:
        """Begin with nothing."""

    def stop(self) -> None:
        """Heal nothing."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a race may take, and how long it waits for stragglers; seconds."""

    timeout: float
    grace: float


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a race ended."""

    why: End
    #: Queue and unacknowledged set were found empty, for long enough that no attempt can follow.
    drained: bool
    #: From the first publication to the last settling.
    seconds: float
    gaps: tuple[str, ...] = ()


class Race:
    """Publishes one group's messages and follows its journal; one call of `run`."""

    def __init__(
        self,
        line: Line,
        schema: str,
        broker: Broker,
        publisher: Publisher,
        progress: Progress,
        *,
        faults: Faults | None = None,
        missing: Callable[[int], Iterable[Message]] | None = None,
    ) -> None:
        """`missing` gives the messages of what has not ended, for a round of publishing again; None: never."""
        self.progress = progress
        self._line = line
        self._patience = Patience(line.patience.seconds)
        self._faults = faults or NoFaults()
        self._calm = faults is None
        self._missing = missing
        self._rounds = 0
        self._tail = Tail(schema)
        #: What the ids of the group's messages begin with.
        self._prefix = schema.removeprefix("rowrace_").replace("_", ".") + "."
        self._broker = broker
        self._publisher = publisher
        self._gaps: list[str] = []
        self._began = self._changed = time.monotonic()
        self._idle_since: float | None = None

    def run(
        self, stream: Iterable[Message], limits: Limits, fleet: Fleet, watch: Watch, interrupt: Interrupt
    ) -> Ending:
        """Race until the end, whichever comes first; the broker holds nothing of the group afterwards if it answers."""
        thread = threading.Thread(target=self._publisher.run, args=(stream,), name="publisher", daemon=True)
        self._began = self._changed = time.monotonic()
        try:
            self._faults.start()  # what strikes at once comes before the first message
            thread.start()
            with self._relieved(limits, interrupt):
                why = self._follow(thread, limits, fleet, watch, interrupt)
        finally:
            self._faults.stop()
            self._publisher.stop.set()
            if thread.ident is not None:
                thread.join()
        drained = why in (End.SETTLED, End.DRAINED)
        if not drained:
            self._abandon(limits.grace, interrupt)
        self._complete(fleet, interrupt)
        self._tell(watch)
        return Ending(why=why, drained=drained, seconds=self._changed - self._began, gaps=tuple(self._gaps))

    @contextmanager
    def _relieved(self, limits: Limits, interrupt: Interrupt) -> Iterator[None]:
        """Heal everything once time is up or an interrupt came: what a fault holds answers nobody, us neither."""
        over = threading.Event()

        def relieve() -> None:
            deadline = self._began + limits.timeout
            while not over.wait(_TICK):
                if interrupt.asked.is_set() or time.monotonic() > deadline:
                    self._faults.stop()
                    return

        thread = threading.Thread(target=relieve, name="rowrace relief", daemon=True)
        if not self._calm:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if thread.ident is not None:
                thread.join()

    def read(self) -> bool:
        """Take what the journal has to say since the last look; False if no attempt began or ended.

        A database that is away is no silence: nobody knows what was written.
        """
        ended, lines_before = self.progress.ended(), self.progress.lines
        try:
            for file, lines in self._tail.read(self._line.get()):
                self.progress.feed(file, lines)
        except GONE as error:
            self._line.broke(error)
            time.sleep(_TICK)
            return True
        self._line.patience.fine()
        if self.progress.ended() != ended:
            self._changed = time.monotonic()
        return self.progress.lines != lines_before

    def _follow(
        self, thread: threading.Thread, limits: Limits, fleet: Fleet, watch: Watch, interrupt: Interrupt
    ) -> End:
        deadline = self._began + limits.timeout
        while True:
            heard = self.read()
            self._publisher.settled = max(self._publisher.settled, self.progress.ended())
            self._tell(watch)
            if interrupt.asked.is_set():
                return End.INTERRUPTED
            if time.monotonic() > deadline:
                return End.TIMEOUT
            if self._broken(thread, fleet):
                return End.BROKEN
            if not thread.is_alive() and (why := self._over(limits.grace, heard=heard)):
                return why
            if thread.is_alive():
                self._wave_through(limits.grace, heard=heard)
            if not heard:
                interrupt.asked.wait(_TICK)

    def _wave_through(self, grace: float, *, heard: bool) -> None:
        """Let publishing go on though it has its distance: what is in nobody's books for so long won't end any more."""
        publisher = self._publisher
        if heard or publisher.published - publisher.settled <= WINDOW or not self._empty():
            self._idle_since = None
            return
        self._idle_since = self._idle_since or time.monotonic()
        if time.monotonic() - self._idle_since >= max(grace, _SHIPPING):
            publisher.settled, self._idle_since = publisher.published, None

    def _over(self, grace: float, *, heard: bool) -> End | None:
        """Say whether the race is over: all settled and acknowledged, or nothing left anywhere for the grace period."""
        again = self._missing is not None and bool(self.progress.unfinished().any())
        if not again and self.progress.settled() and self._wait_empty(_ACKNOWLEDGING, lambda: False):
            return None if self._calmed() else End.SETTLED
        if heard or not self._empty() or self._calmed():
            self._idle_since = None
            return None
        self._idle_since = self._idle_since or time.monotonic()
        # What was taken last may be in nobody's books for a moment, and its lines take a while to be shipped.
        if time.monotonic() - self._idle_since < max(grace, _SHIPPING):
            return None
        if self._again():
            self._idle_since = None
            return None
        if not self.progress.lines:
            self._changed = self._idle_since  # nothing is journalled: the race was over when the queue was empty
        return End.DRAINED

    def _calmed(self) -> bool:
        """Heal what is broken once nothing is left to disturb; True if that was now, so that all is looked at again."""
        if self._calm:
            return False
        self._faults.stop()
        self._calm = True
        return True

    def _again(self) -> bool:
        """Publish what has not ended once more, where that is asked for; False where nothing is missing, or no more."""
        if self._missing is None or self._rounds >= _ROUNDS or not self.progress.unfinished().any():
            return False
        self._rounds += 1
        # What the broker did not take is missing in the next round; what it took, in part perhaps, is awaited.
        self._publisher.repeat(self._missing(self._rounds))
        return True

    def _empty(self) -> bool:
        """Ask the broker whether it holds nothing of the run; one that is away may hold something."""
        try:
            empty = self._broker.empty()
        except ServiceError as error:
            self._patience.failed(error)
            return False
        self._patience.fine()
        return empty

    def _broken(self, thread: threading.Thread, fleet: Fleet) -> bool:
        self._gaps += fleet.missing()
        if not thread.is_alive() and self._publisher.error is not None:
            self._gaps.append(f"publishing failed ({type(self._publisher.error).__name__})")
            return True
        if fleet.none_left():
            self._gaps.append("every worker node has ended")
            return True
        return False

    def _abandon(self, grace: float, interrupt: Interrupt) -> None:
        """Let no further operation start, and wait shortly for those under way."""
        for message in self._broker.withdraw():
            if message.startswith(self._prefix):  # an earlier group's late message is not this plan's
                self._publisher.withdrawn(message)
        self._wait_empty(grace, interrupt.hurry.is_set)

    def _complete(self, fleet: Fleet, interrupt: Interrupt) -> None:
        """Read every line that was written before the last message was acknowledged, whoever is yet to ship it."""
        self._gaps += fleet.save()
        self.read()
        if fleet.remote:
            self._wait_quiet(interrupt)
        if self.progress.torn:
            self._gaps.append(f"journals: {self.progress.torn} torn lines can't be read")

    def _wait_quiet(self, interrupt: Interrupt) -> None:
        """Let the nodes ship what the last attempts wrote."""
        heard = time.monotonic()
        while time.monotonic() - heard < _SHIPPING and not interrupt.hurry.is_set():
            time.sleep(_TICK)
            if self.read():
                heard = time.monotonic()

    def _wait_empty(self, patience: float, stop: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + patience
        while not self._empty():
            if time.monotonic() > deadline or stop():
                return False
            time.sleep(_TICK)
            self.read()
        return True

    def _tell(self, watch: Watch) -> None:
        watch.progress(self._publisher.published, self.progress.counts(), time.monotonic() - self._began)
