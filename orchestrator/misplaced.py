"""Mistakes and failpoints that a run has no place for: they would change nothing, and show nothing."""

from __future__ import annotations

import difflib
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.errors import UsageError
from orchestrator.faults.failpoints import failpoints
from orchestrator.faults.plan import parse
from orchestrator.plan import KINDS, plan
from worker.contract import Action, Isolation, Where
from worker.mistakes import Mistake
from worker.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.faults.model import Planned
    from orchestrator.groups import Group
    from orchestrator.profile import Profile
    from worker.contract import Failpoint

#: Strategies that may find, at any level, that a row has changed.
_CHECKING: Final = ("optimistic", "atomic", "serializable")

#: Kinds that a rule may refuse: their atomic statement then matches nothing, and the row is read to see why.
REFUSABLE: Final = ("deduct", "transfer")

#: Points at which an error comes after COMMIT.
_COMMITTED: Final = (Where.AFTER_COMMIT, Where.BEFORE_ACK, Where.WHILE_LOGGING)


class Place(NamedTuple):
    """Where a mistake can be made."""

    #: Completes "it is made …".
    where: str
    #: Whether a group of a profile may have it; False where it has not, unless somebody strikes the run from outside.
    has: Callable[[Profile, Group], bool]


def check(profile: Profile, groups: Sequence[Group]) -> None:
    """Refuse a mistake that does not exist, or that no group has a place for, or such a failpoint; raises UsageError.

    A mistake made nowhere would let a VALID look like immunity; a failpoint that can't strike would leave UNKNOWN.
    """
    for each in _planned(profile, "failpoint", "poison"):
        _check_failpoint(each, profile, groups)
    for name in profile.mistakes:
        if name not in set(Mistake):
            close = difflib.get_close_matches(name, set(Mistake), n=1)
            hint = f"did you mean {close[0]}?" if close else f"the mistakes are {', '.join(Mistake)}."
            raise UsageError(f"Unknown mistake {name} (mistakes): {hint}")
        place = PLACES[Mistake(name)]
        if not any(place.has(profile, group) for group in groups):
            raise UsageError(
                f"mistakes has {name}, which would change nothing in this run: it is made {place.where}; race one that"
                " has a place for it, or leave it out."
            )


def _check_failpoint(planned: Planned, profile: Profile, groups: Sequence[Group]) -> None:
    (point,) = failpoints([planned])
    if not profile.recording:
        raise UsageError(
            f"Fault «{planned.text}» would strike nothing, for recording is off: leave --no-recording or the fault out."
        )
    if point.where is Where.AFTER_READ and not any(_reads(profile, group, point) for group in groups):
        raise UsageError(
            f"Fault «{planned.text}» would strike nothing in this run: it lies after a read, and the strategy atomic"
            f" reads only where a {' or '.join(REFUSABLE)} is refused, which can't happen to what it names; race"
            " another strategy, or take another point."
        )


def _reads(profile: Profile, group: Group, point: Failpoint) -> bool:
    """Say whether an operation that a failpoint names may read a row; the atomic statements read none by themselves."""
    if group.strategy != "atomic":
        return True
    chances = point.probability > 0
    named = islice(plan(profile, group.scenario), max(point.operations, default=-1) + 1)
    kinds = {each.kind for each in named if each.operation in point.operations}
    return not kinds.isdisjoint(REFUSABLE) or (chances and not _kinds(profile, group).isdisjoint(REFUSABLE))


def _kinds(profile: Profile, group: Group) -> set[str]:
    """Name the kinds that a group's operations are drawn from: with one row there are no transfers."""
    return set(profile.kinds or KINDS[group.scenario]) - (set() if profile.rows > 1 else {"transfer"})


def _planned(profile: Profile, *names: str) -> tuple[Planned, ...]:
    """Read the entries of these names; others may be known on hosts only."""
    entries = (entry.strip() for text in profile.faults for entry in text.split(","))
    return parse(entry for entry in entries if entry.partition(":")[0] in names)


