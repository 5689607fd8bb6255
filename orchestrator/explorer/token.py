"""A schedule as a token: short, printable, safe unquoted in shells and addresses, and checked when it is replayed.

    cs1.sqlite.own.9f86d081.AB3A2.4c1d20f7

Each upper-case letter is a worker and the number behind it, in base 36, how many steps it runs in a row (none: one).
A worker after Z is an underscore and a digit; a minus in front means that the worker crashes there.
"""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import groupby
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.explorer.sameness import digest_of
from orchestrator.explorer.scheduler import ExplorerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.explorer.model import Execution

VERSION: Final = "cs1"
#: More workers than the segments can name are refused.
MOST_WORKERS: Final = 36
#: A schedule longer than this is no schedule but a slip of the hand.
MOST_STEPS: Final = 1_000_000
#: Isolation levels and how a token calls them.
ISOLATIONS: Final = {"read committed": "rc", "repeatable read": "rr", "serializable": "ser", "sqlite": "own"}
BACKENDS: Final = ("sqlite", "postgres")

_PARTS: Final = ("version", "backend", "isolation", "scenario", "segments", "digest")
_MARKS: Final = (*ascii_uppercase, *(f"_{digit}" for digit in digits))
_NUMERALS: Final = digits + ascii_lowercase
_SEGMENT: Final = re.compile(r"(-?)([A-Z]|_[0-9])([0-9a-z]*)")
_HEX: Final = re.compile(r"[0-9a-f]{8,64}")
_SCENARIO: Final = re.compile(r"[0-9a-f]{8}")
#: What a schedule without steps is written as.
_EMPTY: Final = "0"


class TokenError(ExplorerError):
    """A token can't be read, or is not of what it is replayed on; the message names the part."""


class Token(NamedTuple):
    """A schedule, what it was run on, and a digest of what happened."""

    backend: str
    #: The isolation level's whole name.
    isolation: str
    #: Eight hexadecimal digits that stand for whatever the schedule was run on.
    scenario: str
    #: How many workers the scenario has is the scenario's: a crash is a negative number here, -1 for worker 0.
    steps: tuple[int, ...]
    digest: str

    def choices(self, workers: int) -> tuple[int, ...]:
        """Give the schedule's choices among so many workers."""
        most = max((_worker(step) for step in self.steps), default=-1)
        if most >= workers:
            raise TokenError(f"The token's segments name worker {_MARKS[most]}, but there are only {workers} workers.")
        return tuple(step if step >= 0 else _worker(step) + workers for step in self.steps)

    def __str__(self) -> str:
        short = ISOLATIONS[self.isolation]
        return ".".join((VERSION, self.backend, short, self.scenario, write_segments(self.steps), self.digest))


def scenario_hash(description: str) -> str:
    """Give eight hexadecimal digits for a description of all that a schedule depends on."""
    return sha256(description.encode()).hexdigest()[:8]


def token_of(execution: Execution, backend: str, isolation: str, scenario: str) -> Token:
    """Make an execution's token; raises TokenError for what a token can't say."""
    if execution.workers > MOST_WORKERS:
        raise TokenError(f"A token can name {MOST_WORKERS} workers, not {execution.workers}.")
    if isolation not in ISOLATIONS or backend not in BACKENDS or not _SCENARIO.fullmatch(scenario):
        raise TokenError(f"A token can't say backend {backend!r}, isolation {isolation!r}, scenario {scenario!r}.")
    size = execution.workers
    steps = tuple(choice if choice < size else size - choice - 1 for choice in execution.choices)
    return Token(backend, isolation, scenario, steps, digest_of(execution.records))


def decode(text: str) -> Token:
    """Read a token; raises TokenError with one sentence about the first part that is wrong."""
    parts = text.strip().split(".")
    if parts[0] != VERSION:
        raise TokenError(_unknown_version(parts[0]))
    if len(parts) != len(_PARTS):
        raise TokenError(f"The token has {len(parts)} parts instead of {len(_PARTS)}: {', '.join(_PARTS)}.")
    _, backend, short, scenario, segments, digest = parts
    if backend not in BACKENDS:
        raise TokenError(f"The token's backend is {backend!r}, which is none of {', '.join(BACKENDS)}.")
    isolation = next((name for name, known in ISOLATIONS.items() if known == short), None)
    if isolation is None:
        raise TokenError(f"The token's isolation is {short!r}, which is none of {', '.join(ISOLATIONS.values())}.")
    if not _SCENARIO.fullmatch(scenario):
        raise TokenError(f"The token's scenario is {scenario!r}, which is not eight hexadecimal digits.")
    steps = read_segments(segments)
    if not _HEX.fullmatch(digest):
        raise TokenError(f"The token's digest is {digest!r}, which is not eight or more hexadecimal digits.")
    return Token(backend, isolation, scenario, steps, digest)


