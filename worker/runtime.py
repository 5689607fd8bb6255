"""What a process keeps: connections, journals, tokens, clock; by process id, so that a fork starts anew."""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from worker import clock, config
from worker.contract import COUNTER_BITS, ProcessLine
from worker.errors import LostConnection, PoolTimeout, RowraceError
from worker.journal import FileJournal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Engine

    from worker.config import Config
    from worker.contract import ClockLine
    from worker.journal import Journal
    from worker.link import Link

#: The clock's offset is measured this often while a schema's journal is written, and when the process shuts down.
CLOCK_EVERY_NS: Final = 1_000_000_000

#: Journals kept open; a fleet that serves many runs closes the oldest.
OPEN_JOURNALS: Final = 16


class Runtime(Protocol):
    """What an attempt needs of the process that it runs in; eager mode installs its own."""

    def connect(self) -> Link:
        """Check a connection out; raises LostConnection where the database can't be reached."""

    def journal(self, schema: str) -> Journal:
        """Give the journal for a group's schema."""

    def tend(self, link: Link, schema: str) -> None:
        """Look after the journal's clock readings; called outside any transaction, before an attempt starts."""

    def token(self) -> int:
        """Give the next attempt's token, unique over all processes."""

    def slot(self) -> int:
        """Number the worker slot that calls."""

    def now(self) -> int:
        """Read the local monotonic clock, nanoseconds."""

    def pause(self, seconds: float) -> None:
        """Let time pass."""


class Identity(NamedTuple):
    """Who the node is: set in its main process before the pool forks."""

    node: str
    pool: str


