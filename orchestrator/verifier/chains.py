"""Row chains: each row's effects lead from its initial to its final state without a gap."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.verifier.arrays import NONE
from orchestrator.verifier.verdict import Witness
from orchestrator.verifier.words import counted, judged, row_of, shown, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.verifier.arrays import Flags, Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts
    from orchestrator.verifier.verdict import Check

#: Texts compared at a time.
_BATCH: Final = 16_384


def row_chains(facts: Facts) -> Check:
    """Seqs count up from 1, each effect starts where the last one ended, and the last one is what the row holds."""
    columns = facts.columns
    witnesses: list[Witness] = []
    found = 0
    for flagged, anomaly, witness in _faults(columns):
        places = np.flatnonzero(flagged)
        found += len(places)
        witnesses += shown(places, partial(witness, columns, anomaly))
    ended, ends = _ends(columns)
    summary = f"{counted(len(columns.effects.row), 'effect')} on {counted(columns.rows.planned, 'row')}"
    found += ended
    summary += f"; {counted(found, 'broken link')}" if found else "; every row equals the fold of its effects"
    return judged("row chains", found, summary, (*witnesses, *ends)[:10])


def _faults(columns: Columns) -> list[tuple[Flags, str, Callable[[Columns, str, int], Witness]]]:
    effects = columns.effects
    before = previous(columns)
    first = before < 0
    expected = np.where(first, 0, effects.seq[before]) + 1 if len(before) else effects.seq
    planned = effects.row < columns.rows.planned
    version = _version_before(columns, before)
    advanced = (effects.version_after == effects.version_before + 1) | _no_version(columns)
    return [
        (~planned, "unplanned-row", _unplanned),
        (planned & (effects.seq > expected), "seq-gap", _gap),
        (planned & (effects.seq < expected), "seq-twice", _gap),
        (planned & ~continues(columns, before), "broken-chain", _broken),
        (planned & (effects.version_before != version), "broken-version", _version),
        (~advanced & ~_deleted(columns), "version-step", _version),
        (_deleted(columns), "row-deleted", _gone),
    ]


def previous(columns: Columns) -> Ints:
    """The place of the row's effect before each effect; -1 for the first."""
    rows = columns.effects.row
    result = np.arange(len(rows), dtype=np.int64) - 1
    result[1:][np.diff(rows) != 0] = NONE
    return result


def _version_before(columns: Columns, before: Ints) -> Ints:
    effects, rows = columns.effects, columns.rows
    if not len(before):
        return before
    initial = np.append(rows.initial_version, NONE)[np.where(effects.row < rows.planned, effects.row, NONE)]
    return np.where(before < 0, initial, effects.version_after[before])


def _no_version(columns: Columns) -> Flags:
    """Effects on rows that carry no version at all."""
    unversioned: Flags = (columns.effects.version_before == NONE) & (columns.effects.version_after == NONE)
    return unversioned


def _deleted(columns: Columns) -> Flags:
    gone = pc.is_null(columns.effects.after).to_numpy(zero_copy_only=False)
    return gone[columns.effects.order]  # type: ignore[no-any-return]  # pyarrow is untyped


def continues(columns: Columns, before: Ints) -> Flags:
    """Each effect's `before` is the `after` of the one before it, or the row's initial state."""
    effects, rows = columns.effects, columns.rows
    result = np.ones(len(before), dtype=np.bool_)
    for chosen, texts, places in (
        (before >= 0, effects.after, effects.order[before]),
        ((before < 0) & (effects.row < rows.planned), rows.initial, effects.row),
    ):
        members = np.flatnonzero(chosen)
        for start in range(0, len(members), _BATCH):
            some = members[start : start + _BATCH]
            result[some] = same(effects.before.take(effects.order[some]), texts.take(places[some]))
    return result


def same(left: pa.Array, right: pa.Array) -> Flags:
    """Texts that are the same JSON value: the same text, or else equal once decoded; two nulls are the same."""
    known = pc.fill_null(pc.equal(left, right), pa.scalar(value=False))
    equal: Flags = known.to_numpy(zero_copy_only=False).copy()
    for at in np.flatnonzero(~equal):
        one, other = left[at].as_py(), right[at].as_py()
        equal[at] = one is other or (None not in (one, other) and _value(one) == _value(other))
    return equal


