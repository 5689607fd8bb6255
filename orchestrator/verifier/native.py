"""A run's history as transactions: an attempt is one, a row's seqs are its versions, and effects are what it wrote.

A read has a version only where a committed effect of the writer that it saw, or the row's initial state, bears it out.
What it saw of anybody else's is found here, since versions alone can't show whose they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import msgspec
import numpy as np

from orchestrator.history.transactions import ABORTED, COMMITTED, NEVER, NO_VERSION, Found, Transactions
from orchestrator.verifier.arrays import NONE, at, holds, locate, pairs, rising
from orchestrator.verifier.attempted import Attempted
from orchestrator.verifier.clocks import UNBOUNDED, one_clock, to_database
from orchestrator.verifier.columns import INFO, OK
from orchestrator.verifier.dependencies import judge
from orchestrator.verifier.words import SHOWN

if TYPE_CHECKING:
    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts
    from orchestrator.verifier.verdict import Judgement

#: Before every time: the beginning of a transaction of which nobody knows when it began.
_ALWAYS: Final = -NEVER


@dataclass(frozen=True, kw_only=True, eq=False)
class _Units:
    """Transactions before they are numbered: the attempts, then writers unheard of, then reads that stand apart."""

    #: Place of the attempt; -1 for a writer that no journal tells of.
    attempt: Ints
    #: Place of the one read, where it is a transaction of its own; -1 otherwise.
    access: Ints
    token: Ints
    status: Ints
    session: Ints
    #: Sorts the units of a session.
    order: Ints
    #: By the local clock; -1 where no end is known.
    begin: Ints
    end: Ints
    #: Per effect: its transaction.
    of_effect: Ints
    #: Per access: its transaction; -1 where its attempt isn't known.
    of_access: Ints


def judged(facts: Facts, level: str, *, outside_reads_apart: bool = False, writers_only: bool = False) -> Judgement:
    """What the dependencies of a run's transactions say; witnesses name attempts and operations."""
    history = transactions(facts, outside_reads_apart=outside_reads_apart, writers_only=writers_only)
    found = judge(history, level, facts.memory)
    names = cast("Attempted", history.names)
    return msgspec.structs.replace(found, witnesses=tuple(names.told(witness) for witness in found.witnesses))


def transactions(facts: Facts, *, outside_reads_apart: bool, writers_only: bool = False) -> Transactions:
    """Every attempt as a transaction; reads before the first write, if asked, as transactions of their own."""
    columns = facts.columns
    units = _units(facts, outside_reads_apart=outside_reads_apart, writers_only=writers_only)
    order, invoke, complete = _numbered(columns, units)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    reads = np.flatnonzero(_reads(columns))
    true = _borne_out(columns, reads)
    txn, row, write, version = _operations(columns, units, number, reads, true)
    found, counts = _uncommitted(facts, units, number, reads[~true])
    return Transactions(
        status=units.status[order].astype(np.int8),
        session=units.session[order].astype(np.int32),
        invoke=invoke[order],
        complete=complete[order],
        txn=txn.astype(np.int32),
        row=row.astype(np.int32),
        write=write,
        version=version.astype(np.int32),
        names=Attempted(columns, units.attempt[order], units.access[order], units.token[order]),
        found=found,
        counts=counts,
    )


def _units(facts: Facts, *, outside_reads_apart: bool, writers_only: bool) -> _Units:
    columns = facts.columns
    attempts, effects = columns.attempts, columns.effects
    status = facts.settled.attempts
    if writers_only:
        status = np.where((status == COMMITTED) & (facts.settled.effects == 0), ABORTED, status)
    session, place = _sessions(columns, facts.settled.effects)
    unheard = np.flatnonzero(effects.attempt < 0)
    strangers, of_stranger = _strangers(columns, unheard)
    apart = _outside(columns) if outside_reads_apart else unheard[:0]
    count, known = len(attempts.token), len(attempts.token) + len(strangers)
    of_effect, of_access = effects.attempt.copy(), columns.accesses.attempt.copy()
    of_effect[unheard] = count + of_stranger
    reader, of_access[apart] = of_access[apart], known + np.arange(len(apart))
    nobody, nothing = np.full(len(strangers), NONE), np.full(known, NONE)
    span = len(columns.accesses.row) + 1
    return _Units(
        attempt=np.concatenate([np.arange(count), nobody, reader]),
        access=np.concatenate([nothing, apart]),
        token=np.concatenate([attempts.token, effects.token[strangers], attempts.token[reader]]),
        status=np.concatenate([status, np.full(len(strangers) + len(apart), COMMITTED)]),
        session=np.concatenate([session, nobody, session[reader]]),
        # An attempt stands behind its own reads.
        order=np.concatenate([place * span + span - 1, nobody, place[reader] * span + apart]),
        begin=np.concatenate([attempts.start, nobody, columns.accesses.at[apart]]),
        end=np.concatenate([_ends(columns), nobody, _read_ends(columns, apart)]),
        of_effect=of_effect,
        of_access=of_access,
    )


