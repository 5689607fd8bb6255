"""Refusals: an attempt that ended `insufficient` or `missing` met a state that justifies it.

A state justifies a refusal where its level is below what the operation demands (or the row is absent).  What the
attempt read counts first, unless that state was surely over when the attempt began.  Where a statement decided without
returning what it saw, the states that the row had in the attempt's window are looked at, from the earliest that may
still have been current at its start to the latest that may have been at its end; how well these are known depends on
the clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier.arrays import NONE, at, documents, holds, lowest, per, rising, search
from orchestrator.verifier.clocks import UNBOUNDED, one_clock, to_database
from orchestrator.verifier.columns import FAIL, INSUFFICIENT, MISSING, NO_REQUEST, REASONS, REFUSALS
from orchestrator.verifier.states import rules_of
from orchestrator.verifier.verdict import Check, Value, Witness
from orchestrator.verifier.words import attempt, counted, judged, shown

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts

NAME: Final = "refusals"

#: How well a refusal is justified, worst first: a refusal with several rows counts by its best.
UNJUSTIFIED, UNDECIDED, WITHIN_BOUNDS, PROVEN = range(4)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Demands:
    """One entry per refused attempt and row that could justify it."""

    attempt: Ints
    row: Ints
    #: Least level that would have allowed it.
    need: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class _Timeline:
    """Every state of every planned row, by (row, seq), with bounds on when its commit became visible."""

    row: Ints
    seq: Ints
    level: Ints
    earliest: Ints
    latest: Ints


def refusals(facts: Facts) -> Check:
    """Each refusal is justified by a state of the row in the attempt's window."""
    columns = facts.columns
    refused = np.flatnonzero((columns.attempts.outcome == FAIL) & np.isin(columns.attempts.reason, REFUSALS))
    # Where an operation needs a request, the check `requests` says whether it should have been there.
    unasked = at(columns.operations.requested, columns.attempts.operation[refused]) == NONE
    refused = refused[unasked | (columns.attempts.reason[refused] != NO_REQUEST)]
    if not len(refused):
        return Check(name=NAME, value=Value.VALID, summary="nothing was refused")
    if rules_of(columns) is None:
        summary = f"{counted(len(refused), 'refusal')} by rules that the verifier doesn't know"
        return Check(name=NAME, value=Value.UNKNOWN, summary=summary)
    return _check(columns, refused, _grades(facts, refused))


def _check(columns: Columns, refused: Ints, grades: Ints) -> Check:
    wrong, undecided = refused[grades == UNJUSTIFIED], int((grades == UNDECIDED).sum())
    summary = f"{int((grades == PROVEN).sum()):,} of {counted(len(refused), 'refusal')} proven right"
    if bounded := int((grades == WITHIN_BOUNDS).sum()):
        summary += f", {bounded:,} right within the clocks' bounds"
    if len(wrong):
        summary += f", {len(wrong):,} unjustified"
    if undecided:
        summary += f", {undecided:,} undecided: neither reads nor clocks tell what the statement saw"
    if undecided and not len(wrong):
        return Check(name=NAME, value=Value.UNKNOWN, summary=summary)
    return judged(NAME, len(wrong), summary, shown(wrong, lambda place: _witness(columns, place)))


def _grades(facts: Facts, refused: Ints) -> Ints:
    """The best grade that any of its rows gives each refused attempt."""
    columns = facts.columns
    best = np.full(len(columns.attempts.token), UNJUSTIFIED, dtype=np.int64)
    for insufficient in (True, False):
        demands, absent = _demands(columns, refused, insufficient=insufficient)
        best[absent] = PROVEN
        if len(demands.attempt):
            timeline = _timeline(facts, levels=insufficient)
            np.maximum.at(best, demands.attempt, _graded(columns, timeline, demands))
    return best[refused]