def _value(text: str) -> object:
    return msgspec.json.decode(text)


def _ends(columns: Columns) -> tuple[int, tuple[Witness, ...]]:
    """Final rows that are not what their last effect, or with no effect their initial state, says."""
    effects, rows = columns.effects, columns.rows
    size = rows.planned
    last = np.full(size, NONE, dtype=np.int64)
    inside = np.flatnonzero(effects.row < size)
    last[effects.row[inside]] = inside  # of several, the last stays
    touched = np.flatnonzero(last >= 0)
    still = np.flatnonzero(last < 0)
    wrong = np.zeros(size, dtype=np.bool_)
    wrong[still] = ~same(rows.initial.take(still), rows.final.take(still))
    wrong[still] |= (rows.final_version != rows.initial_version)[still] | (rows.final_seq > 0)[still]
    end = last[touched]
    wrong[touched] = ~same(effects.after.take(effects.order[end]), rows.final.take(touched))
    for final, folded in (
        (rows.final_seq, effects.seq),
        (rows.final_writer, effects.token),
        (rows.final_version, effects.version_after),
    ):
        wrong[touched] |= (final[touched] != folded[end]) & (final[touched] != NONE)
    found = np.flatnonzero(wrong)
    return len(found), shown(found, lambda row: _final(columns, row, int(last[row])))


def _final(columns: Columns, row: int, last: int) -> Witness:
    rows, name = columns.rows, columns.rows.name(row)
    seq = int(columns.effects.seq[last]) if last >= 0 else 0
    folded = columns.effects.after[columns.effects.order[last]] if last >= 0 else rows.initial[row]
    sentence = (
        f"{name} should be {folded.as_py()} at seq {seq} by the fold of its effects, but the table holds"
        f" {rows.final[row].as_py() or 'no such row'} at seq {rows.final_seq[row]}, version {rows.final_version[row]}."
    )
    return Witness(anomaly="final-row", sentence=sentence, row=name)


def _witness(columns: Columns, anomaly: str, place: int, sentence: str) -> Witness:
    token = int(columns.effects.token[place])
    return Witness(anomaly=anomaly, sentence=sentence, attempts=(token,), row=row_of(columns, place))


def _unplanned(columns: Columns, anomaly: str, place: int) -> Witness:
    name = row_of(columns, place)
    return _witness(columns, anomaly, place, f"{name} was changed, but it was not among the rows at the start.")


def _gap(columns: Columns, anomaly: str, place: int) -> Witness:
    seq, before = int(columns.effects.seq[place]), previous(columns)[place]
    last = int(columns.effects.seq[before]) if before >= 0 else 0
    name = row_of(columns, place)
    return _witness(columns, anomaly, place, f"{name} has an effect with seq {seq} right after seq {last}.")


def _broken(columns: Columns, anomaly: str, place: int) -> Witness:
    seq, (before, _) = int(columns.effects.seq[place]), values(columns, place)
    name = row_of(columns, place)
    sentence = f"{name} was changed at seq {seq} from {before}, which is not the state that seq {seq - 1} left."
    return _witness(columns, anomaly, place, sentence)


def _version(columns: Columns, anomaly: str, place: int) -> Witness:
    effects, seq = columns.effects, int(columns.effects.seq[place])
    step = f"{effects.version_before[place]} to {effects.version_after[place]}"
    before = previous(columns)[place]
    last = int(_version_before(columns, previous(columns))[place]) if len(effects.row) else before
    sentence = f"{row_of(columns, place)} went from version {step} at seq {seq}, where version {last} stood."
    return _witness(columns, anomaly, place, sentence)


def _gone(columns: Columns, anomaly: str, place: int) -> Witness:
    sentence = f"{row_of(columns, place)} was deleted at seq {columns.effects.seq[place]}; no operation deletes rows."
    return _witness(columns, anomaly, place, sentence)
