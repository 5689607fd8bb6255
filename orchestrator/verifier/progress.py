"""Progress: work is not only done right, but in time, without endless tries, and not given up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.arrays import per
from orchestrator.verifier.columns import DUPLICATE, POISON, REFUSALS
from orchestrator.verifier.durations import last_attempts
from orchestrator.verifier.overdue import overdue
from orchestrator.verifier.settling import FAIL, INFO, LOST, UNPUBLISHED
from orchestrator.verifier.verdict import Check, Named, Value, Witness
from orchestrator.verifier.words import attempt, counted, ending, operation, seconds, shown_of_each

if TYPE_CHECKING:
    from orchestrator.history.model import Meta
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.facts import Facts
    from orchestrator.verifier.overdue import Overdue

NAME: Final = "progress"

#: Attempts of an unsettled operation, none with an end, from which on it is said to take its workers down.
DEADLY: Final = 3

#: Reasons by which an operation may fail: rules refuse it, it was done already, or it was given up in the open.
_RIGHTLY: Final = (*REFUSALS, DUPLICATE, POISON)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """What is proven of each operation."""

    #: By anomaly, in the order in which they are told.
    kinds: dict[str, Flags]
    times: Overdue
    #: Not settled, or never published, or not surely in time: nobody can tell.
    undecided: Flags
    #: Attempts, but for those refused as duplicates of work that was done.
    tries: Ints

    @property
    def good(self) -> int:
        """How many operations are as they should be."""
        wrong = np.logical_or.reduce([*self.kinds.values(), self.undecided])
        return len(wrong) - int(wrong.sum())


def asked(facts: Facts) -> bool:
    """Some bound is asked for, and attempts were recorded that can be held to it."""
    meta = facts.columns.meta
    return meta.recording and (meta.max_settle_s is not None or meta.max_attempts is not None)


def progress(facts: Facts) -> Check:
    """Every operation that the rules allow was done, within the time and by as many attempts as asked for."""
    columns, found = facts.columns, _find(facts)
    total = sum(int(flagged.sum()) for flagged in found.kinds.values())
    undecided = bool(found.undecided.any())
    return Check(
        name=NAME,
        value=Value.INVALID if total else Value.UNKNOWN if undecided else Value.VALID,
        summary=_summary(columns.meta, found),
        found=total,
        witnesses=shown_of_each(
            *((np.flatnonzero(flagged), partial(_witness, facts, found, name)) for name, flagged in found.kinds.items())
        ),
        named=tuple(
            Named(operation=int(columns.operations.number[place]), anomaly=name, note=_note(found, name, place))
            for name, flagged in found.kinds.items()
            for place in np.flatnonzero(flagged).tolist()
        ),
    )


def _find(facts: Facts) -> _Found:
    columns, settled, meta = facts.columns, facts.settled, facts.columns.meta
    attempts, size = columns.attempts, len(columns.operations.number)
    open_ = np.isin(settled.operations, (INFO, LOST))
    # An interrupted run had no time to settle everything, and what was not gathered may hold an end.
    ended = (meta.drained or meta.timed_out) and not meta.interrupted and not meta.gaps
    tried, dead = (per(attempts.operation, chosen, size) for chosen in (attempts.token >= 0, attempts.end < 0))
    poison = open_ & ended & (dead == tried) & (dead >= DEADLY)
    times = overdue(facts, open_ & ~poison, meta.max_settle_s, ended=ended)
    tries = per(attempts.operation, attempts.reason != DUPLICATE, size)
    most = np.inf if meta.max_attempts is None else meta.max_attempts
    kinds = {
        "poison": poison,
        "starved": times.late,
        "gave-up": (settled.operations == FAIL) & ~np.isin(settled.reason, _RIGHTLY),
        "retry-storm": (tries > most) & ~poison,
    }
    unsettled = times.undecided | np.isin(settled.operations, (INFO, LOST, UNPUBLISHED))
    return _Found(kinds=kinds, times=times, undecided=unsettled & ~np.logical_or.reduce([*kinds.values()]), tries=tries)


def _bounds(meta: Meta) -> str:
    bounds = [] if meta.max_settle_s is None else [f"{meta.max_settle_s:g} s"]
    bounds += [] if meta.max_attempts is None else [counted(meta.max_attempts, "attempt")]
    return " and ".join(bounds)


def _summary(meta: Meta, found: _Found) -> str:
    summary = f"{found.good:,} of {counted(len(found.tries), 'operation')} settled within {_bounds(meta)}"
    if len(found.tries):
        longest = found.times.took.max()
        slowest = f"the longest took {seconds(longest)}, " if longest >= 0 else ""
        summary += f" ({slowest}the most tries were {found.tries.max():,})"
    counts = {name: int(flagged.sum()) for name, flagged in found.kinds.items()}
    summary += "".join(f"; {count:,} {name}" for name, count in counts.items() if count)
    undecided = int(found.undecided.sum())
    return summary + (f"; {undecided:,} undecided: not settled, or in time by no clock's word" if undecided else "")


def _note(found: _Found, name: str, place: int) -> str:
    took = found.times.took[place]
    if name == "starved":
        untold = "for a time that no clock tells" if found.tries[place] else "never attempted"
        return seconds(took) if took >= 0 else untold
    return counted(int(found.tries[place]), "attempt")


def _witness(facts: Facts, found: _Found, name: str, place: int) -> Witness:
    columns = facts.columns
    tried = np.flatnonzero(columns.attempts.operation == place)
    told = _TOLD[name](facts, found, place)
    return Witness(
        anomaly=name,
        sentence=f"{operation(columns, place).capitalize()} {told}.",
        attempts=tuple(columns.attempts.token[tried[:10]].tolist()),
        operations=(int(columns.operations.number[place]),),
    )


def _poison(facts: Facts, found: _Found, place: int) -> str:
    last = attempt(facts.columns, int(last_attempts(facts.columns)[place]))
    return (
        f"was attempted {found.tries[place]:,} times, no attempt has an end, the last was A ({last}), and it was never"
        " settled: it takes down whoever runs it, and comes back"
    )


def _starved(facts: Facts, found: _Found, place: int) -> str:
    columns, took = facts.columns, found.times.took[place]
    bound = f"at most {columns.meta.max_settle_s:g} s are asked: it starved"
    last = int(last_attempts(columns)[place])
    tries = f"its {counted(int(found.tries[place]), 'attempt')}, the last of which was A ({attempt(columns, last)})"
    if facts.settled.operations[place] not in (INFO, LOST):
        return f"was settled {seconds(took)} after its first attempt began, by {tries}; {bound}"
    waited = f" for {seconds(took)} at least" if took >= 0 else ""
    if last < 0:
        return f"waited{waited}, was never attempted and never settled; {bound}"
    return f"waited{waited} and was never settled, in spite of {tries}: {ending(columns, last)}; {bound}"


def _gave_up(facts: Facts, found: _Found, place: int) -> str:
    columns, by = facts.columns, int(facts.settled.by[place])
    tries = counted(int(found.tries[place]), "attempt")
    return (
        f"was given up after {tries}: A ({attempt(columns, by)}) was the last, and ended {ending(columns, by)}, which"
        " no business rule asks for; its work is not done"
    )


def _stormy(facts: Facts, found: _Found, place: int) -> str:
    columns = facts.columns
    tried = np.flatnonzero(columns.attempts.operation == place)
    ends = Counter(ending(columns, each) for each in tried.tolist()).most_common()
    tries, told = counted(int(found.tries[place]), "attempt"), ", ".join(f"{count:,} {end}" for end, count in ends)
    return f"needed {tries} ({told}), at most {columns.meta.max_attempts:,} are asked"


_TOLD: Final = {"poison": _poison, "starved": _starved, "gave-up": _gave_up, "retry-storm": _stormy}