def _strangers(columns: Columns, unheard: Ints) -> tuple[Ints, Ints]:
    """The first effect of each writer that no journal tells of, and of each such effect the writer's number."""
    if not len(unheard):
        return unheard, unheard
    token = columns.effects.token[unheard]
    # Without a token, only the transaction's id tells writers apart.
    writer = pairs(token, np.where(token == 0, columns.effects.txid[unheard], 0))
    _, first, number = np.unique(writer, return_index=True, return_inverse=True)
    return unheard[first], number


def _outside(columns: Columns) -> Ints:
    """Reads of an attempt's rows before it wrote any, in the order of the file."""
    accesses, size = columns.accesses, len(columns.attempts.token)
    everyone = np.arange(len(accesses.row))
    first = np.full(size, len(everyone), dtype=np.int64)
    writes = np.flatnonzero(accesses.write & (accesses.attempt >= 0))[::-1]
    first[accesses.attempt[writes]] = writes  # of several, the earliest stays
    outside: Ints = everyone[_reads(columns) & (everyone < at(first, accesses.attempt))]
    return outside


def _reads(columns: Columns) -> Flags:
    """Accesses that saw a state of a row."""
    accesses = columns.accesses
    seen: Flags = ~accesses.write & (accesses.seq >= 0) & (accesses.attempt >= 0)
    return seen


def _ends(columns: Columns) -> Ints:
    """When each attempt surely was over; -1 where COMMIT's answer didn't come, since it may take effect any time."""
    attempts = columns.attempts
    return np.where(attempts.outcome == OK, attempts.end, NONE)


def _read_ends(columns: Columns, reads: Ints) -> Ints:
    """A read was over when its attempt sent its next statement, or else when the attempt ended."""
    accesses = columns.accesses
    following = np.append(accesses.at, NONE)[reads + 1]
    same = np.append(accesses.attempt, NONE)[reads + 1] == accesses.attempt[reads]
    return np.where(same, following, columns.attempts.end[accesses.attempt[reads]])


def _sessions(columns: Columns, effects: Ints) -> tuple[Ints, Ints]:
    """Each attempt's session, and its place among all in the order of their workers' clocks."""
    attempts = columns.attempts
    if not len(attempts.token):
        return attempts.token, attempts.token
    worker = pairs(attempts.process, attempts.slot)
    order = np.lexsort((attempts.start, worker))
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = np.diff(worker[order]) != 0
    # Nobody knows when an unknown attempt was over: what its worker did next may have come before it.
    unknown = (attempts.outcome == INFO) | ((attempts.outcome != OK) & (effects > 0))
    new[1:] |= unknown[order][:-1]
    # Attempts that overlap are not one after the other, whatever their slot says.
    new[1:] |= attempts.start[order][1:] < rising(worker[order], attempts.end[order])[:-1]
    session, place = np.empty(len(order), dtype=np.int64), np.empty(len(order), dtype=np.int64)
    session[order], place[order] = np.cumsum(new) - 1, np.arange(len(order))
    return session, place


def _numbered(columns: Columns, units: _Units) -> tuple[Ints, Ints, Ints]:
    """The units in the order of their numbers, and of each the bounds of its time on the database clock."""
    process = at(columns.attempts.process, units.attempt)
    (begin, early), (end, late) = (to_database(columns, process, times) for times in (units.begin, units.end))
    when = _order_of_commits(columns, units, np.where(units.end >= 0, end, begin))
    if one_clock(columns):
        begin, early, end, late = units.begin, early * 0, units.end, late * 0
    invoke = np.where((early < UNBOUNDED) & (units.attempt >= 0), begin - early, _ALWAYS)
    complete = np.where((late < UNBOUNDED) & (units.end >= 0), end + late, NEVER)
    return np.lexsort((units.order, when)), invoke, complete


def _order_of_commits(columns: Columns, units: _Units, when: Ints) -> Ints:
    """A time for each unit that rises within each session, and from each writer of a row to the row's next."""
    # A row's writers take turns under its lock, and that is where the trigger reads the time.
    last = np.full(len(when), NONE, dtype=np.int64)
    np.maximum.at(last, units.of_effect, columns.effects.at_us * 1000)
    when = np.where(last >= 0, last, when)
    alone = units.session.max(initial=0) + 1 + np.arange(len(when))
    session = np.where(units.session >= 0, units.session, alone)
    order = np.lexsort((units.order, session))
    when[order] = rising(session[order], when[order])
    return when