def _demands(columns: Columns, refused: Ints, *, insufficient: bool) -> tuple[_Demands, Ints]:
    """What the refused operations named, and the attempts whose row never was there at all."""
    rules, operations, rows = rules_of(columns), columns.operations, columns.rows
    wanted = columns.attempts.reason[refused] == (INSUFFICIENT if insufficient else MISSING)
    chosen = refused[wanted & (columns.attempts.operation[refused] >= 0)]
    owners = columns.attempts.operation[chosen]
    entries: list[tuple[int, int, int]] = []
    for place, owner, params in zip(
        chosen.tolist(), owners.tolist(), documents(operations.params, owners), strict=True
    ):
        if rules is None:
            break
        kind = operations.kinds[operations.kind[owner]]
        demand = rules.demand(kind, params) if insufficient else None
        named = [demand] if demand else [] if insufficient else [(key, 1) for key in rules.touches(kind, params)]
        entries += [(place, rows.numbers.get((rules.relation, key), NONE), need) for key, need in named]
    columns_of = np.array(entries, dtype=np.int64).reshape(-1, 3).T
    there = (columns_of[1] >= 0) & (columns_of[1] < rows.planned)
    attempts, row, need = columns_of[:, there]
    absent = columns_of[0][~there] if not insufficient else attempts[:0]
    return _Demands(attempt=attempts, row=row, need=need), absent


def _timeline(facts: Facts, *, levels: bool) -> _Timeline:
    """States in order: a row's initial state, then the state after each effect; presence counts as level 1."""
    columns, effects, planned = facts.columns, facts.columns.effects, facts.columns.rows.planned
    inside = np.flatnonzero(effects.row < planned)
    row = np.concatenate([np.arange(planned), effects.row[inside]])
    seq = np.concatenate([np.zeros(planned, dtype=np.int64), effects.seq[inside]])
    level = np.concatenate([facts.states.initial_level, facts.states.level[inside]])
    if not levels:
        gone = np.asarray(effects.after.is_null())[effects.order][inside]
        level = np.concatenate([np.ones(planned, dtype=np.int64), np.where(gone, 0, 1)])
    earliest, latest = _commits(columns)
    started = np.full(planned, -UNBOUNDED)
    order = np.lexsort((seq, row))
    row = row[order]
    return _Timeline(
        row=row,
        seq=seq[order],
        level=level[order],
        earliest=rising(row, np.concatenate([started, earliest[inside]])[order]),
        latest=rising(row, np.concatenate([started, latest[inside]])[order]),
    )


def _commits(columns: Columns) -> tuple[Ints, Ints]:
    """The earliest and latest moment at which each effect's commit became visible."""
    effects, attempts = columns.effects, columns.attempts
    writer = effects.attempt
    known = (writer >= 0) & holds(attempts.end >= 0, writer)
    end = np.full(len(writer), UNBOUNDED, dtype=np.int64)
    if one_clock(columns):
        end[known] = attempts.end[writer[known]]
        return at(attempts.start, writer, -UNBOUNDED), end
    mapped, error = to_database(columns, attempts.process[writer[known]], attempts.end[writer[known]])
    end[known] = np.where(error < UNBOUNDED, mapped + error, UNBOUNDED)
    # The next writer's trigger runs under the row's lock, so after this commit; the database counts whole microseconds.
    following = np.full(len(writer), UNBOUNDED, dtype=np.int64)
    again = np.flatnonzero(np.diff(effects.row) == 0)
    following[again] = (effects.at_us[again + 1] + 1) * 1000
    return (effects.at_us - 1) * 1000, np.minimum(end, following)


def _graded(columns: Columns, timeline: _Timeline, demands: _Demands) -> Ints:
    """Grades by what was read; by time where the refusing statement did not say what it saw."""
    low, read, blind = _by_reads(columns, timeline, demands)
    grades = np.where(low, PROVEN, UNJUSTIFIED)
    unsaid = np.flatnonzero(~low & (~read | blind))
    rest = _Demands(attempt=demands.attempt[unsaid], row=demands.row[unsaid], need=demands.need[unsaid])
    grades[unsaid] = _by_time(columns, timeline, rest)
    return grades