def _unknown_version(version: str) -> str:
    if re.fullmatch(r"cs[0-9]+", version):
        return f"The token's version is {version}, which this release does not know; it reads {VERSION}."
    return f"This is no schedule token: it begins with {version[:20]!r} instead of {VERSION!r}."


def taking_part(token: Token) -> tuple[int, ...]:
    """Name the workers that have a step: only these are run when it is replayed."""
    return tuple(sorted({_worker(step) for step in token.steps}))


def renumbered(token: Token, numbers: Mapping[int, int]) -> Token:
    """Give the schedule with other numbers for its workers."""
    steps = (numbers[_worker(step)] if step >= 0 else -numbers[_worker(step)] - 1 for step in token.steps)
    return token._replace(steps=tuple(steps))


# the schedule itself


def write_segments(steps: Sequence[int]) -> str:
    """Write steps as runs."""
    return "".join(_segment(step, sum(1 for _ in run)) for step, run in groupby(steps)) or _EMPTY


def read_segments(text: str) -> tuple[int, ...]:
    """Read runs as steps."""
    return () if text == _EMPTY else tuple(_steps(text))


def _steps(text: str) -> Iterator[int]:
    if not text:
        raise TokenError(f"The token's segments are empty; a schedule without steps is written {_EMPTY}.")
    position = total = 0
    while position < len(text):
        match = _SEGMENT.match(text, position)
        if match is None:
            raise TokenError(f"The token's segments have {text[position : position + 10]!r} where a worker should be.")
        crash, mark, length = match.groups()
        worker = _MARKS.index(mark)
        if length.startswith("0"):
            raise TokenError(f"The token's segments have {match[0]!r}, whose length is not a number from 1 on.")
        # a numeral longer than that is too great whatever it says, and need not be read
        run = int(length[:8], 36) if length else 1
        total += run
        if total > MOST_STEPS:
            raise TokenError(f"The token's segments have more than {MOST_STEPS:,} steps, as of {match[0][:20]!r}.")
        yield from [-worker - 1 if crash else worker] * run
        position = match.end()


def _segment(step: int, length: int) -> str:
    crash = "-" if step < 0 else ""
    return f"{crash}{_MARKS[_worker(step)]}{_base36(length) if length > 1 else ''}"


def _worker(step: int) -> int:
    return step if step >= 0 else -step - 1


def _base36(number: int) -> str:
    over, numeral = divmod(number, 36)
    return (_base36(over) if over else "") + _NUMERALS[numeral]


# is this still what the token was made of


def mismatch(token: Token, backend: str, isolation: str, scenario: str) -> str | None:
    """Say why a token can't be replayed here; None where it can."""
    if (token.backend, token.isolation) != (backend, isolation):
        return f"The token is of {token.backend}, {token.isolation}; this is {backend}, {isolation}."
    if token.scenario != scenario:
        return (
            f"The token is of another scenario ({token.scenario}, this one is {scenario}):"
            " its name, its options or its bodies have changed since."
        )
    return None


def check(token: Token, execution: Execution) -> str | None:
    """Say where a replay left what the token was made of; None: it did the same."""
    expected, actual = token.choices(execution.workers), execution.choices
    for step, (one, other) in enumerate(zip(expected, actual, strict=False)):
        if one != other:
            return f"Step {step + 1} ran {_named(other, execution)} where the token has {_named(one, execution)}."
    if len(expected) != len(actual):
        return f"The replay took {len(actual)} steps, the token has {len(expected)}."
    digest = digest_of(execution.records, len(token.digest))
    if digest == token.digest:
        return None
    return (
        f"The steps are the token's, but what they did is not (digest {digest}, the token's is {token.digest}):"
        " a statement, or its outcome, is another one than when the token was made."
    )


def _named(choice: int, execution: Execution) -> str:
    crash = "a crash of " if choice >= execution.workers else ""
    return f"{crash}worker {_MARKS[choice % execution.workers]}"
