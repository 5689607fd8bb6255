"""What a fault is, and what faults may lay hands on."""

from __future__ import annotations

from collections.abc import Callable, Mapping  # noqa: TC003 -- a struct's field needs it
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    import random


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a fault plan: what strikes, where and when; seconds."""

    name: str
    targets: tuple[str, ...] = ()
    #: First strike, counted from the race's begin.
    at: float = 1.0
    #: From one strike to the next; None strikes once.
    every: float | None = None
    #: From strike to healing; None: nothing to heal, or healed at the end of the race.
    duration: float | None = None
    #: At most so many strikes; None: once without `every`, without end with it.
    count: int | None = None
    #: Options of the fault's own, as written.
    options: dict[str, str] = {}
    #: The entry, as given.
    text: str


class Struck(NamedTuple):
    """What a strike did."""

    #: "node1's child 4711 got SIGKILL".
    detail: str
    #: Called exactly once, after the duration or at the end of the race; None: nothing to heal.
    heal: Callable[[], None] | None = None


class Fault(Protocol):
    """Something to break, as often as it is asked to."""

    def strike(self) -> Struck | None:
        """Break it; None: nothing to strike just now, it is tried again at the next time."""


class Nodes(Protocol):
    """The worker nodes of a fleet; those of somebody else's are refused with a ServiceError."""

    def names(self) -> tuple[str, ...]:
        """Name the nodes: node1, node2, ..."""

    def forks(self) -> bool:
        """Say whether their pools consist of processes."""

    def pid(self, node: str) -> int | None:
        """Number of the node's main process; None when it is dead."""

    def children(self, node: str) -> list[int]:
        """Numbers of its pool's processes; none where the pool has threads, or the node is dead."""

    def signal(self, node: str, number: int) -> None:
        """Signal the node's main process; a dead node gets none."""

    def kill(self, node: str) -> None:
        """SIGKILL the node's main process and its whole process group; returns when all are dead."""

    def start(self, node: str) -> None:
        """Start a dead node again under its name; returns when it is spawned, not when it is ready."""

    def expect(self, node: str) -> Callable[[], None]:
        """Have the race wait for a node that a fault takes away; call the answer when it is to be missed again."""


class Servers(Protocol):
    """Database and broker, where they are ours to stop: always the same ports, and the same data unless said."""

    def database_runs(self) -> bool:
        """Whether it is neither stopped nor paused; a ServiceError where the database is not ours to stop."""

    def restart_database(self, mode: Literal["fast", "immediate"], down_s: float = 0) -> None:
        """Stop the database and start it again, so many seconds later."""

    def stop_database(self, mode: Literal["fast", "immediate"]) -> None:
        """Stop the database."""

    def start_database(self) -> None:
        """Start the database again."""

    def pause_database(self) -> None:
        """SIGSTOP every process of the database."""

    def resume_database(self) -> None:
        """SIGCONT every process of the database."""

    def broker_runs(self) -> bool:
        """Whether it is neither stopped nor paused; a ServiceError where the broker is not ours to stop."""

    def stop_broker(self, *, keep_data: bool = True) -> None:
        """Stop the broker; without its data, its append-only files are removed while it is down."""

    def start_broker(self) -> None:
        """Start the broker again."""

    def pause_broker(self) -> None:
        """SIGSTOP the broker."""

    def resume_broker(self) -> None:
        """SIGCONT the broker."""


class Network(Protocol):
    """The ways between the parts, where they lead through something that can be disturbed."""

    def strike(self, kind: str, a: str, b: str, options: Mapping[str, str]) -> Callable[[], None]:
        """Disturb the way between two parts; calling the answer heals it."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan's faults may lay hands on."""

    nodes: Nodes
    #: None: external or kept services, which are not ours to stop.
    servers: Servers | None
    #: Direct, never through a proxy.
    database_url: str
    broker_url: str
    #: Of the group that races: "rowrace_x_1", "users".
    schema: str
    table: str
    queue: str
    #: None: the parts are connected directly.
    network: Network | None
    #: Seeded by the profile's seed; every choice that a fault makes comes from it.
    random: random.Random

    def __repr__(self) -> str:
        return f"Reach({self.schema!r}, {self.queue!r})"  # the URLs hold passwords


#: What an option's default begins with where it is no value that a plan could write, but words about what holds then.
WORDS: Final = "("

#: Makes a fault, or raises UsageError or ServiceError where it can't be done here, in one sentence.
Builder = Callable[[Planned, Reach], Fault]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that plans may name."""

    #: None: nothing that strikes at a time; it travels in the workers' settings or environment.
    build: Builder | None
    #: Seconds until it is healed, unless the plan says; None: there is nothing to heal.
    default_duration: float | None = None
    #: Keys of its own, beside at, every, for and count, each with what holds where it is left out.
    options: Mapping[str, str] = {}
    #: How its targets are written: "" takes none, in brackets they may be left out, otherwise they must be given.
    targets: str = ""
    #: One line.
    help: str
    privileged: bool = False
    #: The server that must be the run's own, for it is taken away or filled up; "": none.
    own: Literal["", "database", "broker"] = ""
    #: The option with which it does without that; "": none.
    unless: str = ""
    #: Raises UsageError where an entry makes no sense, before anything is started.
    check: Callable[[Planned], object] | None = None
