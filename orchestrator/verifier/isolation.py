"""Isolation kept: nothing happened that the run's isolation level prohibits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier import levels
from orchestrator.verifier.arrays import NONE, at, search
from orchestrator.verifier.chains import continues, previous
from orchestrator.verifier.dependencies import rules_out
from orchestrator.verifier.lost_updates import witness_of
from orchestrator.verifier.updates import superseded
from orchestrator.verifier.verdict import Check, Value, Witness
from orchestrator.verifier.words import SHOWN, attempt, counted, row_of, shown, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.verifier.arrays import Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts

NAME: Final = "isolation kept"

#: What is told here by what readers saw, which says more than versions do.
_OWN: Final = frozenset(("G1a", "G1b", "garbage-read", "lost-update"))


def isolation_kept(facts: Facts) -> Check:
    """Nothing that the level prohibits: no read of, or write over, what was never committed, and no such cycle."""
    columns, none, judgement = facts.columns, np.zeros(0, dtype=np.int64), facts.dependencies
    reads, writes = _foreign_reads(columns), np.flatnonzero(previous(columns) >= 0)
    lost = np.flatnonzero(facts.reads.stale) if _prohibits_lost_updates(facts) else none
    dirty = _dirty(columns, reads) if facts.complete else none
    over = writes[~continues(columns, previous(columns))[writes]] if facts.complete else none
    prohibited = levels.prohibited(judgement, facts.promised, complete=facts.complete)
    cycles = {name: count for name, count in prohibited.items() if name not in _OWN}
    found = len(dirty) + len(over) + len(lost) + sum(cycles.values())
    own = (
        *shown(lost, lambda place: witness_of(facts, place)),
        *shown(dirty, lambda place: _read_witness(columns, place)),
        *shown(over, lambda place: _write_witness(columns, place)),
    )
    looked_at = facts.complete and len(reads) + len(writes) and not levels.undecided(judgement, facts.promised)
    told = [f"{columns.meta.isolation}: {_looked_at(facts, reads, writes)}"]
    if len(dirty) + len(over) + len(lost):
        told.append(
            f"{len(dirty):,} uncommitted read, {len(over):,} overwritten, {len(lost):,} prohibited lost updates"
        )
    return Check(
        name=NAME,
        value=Value.INVALID if found else Value.VALID if looked_at else Value.UNKNOWN,
        summary="; ".join([*told, *_said(facts, cycles)]),
        found=found,
        witnesses=(*own, *levels.witnesses(judgement, cycles))[:SHOWN],
    )


def _said(facts: Facts, cycles: dict[str, int]) -> Iterator[str]:
    """What the dependencies show: what is prohibited, what is permitted, and what still holds."""
    judgement = facts.dependencies
    if cycles:
        yield f"prohibited: {levels.listed(judgement, cycles)}"
    yield from levels.undecided(judgement, facts.promised)
    if not facts.complete:
        return
    yield from () if cycles else ("no anomaly that it prohibits",)
    permitted = [name for name in judgement.anomalies if name not in {*cycles, *_OWN}]
    if permitted:
        yield f"found, and permitted: {levels.listed(judgement, permitted)}"
    if judgement.strongest:
        yield f"strongest model that holds: {' and '.join(judgement.strongest)}"


def _prohibits_lost_updates(facts: Facts) -> bool:
    """Snapshot isolation does, where the first committer wins, and serializability."""
    return rules_out("lost-update", facts.promised) and not facts.reads_outside


def _looked_at(facts: Facts, reads: Ints, writes: Ints) -> str:
    text = f"{counted(len(reads), 'read')} of others' writes and {counted(len(writes), 'overwrite')} looked at"
    if not facts.complete:
        text += ", but not everything was gathered"
    permitted = int(facts.reads.stale.sum())
    if permitted and not _prohibits_lost_updates(facts):
        why = "their reads were outside the transaction" if facts.reads_outside else "the level permits them"
        text += f"; {counted(permitted, 'lost update')} not held against it: {why}"
    return text


def _foreign_reads(columns: Columns) -> Ints:
    """Reads that saw another attempt's write; an attempt may see its own before it commits."""
    accesses, attempts = columns.accesses, columns.attempts
    own = at(attempts.token, accesses.attempt) == accesses.writer
    return np.flatnonzero(~accesses.write & (accesses.seq > 0) & (accesses.writer != NONE) & ~own)


def _dirty(columns: Columns, reads: Ints) -> Ints:
    """Reads of what no committed effect of that writer installed (Adya 1999, G1a), or not as its last word (G1b)."""
    accesses, effects = columns.accesses, columns.effects
    place = search(effects.row, effects.seq, accesses.row[reads], accesses.seq[reads])
    place = np.minimum(place, len(effects.row) - 1)
    if not len(effects.row):
        return reads
    same = (effects.row[place] == accesses.row[reads]) & (effects.seq[place] == accesses.seq[reads])
    committed = same & (effects.token[place] == accesses.writer[reads]) & ~superseded(columns)[place]
    uncommitted: Ints = reads[~committed]
    return uncommitted


def _read_witness(columns: Columns, access: int) -> Witness:
    accesses = columns.accesses
    reader, row = int(accesses.attempt[access]), columns.rows.name(int(accesses.row[access]))
    sentence = (
        f"A read {row} at seq {accesses.seq[access]}, written by token {accesses.writer[access]}, but no such state was"
        f" ever committed. A is {attempt(columns, reader)}."
    )
    tokens = (int(columns.attempts.token[reader]),) if reader >= 0 else ()
    return Witness(anomaly="aborted-read", sentence=sentence, attempts=tokens, row=row)


def _write_witness(columns: Columns, place: int) -> Witness:
    effects, row = columns.effects, row_of(columns, place)
    sentence = (
        f"A changed {row} at seq {effects.seq[place]} from {values(columns, place)[0]}, but that is not what the"
        f" commit of seq {effects.seq[place - 1]} left. A is {attempt(columns, int(effects.attempt[place]))}."
    )
    return Witness(anomaly="dirty-write", sentence=sentence, attempts=(int(effects.token[place]),), row=row)
