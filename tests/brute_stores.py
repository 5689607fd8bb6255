"""Stores that keep what they promise, and the histories that they leave: nobody may accuse them of more.

Both play transactions in overlapping intervals and random sessions.
Some abort, some end unknown, with or without effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random

_ROWS = "xyz"


@dataclass
class _Client:
    """A transaction while it runs."""

    session: str
    begin: int
    #: What it sees: version of each row.
    snapshot: dict[str, int]
    left: int
    words: list[str] = field(default_factory=list)
    #: How many versions it wrote on top of the snapshot's, by row.
    wrote: dict[str, int] = field(default_factory=dict)

    def step(self, chance: Random) -> None:
        """Read or write a row: its own last version, or the snapshot's."""
        self.left -= 1
        row = chance.choice(_ROWS)
        write = chance.random() < 0.5
        if write:
            self.wrote[row] = self.wrote.get(row, 0) + 1
        seen = "?" if not write and chance.random() < 0.05 else self.snapshot[row] + self.wrote.get(row, 0)
        self.words.append(f"{'w' if write else 'r'}{row}{seen}")


@dataclass
class _Store:
    """Rows with versions, a clock, sessions that run one transaction after another."""

    chance: Random
    last: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ROWS, 0))
    clock: int = 0
    sessions: int = 0
    items: list[tuple[int, str]] = field(default_factory=list)

    def begin(self, session: str) -> _Client:
        """A transaction that sees what is committed now."""
        return _Client(session=session, begin=self.clock, snapshot=dict(self.last), left=self.chance.randint(1, 4))

    def end(self, client: _Client, *, applies: bool) -> str:
        """Commit where it may, and return the session's name from here on."""
        fate = self.chance.random()
        outcome = "!" if not applies or fate < 0.1 else "?" if fate < 0.2 else ""
        if not outcome or (outcome == "?" and self.chance.random() < 0.5):
            for row, count in client.wrote.items():
                self.last[row] += count
        slack = self.chance.choice((0, 0, 3))
        label = f"t{len(self.items)}@{client.session}{outcome}"
        item = f"{label}[{client.begin - slack},{self.clock + slack}]: {' '.join(client.words)}"
        self.items.append((client.begin, item))
        if outcome != "?":
            return client.session
        self.sessions += 1
        return f"{client.session}n{self.sessions}"

    def text(self) -> str:
        """The history in the tiny language; transactions in the order in which they began."""
        return " | ".join(item for _, item in sorted(self.items, key=lambda pair: pair[0]))


def serializable(chance: Random, *, size: int, clients: int) -> str:
    """Each transaction takes effect at one moment between its begin and its end, all of it or nothing."""
    store = _Store(chance=chance)
    sessions = [f"s{number}" for number in range(clients)]
    ended = [0] * clients
    for moment in range(10, 10 * size + 10, 10):
        free = [who for who in range(clients) if ended[who] < moment]
        if not free:
            continue
        who = chance.choice(free)
        client = store.begin(sessions[who])
        client.begin = chance.randint(max(ended[who] + 1, moment - 25), moment)
        while client.left:
            client.step(chance)
        store.clock = ended[who] = moment + chance.randint(0, 25)
        sessions[who] = store.end(client, applies=True)
    return store.text()


def snapshot_isolated(chance: Random, *, size: int, clients: int) -> str:
    """Each transaction reads the state of its begin; of two that write a row at once, the first committer wins."""
    store = _Store(chance=chance)
    sessions = [f"s{number}" for number in range(clients)]
    running: dict[int, _Client] = {}
    while len(store.items) < size:
        store.clock += 1
        who = chance.randrange(clients)
        if who not in running:
            running[who] = store.begin(sessions[who])
        elif running[who].left:
            running[who].step(chance)
        else:
            client = running.pop(who)
            sessions[who] = store.end(client, applies=_first(client.wrote, client.snapshot, store.last))
    return store.text()


def _first(wrote: Iterable[str], snapshot: Mapping[str, int], last: Mapping[str, int]) -> bool:
    """Whether nobody else committed a write of these rows since the snapshot."""
    return all(snapshot[row] == last[row] for row in wrote)