def _operations(
    columns: Columns, units: _Units, number: Ints, reads: Ints, true: Flags
) -> tuple[Ints, Ints, Flags, Ints]:
    """Transaction, row, whether it is a write, and version of each micro-operation, in program order."""
    accesses, effects = columns.accesses, columns.effects
    txn = number[np.concatenate([units.of_access[reads], units.of_effect])]
    position = np.concatenate([reads, _written_at(columns)])
    order = np.argsort(txn * np.int64(len(accesses.row) + len(effects.row) + 1) + position)
    row = np.concatenate([accesses.row[reads], effects.row])
    seen = np.where(true, accesses.seq[reads], NO_VERSION)
    return txn[order], row[order], (order >= len(reads)), np.concatenate([seen, effects.seq])[order]


def _written_at(columns: Columns) -> Ints:
    """Each effect's access: an attempt's nth write of a row made its nth effect on it; the rest stand at the end."""
    accesses, effects = columns.accesses, columns.effects
    result = len(accesses.row) + np.arange(len(effects.row))
    span = np.int64(len(columns.rows.keys) + 1)
    writes = np.flatnonzero(accesses.write & (accesses.rows > 0) & (accesses.attempt >= 0))
    written = accesses.attempt[writes] * span + accesses.row[writes]
    by_row = np.argsort(written, kind="stable")
    writes, written = writes[by_row], written[by_row]
    made = np.flatnonzero(effects.attempt >= 0)
    changed = effects.attempt[made] * span + effects.row[made]
    made = made[np.argsort(changed, kind="stable")]  # of each attempt and row by seq, as effects stand
    changed = effects.attempt[made] * span + effects.row[made]
    nth = np.arange(len(changed)) - np.searchsorted(changed, changed)
    place = np.searchsorted(written, changed) + nth
    found = at(written, np.where(place < len(written), place, NONE)) == changed
    result[made[found]] = writes[place[found]]
    return result


def _borne_out(columns: Columns, reads: Ints) -> Flags:
    """Reads of the row's initial state, or of what a committed effect of the writer that they saw installed."""
    accesses, effects = columns.accesses, columns.effects
    row, seq, writer = accesses.row[reads], accesses.seq[reads], accesses.writer[reads]
    found: Flags = (seq == 0) & (writer == 0)
    span = effects.seq.max(initial=0) + 2
    known, wanted = effects.row * span + effects.seq, row * span + np.minimum(seq, span - 1)
    twice = bool((np.diff(known) == 0).any())  # of two effects at one seq, it may be either
    for right in (False, True)[: 1 + twice] if len(known) else ():
        place = np.searchsorted(known, wanted, "right" if right else "left") - right
        place = np.clip(place, 0, len(known) - 1)
        found |= (known[place] == wanted) & (effects.token[place] == writer)
    return found


def _uncommitted(facts: Facts, units: _Units, number: Ints, reads: Ints) -> tuple[tuple[Found, ...], dict[str, int]]:
    """Committed reads of what another wrote and never committed, or of what nobody wrote (Adya 1999, G1a; Elle)."""
    columns = facts.columns
    accesses, attempts = columns.accesses, columns.attempts
    foreign = attempts.token[accesses.attempt[reads]] != accesses.writer[reads]
    committed = units.status[units.of_access[reads]] == COMMITTED
    reads = reads[foreign & committed & (accesses.seq[reads] > 0)]
    writer = locate(attempts.token, accesses.writer[reads])
    undone = (writer >= 0) & ~holds(facts.settled.attempts == COMMITTED, writer)
    of = {"G1a": reads[undone], "garbage-read": reads[~undone]}
    found = [_found(columns, units, number, name, read) for name in of for read in of[name][:SHOWN].tolist()]
    return tuple(found), {name: len(places) for name, places in of.items() if len(places)}


def _found(columns: Columns, units: _Units, number: Ints, anomaly: str, read: int) -> Found:
    accesses = columns.accesses
    row, token = int(accesses.row[read]), accesses.writer[[read]]
    transactions = [number[units.of_access[read]]]
    if anomaly == "G1a":
        transactions.append(number[locate(columns.attempts.token, token)[0]])
        whose = "which T2 wrote and never committed"
    else:
        whose = f"written by token {token[0]}, which never installed that"
    sentence = f"T1 read {columns.rows.name(row)} at seq {accesses.seq[read]}, {whose}."
    return Found(anomaly=anomaly, transactions=tuple(int(each) for each in transactions), row=row, sentence=sentence)