def notes(profile: Profile, groups: Iterable[Group]) -> tuple[str, ...]:
    """Say which mistakes are made, and which groups have no place for one."""
    if not profile.mistakes:
        return ()
    told = [f"Mistakes were made on purpose: {', '.join(profile.mistakes)}."]
    for name in profile.mistakes:
        place = PLACES[Mistake(name)]
        without = [group.name for group in groups if not place.has(profile, group)]
        if without:
            told.append(f"The mistake {name} has no place in {', '.join(without)}: it is made {place.where}.")
    return tuple(told)


def _request(_profile: Profile, group: Group) -> bool:
    return SCENARIOS[group.scenario].request is not None


def _anywhere(_profile: Profile, _group: Group) -> bool:
    # What strikes may come from outside: a plan does not tell.
    return True


def _row_count(_profile: Profile, group: Group) -> bool:
    # Above read committed the server aborts a write to a row that changed since the snapshot: it never matches none.
    return group.strategy == "optimistic" and group.isolation is Isolation.READ_COMMITTED


def _out_of_order(profile: Profile, group: Group) -> bool:
    """Say whether transfers lock row by row; an atomic statement locks both at once."""
    return group.strategy != "atomic" and "transfer" in _kinds(profile, group)


def _deadlock(profile: Profile, group: Group) -> bool:
    return bool(profile.faults) or (Mistake.UNORDERED_KEYS in profile.mistakes and _out_of_order(profile, group))


def _error(profile: Profile, group: Group) -> bool:
    """Say whether the server may refuse a statement, or COMMIT."""
    above = group.strategy == "serializable" or group.isolation is not Isolation.READ_COMMITTED
    return above or profile.lock_timeout_ms > 0 or _deadlock(profile, group)


def _conflict(profile: Profile, group: Group) -> bool:
    return group.strategy in _CHECKING or _error(profile, group)


def _again(profile: Profile, group: Group) -> bool:
    return profile.retry.attempts > 1 and _conflict(profile, group)


def _error_after_commit(profile: Profile, _group: Group) -> bool:
    points = failpoints(_planned(profile, "failpoint"))
    return profile.recording and any(each.action is Action.RAISE and each.where in _COMMITTED for each in points)


_LEVELS: Final = "at repeatable read or above, with lock_timeout_ms, with unordered-keys and transfers, or under faults"
_CONFLICTS: Final = f"where a conflict is met: by the strategies {', '.join(_CHECKING)}, or by any {_LEVELS}"
_REQUESTS: Final = "with a request (scenario requests)"

#: Mistake to its place.
PLACES: Final[Mapping[Mistake, Place]] = {
    Mistake.UNCHECKED_ROWCOUNT: Place("by the strategy optimistic at read committed alone", _row_count),
    Mistake.SILENT_GIVE_UP: Place(_CONFLICTS, _conflict),
    Mistake.NO_BACKOFF: Place(f"{_CONFLICTS}; and retry.attempts must be above 1", _again),
    Mistake.SWALLOWED_ERROR: Place(
        f"where the server refuses a statement: by the strategy serializable, or by any {_LEVELS}", _error
    ),
    Mistake.UNORDERED_KEYS: Place(
        "by every strategy but atomic, with transfers (scenario credits, rows of 2 or more)", _out_of_order
    ),
    Mistake.NO_DEADLOCK_RETRY: Place(
        "where deadlocks are met: by every strategy but atomic with unordered-keys and transfers, or under faults",
        _deadlock,
    ),
    Mistake.RETRY_AFTER_COMMIT: Place(
        "by every strategy where an error follows COMMIT (failpoint:after-commit:action=raise:operation=5)",
        _error_after_commit,
    ),
    Mistake.BLIND_RETRY: Place(
        "by every strategy where COMMIT gets no answer (failpoint:in-commit:action=disconnect:operation=5)", _anywhere
    ),
    Mistake.BLIND_PUBLISH: Place(
        "where a publication gets no answer (reset-answer:orchestrator-broker:match=LPUSH) and nothing guards against"
        " doing it twice (--no-idempotency)",
        _anywhere,
    ),
    Mistake.TRUSTING_TASK: Place(_REQUESTS, _request),
    Mistake.PUBLISH_BEFORE_COMMIT: Place(_REQUESTS, _request),
    Mistake.PUBLISH_BEFORE_ROLLBACK: Place(_REQUESTS, _request),
}