class ProcessRuntime:
    """The runtime of an ordinary worker process."""

    def __init__(self, settings: Config, identity: Identity, engine: Engine | None = None) -> None:
        self._settings = settings
        self._identity = identity
        self.process = secrets.randbits(31) or 1
        self._counter = itertools.count(1)
        self._slots = itertools.count()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._engine = engine
        self._skew = _Skew.of(settings)
        self._journals: dict[str, FileJournal] = {}
        self._measured: dict[str, int] = {}

    def connect(self) -> Link:
        """Check a connection out of this process's own pool."""
        from worker import postgres  # noqa: PLC0415 - where another runtime is installed nobody needs the driver

        return postgres.PostgresLink(self._engine or self._pool())

    def journal(self, schema: str) -> Journal:
        """Open the schema's journal at its first use."""
        return self._journals.get(schema) or self._open(schema)

    def tend(self, link: Link, schema: str) -> None:
        """Measure the clock's offset where the last measurement is too old."""
        now = self.now()
        last = self._measured.get(schema)
        if last is not None and now - last < CLOCK_EVERY_NS:
            return
        self._measured[schema] = now
        # Where that fails, the attempt that follows meets the same broken connection, and records it.
        if (line := self._reading(link)) is not None:
            self.journal(schema).write(line)

    def finish(self) -> None:
        """Measure the clock's offset a last time, so that the last attempts too lie between two readings."""
        if not self._journals:
            return
        try:
            link = self.connect()
        except (LostConnection, PoolTimeout):
            return
        try:
            line = self._reading(link)
        finally:
            link.close()
        if line is not None:
            for journal in list(self._journals.values()):
                journal.write(line)

    def _reading(self, link: Link) -> ClockLine | None:
        import psycopg  # noqa: PLC0415 - as above

        try:
            return clock.measure(link, self.now)
        except (RowraceError, psycopg.Error):
            return None

    def token(self) -> int:
        """Put the process into the high bits, so that no two processes' tokens meet."""
        return self.process << COUNTER_BITS | next(self._counter)

    def slot(self) -> int:
        """Number threads in the order in which they first ask."""
        number: int | None = getattr(self._local, "slot", None)
        if number is None:
            number = self._local.slot = next(self._slots)
        return number

    def now(self) -> int:
        """Read CLOCK_MONOTONIC, as far off as this worker's clock is."""
        at = time.monotonic_ns()
        return at if self._skew is None else self._skew.read(at)

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close connections and files; a later use opens them again."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = None
            self._journals.clear()

    def _pool(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = _engine(self._settings, self._identity.node)
            return self._engine

    def _open(self, schema: str) -> Journal:
        with self._lock:
            if schema not in self._journals:
                if len(self._journals) >= OPEN_JOURNALS:
                    del self._journals[next(iter(self._journals))]
                self._journals[schema] = FileJournal(self._settings.journal_dir / schema, self._who())
            return self._journals[schema]

    def _who(self) -> ProcessLine:
        node, pool = self._identity
        return ProcessLine(self.process, node, config.host(), os.getpid(), pool)


class _Skew(NamedTuple):
    """A clock that is off: by a constant, and by a share of the time since the process began."""

    ahead_ns: int
    drift_ppm: float
    since_ns: int

    @classmethod
    def of(cls, settings: Config) -> _Skew | None:
        """Give the settings' skew; None: the clock is right."""
        if not settings.clock_skew_ms and not settings.clock_drift_ppm:
            return None
        return cls(round(settings.clock_skew_ms * 1_000_000), settings.clock_drift_ppm, time.monotonic_ns())

    def read(self, at: int) -> int:
        """Say what this clock shows when the right one shows `at`."""
        return at + self.ahead_ns + int((at - self.since_ns) * self.drift_ppm / 1_000_000)


def _engine(settings: Config, node: str) -> Engine:
    from worker import postgres  # noqa: PLC0415 - as above

    if settings.database_url is None:
        raise config.ConfigError("Set ROWRACE_DATABASE_URL to the database that the runs use.")
    return postgres.engine(
        settings.database_url,
        f"rowrace {node}",
        size=settings.pool_size,
        timeout=settings.pool_timeout,
        recovery=settings.recovery,
    )


#: Inherited entries stay, unused: an engine that a parent's fork left behind must be neither used nor closed.
_runtimes: dict[int, ProcessRuntime] = {}
_creating = threading.Lock()
_installed: Runtime | None = None
_identity: Identity | None = None
#: The mistake of `ROWRACE_ENGINE_BEFORE_FORK`: an engine that every process of this node uses.
_shared: Engine | None = None


def current() -> Runtime:
    """Give the installed runtime, or this process's own."""
    return _installed or _runtimes.get(os.getpid()) or _create()


def finish() -> None:
    """Take the last clock reading of this process, if it has run anything; called when it shuts down."""
    own = _runtimes.get(os.getpid())
    if own is not None:
        own.finish()


def identify(identity: Identity) -> None:
    """Set who this node is, in its main process."""
    global _identity  # noqa: PLW0603 - what a node is called is a fact of the process
    _identity = identity


def open_before_fork(settings: Config) -> None:
    """Open a connection in the main process and leave it to the children, as a query at import time would."""
    global _shared  # noqa: PLW0603 - that it is one for all is the point
    from worker import postgres  # noqa: PLC0415 - as above

    _shared = _engine(settings, node())
    try:
        postgres.PostgresLink(_shared).close()
    except LostConnection:
        return  # nothing to share; each child opens its own


def node() -> str:
    """Give this node's name."""
    return _identity.node if _identity else config.host()


@contextmanager
def install(runtime: Runtime) -> Iterator[None]:
    """Let another runtime stand in for the process's own, for a `with` block."""
    global _installed  # noqa: PLW0603 - one process, one runtime
    previous, _installed = _installed, runtime
    try:
        yield
    finally:
        _installed = previous


def _create() -> ProcessRuntime:
    with _creating:
        settings = config.read()
        who = _identity or Identity(settings.node or config.host(), "none")  # none: in no worker
        return _runtimes.setdefault(os.getpid(), ProcessRuntime(settings, who, _shared))