def _by_reads(columns: Columns, timeline: _Timeline, demands: _Demands) -> tuple[Flags, Flags, Flags]:
    """Per demand: some read state was too low; some state was read; a write matched no row, whatever it saw."""
    accesses, size = columns.accesses, len(demands.attempt)
    span = np.int64(len(columns.rows.keys) + 1)
    wanted = demands.attempt * span + demands.row
    order = np.argsort(wanted)
    held = accesses.attempt * span + accesses.row
    # An attempt names a row in at most one demand, so that each access belongs to at most one.
    place = np.minimum(np.searchsorted(wanted[order], held), size - 1)
    mine = (accesses.attempt >= 0) & (wanted[order][place] == held)
    demand = order[place]
    state = search(timeline.row, timeline.seq, accesses.row[mine], accesses.seq[mine])
    state = np.minimum(state, len(timeline.row) - 1)
    found = (timeline.row[state] == accesses.row[mine]) & (timeline.seq[state] == accesses.seq[mine])
    found &= ~accesses.write[mine]
    too_low = found & (timeline.level[state] < demands.need[demand[mine]])
    too_low &= ~_over(columns, timeline, state, accesses.attempt[mine])
    blind = accesses.write[mine] & (accesses.rows[mine] == 0)
    return (
        per(demand[mine], too_low, size) > 0,
        per(demand[mine], found, size) > 0,
        per(demand[mine], blind, size) > 0,
    )


def _over(columns: Columns, timeline: _Timeline, state: Ints, attempt: Ints) -> Flags:
    """States that the next one had surely followed before the attempt began."""
    start, error = columns.attempts.start[attempt], np.zeros(len(attempt), dtype=np.int64)
    if not one_clock(columns):
        start, error = to_database(columns, columns.attempts.process[attempt], start)
    following = np.minimum(state + 1, len(timeline.row) - 1)
    followed = (following > state) & (timeline.row[following] == timeline.row[state])
    over: Flags = followed & (timeline.latest[following] < start - error)
    return over


def _by_time(columns: Columns, timeline: _Timeline, demands: _Demands) -> Ints:
    """Grades by the states that may have been, and those that surely were, current in the attempt's window."""
    attempts, row = columns.attempts, demands.row
    process = attempts.process[demands.attempt]
    times = (attempts.start[demands.attempt], attempts.end[demands.attempt])
    if one_clock(columns):
        (start, end), error = times, np.zeros(len(row), dtype=np.int64)
    else:
        (start, before), (end, after) = (to_database(columns, process, time) for time in times)
        error = np.maximum(before, after)
    first, after_last = np.searchsorted(timeline.row, row), np.searchsorted(timeline.row, row, side="right")

    def low(since: Ints, until: Ints, ended: Ints, begun: Ints) -> Flags:
        # A state ends with the next one's commit: the last state whose predecessors are all over, to the last begun.
        begin = np.maximum(search(timeline.row, ended, row, since) - 1, first)
        stop = np.minimum(search(timeline.row, begun, row, until, right=True), after_last)
        return lowest(timeline.level, begin, stop) < demands.need

    surely = low(start + error, end - error, timeline.earliest, timeline.latest) & (error < UNBOUNDED)
    maybe = low(start - error, end + error, timeline.latest, timeline.earliest)
    grade = np.where(error < UNBOUNDED, WITHIN_BOUNDS, UNDECIDED)
    return np.where(surely, PROVEN, np.where(maybe, grade, UNJUSTIFIED))


def _witness(columns: Columns, place: int) -> Witness:
    token, owner = int(columns.attempts.token[place]), int(columns.attempts.operation[place])
    reason = REASONS[columns.attempts.reason[place]]
    sentence = (
        f"A was refused as {reason}, but no state of the row in A's time justifies that."
        f" A is {attempt(columns, place)}."
    )
    operations = (int(columns.operations.number[owner]),) if owner >= 0 else ()
    return Witness(anomaly="unjustified-refusal", sentence=sentence, attempts=(token,), operations=operations)
