"""Bodies on the toy database: the classic ones, and any number of drawn ones."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.explorer.dpor import Redundant
from tests.toy_database import Failed, Toy, ToyArena, outcome

if TYPE_CHECKING:
    from orchestrator.explorer.scheduler import Policy
    from tests.toy_database import Body, Session

ROWS = {"a1": 100, "a2": 100, "a3": 100}
LEVELS = ("read committed", "repeatable read", "sqlite")


def naive(session: Session, key: str = "a1") -> int | None:
    """Read, then write what was read and ten more."""
    seen = session.read(key)[0]
    session.update(lambda _now: (seen or 0) + 10, key)
    session.commit()
    return seen


def alone(session: Session, key: str = "a1") -> int | None:
    """Do what naive does, each statement a transaction of its own."""
    seen = session.read(key, alone=True)[0]
    session.update(lambda _now: (seen or 0) + 10, key, alone=True)
    return seen


def optimistic(session: Session) -> str:
    """Write only over what was read, else try again."""
    for _ in range(4):
        seen = session.read("a1")[0] or 0
        if session.update(lambda now, seen=seen: now + 10 if now == seen else None, "a1"):  # type: ignore[misc]  # mypy can't infer a lambda's default
            session.commit()
            return "ok"
        session.rollback()
    return "gave up"


def locking(session: Session) -> int | None:
    """Lock, then write."""
    seen = session.lock("a1")[0]
    session.update(lambda now: now + 10, "a1")
    session.commit()
    return seen


def transfer(session: Session, source: str, target: str, tries: int = 1) -> str:
    """Take from one row and give to another, again where the database refuses."""
    told = ""
    for _ in range(tries):
        try:
            session.update(lambda now: now - 10, source)
            session.update(lambda now: now + 10, target)
            session.commit()
        except Failed as error:
            told = type(error).__name__
            session.rollback()
        else:
            return "ok"
    return told


def both(session: Session, keys: tuple[str, ...]) -> int:
    """Change rows in one statement."""
    count = session.update(lambda now: now * 2 + session.worker, *keys)
    session.commit()
    return count


def skew(session: Session, mine: str) -> int | None:
    """Read two rows, and take from one while there is enough in both."""
    total = sum(value or 0 for value in (session.read("a1")[0], session.read("a2")[0]))
    if total >= 150:
        session.update(lambda now: now - 100, mine)
    session.commit()
    return total


def insert(session: Session, *, commits: bool = True) -> str:
    """Add a row of a key that another one adds too."""
    try:
        session.insert("a9", session.worker)
    except Failed as error:
        session.rollback()
        return type(error).__name__
    if commits:
        session.commit()
    return "added"


def copy(session: Session, source: str, target: str) -> int:
    """Write to one row what another has."""
    count = session.copy(source, target)
    session.commit()
    return count


def reader(session: Session, keys: tuple[str, ...]) -> tuple[int | None, ...]:
    """Read rows one after another."""
    seen = tuple(session.read(key)[0] for key in keys)
    session.commit()
    return seen


def crossing(*pairs: str) -> tuple[Body, ...]:
    """Transfer between rows, each pair written as "12"."""
    return tuple(partial(transfer, source=f"a{pair[0]}", target=f"a{pair[1]}") for pair in pairs)


def _copy(pair: str) -> Body:
    return partial(copy, source=f"a{pair[0]}", target=f"a{pair[1]}")


CASES: dict[str, tuple[Body, ...]] = {
    "naive twice": (naive, naive),
    "naive on two rows": (naive, partial(naive, key="a2")),
    "naive three times": (naive, naive, naive),
    "alone twice": (alone, alone),
    "alone and naive": (alone, naive),
    "optimistic twice": (optimistic, optimistic),
    "locking twice": (locking, locking),
    "naive, optimistic, locking": (naive, optimistic, locking),
    "opposite transfers": crossing("12", "21"),
    "opposite transfers, again": tuple(partial(each, tries=2) for each in crossing("12", "21")),
    "transfers in a circle": crossing("12", "23", "31"),
    "both rows, both orders": (
        partial(both, keys=("a1", "a2")),
        partial(both, keys=("a2", "a1")),
        partial(naive, key="a2"),
    ),
    "write skew": (partial(skew, mine="a1"), partial(skew, mine="a2")),
    "one key added twice": (insert, partial(insert, commits=False), insert),
    "copies in a circle": (_copy("12"), _copy("23"), _copy("31")),
    "reader of two copies": (partial(reader, keys=("a1", "a2")), _copy("31"), partial(both, keys=("a1", "a2"))),
}


class Tried:
    """What a policy found on an arena."""

    def __init__(self, arena: ToyArena, policy: Policy, most: int = 1_000_000) -> None:
        self.outcomes: set[tuple[object, ...]] = set()
        self.schedules = self.redundant = 0
        while self.schedules < most and policy.begin():
            try:
                execution = arena.run(policy)
            except Redundant:
                self.redundant += 1
                continue
            policy.learn(execution)
            self.schedules += 1
            self.outcomes.add(outcome(execution))
        self.complete = policy.complete


# drawn bodies

_KEYS = ("a1", "a2", "b1")
_KINDS = ("read", "read alone", "read two", "update", "update", "update alone", "update two", "lock", "insert", "copy")

#: A statement's kind and its keys.
Statement = tuple[str, tuple[str, ...]]


def drawn(seed: int) -> tuple[str, ToyArena]:
    """Draw a level, and two or three bodies of a few statements each, so that every schedule of them can be run."""
    draw = random.Random(seed)  # noqa: S311 - a case must be repeatable, not secret
    workers = draw.choice((2, 2, 3))
    level = draw.choice(LEVELS)
    lengths = (2, 3, 4) if workers == 2 else (1, 2, 2)
    bodies = [partial(_run, _program(draw, draw.choice(lengths))) for _ in range(workers)]
    toy = Toy(level, {"a1": 1, "a2": 2, "b1": 3}, coarse=draw.random() < 0.25)
    return level, ToyArena(toy, bodies, crashes=draw.choice((0, 0, 1)) if workers == 2 else 0)


def _program(draw: random.Random, length: int) -> tuple[Statement, ...]:
    program: list[Statement] = []
    for _ in range(length):
        kind = draw.choice((*_KINDS, "commit", "rollback"))
        keys = ("b2",) if kind == "insert" else tuple(draw.sample(_KEYS, 2))
        program.append((kind, keys if kind in {"read two", "update two", "copy"} else keys[:1]))
    return tuple(program)


def _run(program: tuple[Statement, ...], session: Session) -> tuple[object, ...]:
    """Run drawn statements; every other length goes on after an error."""
    seen: list[object] = []
    for kind, keys in program:
        try:
            seen.append(_one(session, kind, keys, len(seen)))
        except Failed as error:
            seen.append(type(error).__name__)
            if len(program) % 2 == 0:
                raise
            session.rollback()
    session.commit()
    return tuple(seen)


def _one(session: Session, kind: str, keys: tuple[str, ...], number: int) -> object:
    free = kind.endswith("alone") and not session.open
    if kind.startswith("read"):
        return tuple(session.read(*keys, alone=free))
    if kind.startswith("update"):
        return session.update(lambda now: now * 3 + number + session.worker + 1, *keys, alone=free)
    if kind == "lock":
        return tuple(session.lock(*keys))
    if kind == "insert":
        return session.insert(keys[0], session.worker)
    if kind == "copy":
        return session.copy(*keys)
    if kind == "commit":
        session.commit()
    else:
        session.rollback()
    return kind
