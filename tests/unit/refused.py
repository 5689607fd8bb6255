"""Histories with one refusal, and what the check says of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from tests.unit.histories import OFFSETS, check, deduct, grant, race

if TYPE_CHECKING:
    from tests.unit.histories import Draft

PROVEN = "1 of 1 refusal proven right"
BOUNDED = "0 of 1 refusal proven right, 1 right within the clocks' bounds"
WRONG = "0 of 1 refusal proven right, 1 unjustified"
UNDECIDED = "0 of 1 refusal proven right, 1 undecided: neither reads nor clocks tell what the statement saw"


class Window(NamedTuple):
    """When an attempt began and ended, microseconds from when the race began."""

    begin: int
    end: int


def asking(draft: Draft, operation: int, amount: int) -> None:
    """Let the operation have asked for another amount."""
    row = draft.operations[operation]
    row["params"] = json.dumps({**json.loads(row["params"]), "amount": amount})


def blind(draft: Draft, operation: int) -> None:
    """Let the operation's last attempt have left no access."""
    token = draft.attempt_of(operation)["token"]
    draft.accesses = [access for access in draft.accesses if access["token"] != token]


def staged(levels: list[int], windows: list[Window], commits: list[int], *, error: int | None, need: int) -> Draft:
    """A row that goes through these levels, and one more attempt, refused for want of `need` without saying why.

    Each window is an attempt's, the last one the refused one's; `commits` are the effects' times.  Without an error all
    share one clock.
    """
    draft = race(*(grant(0, 1) for _ in levels), deduct(0, 900), start=5)
    for place, (attempt, window) in enumerate(zip(draft.attempts, windows, strict=True)):
        process = 1 if error is None else attempt["process"]
        zero = 0 if error is None else 10**15 - OFFSETS[process]
        attempt.update(process=process, start_ns=zero + window.begin * 1000, end_ns=zero + window.end * 1000)
        attempt["slot"] = place
    for effect, level, commit in zip(draft.effects, levels, commits, strict=True):
        effect.update(after=json.dumps({"id": 0, "credits": level}), at_us=10**12 + commit)
    times = {(row["process"], row[name]) for row in draft.attempts for name in ("start_ns", "end_ns")}
    draft.clocks = [
        {"process": process, "mono_ns": mono, "offset_ns": OFFSETS[process], "error_ns": error or 0}
        for process, mono in sorted(times)
        if error is not None
    ]
    asking(draft, len(levels), need)
    blind(draft, len(levels))
    return draft


def graded(draft: Draft) -> str:
    """What is said of the one refusal."""
    return check(draft, "refusals").summary
