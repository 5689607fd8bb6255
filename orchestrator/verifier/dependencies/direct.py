"""What needs no graph: versions installed twice or never, reads of what never was, lost updates, session guarantees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.history.transactions import ABORTED, NO_VERSION
from orchestrator.verifier.dependencies.anomalies import GUARANTEES
from orchestrator.verifier.dependencies.compiled import run
from orchestrator.verifier.dependencies.kernels import direct as passes
from orchestrator.verifier.dependencies.kernels.layout import KEPT, NOBODY, SEVERAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.history.transactions import Int64s, Transactions
    from orchestrator.verifier.dependencies.versions import Versions


@dataclass(frozen=True, kw_only=True)
class Case:
    """One finding: who proves it, with which micro-operations, and the story with T1, T2 … for the transactions."""

    anomaly: str
    transactions: tuple[int, ...]
    row: int
    sentence: str
    #: Micro-operations that show it; all of the transactions' on the row where empty.
    operations: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Direct:
    """Counts of what was found, and the first few cases of each."""

    counts: dict[str, int]
    cases: tuple[Case, ...]
    #: Committed reads of which the version is known.
    reads: int


def direct(versions: Versions) -> Direct:
    """All checks that need neither graph nor sessions; what the format's reader checked is left to it."""
    history = versions.history
    tally = _tally(4)
    stamp, state = (np.full(len(versions.top), -1, dtype=np.int32) for _ in range(2))
    reads = run(passes.local, history.size, versions.ops, versions.slots, stamp, state, tally)
    findings = [
        ("internal", *_told(versions, tally, passes.INTERNAL, _internal)),
        ("future-read", *_told(versions, tally, passes.FUTURE, _future)),
        ("G1b", *_told(versions, tally, passes.INTERMEDIATE_READ, _intermediate)),
        ("duplicate-version", *_duplicates(versions)),
        ("lost-update", *_lost_updates(versions)),
        *_never_was(versions, int(tally.counts[passes.UNWRITTEN])),
    ]
    chosen = [(name, count, cases) for name, count, cases in findings if count and name not in history.checked]
    return Direct(
        counts={name: count for name, count, _ in chosen},
        cases=tuple(case for _, _, cases in chosen for case in cases),
        reads=reads,
    )


def guarantees(versions: Versions) -> Direct:
    """The session guarantees; each violation is a cycle with a session edge, so a certified history needs no look."""
    history, rows = versions.history, len(versions.top)
    some = np.flatnonzero(
        versions.ops.committed[history.txn] & (history.session >= 0)[history.txn] & (history.version >= 0)
    )
    order = some[np.argsort(history.row[some], kind="stable")]
    bounds = np.searchsorted(history.row[order], np.arange(rows + 1))
    tally, sessions = _tally(len(GUARANTEES)), int(history.session.max()) + 1
    of = passes.Sessions(history.session, *np.full((6, sessions), -1, dtype=np.int32))
    run(passes.guarantees, len(order), order, bounds, versions.ops, versions.slots, of, tally)
    counts, cases = {}, []
    for guarantee, name in enumerate(GUARANTEES):
        count, told = _told(versions, tally, guarantee, partial(_violation, order=order, guarantee=guarantee))
        if count:
            counts[f"{name}-violation"] = count
            cases += told
    return Direct(counts=counts, cases=tuple(cases), reads=0)


def _tally(kinds: int) -> passes.Tally:
    return passes.Tally(np.zeros(kinds, dtype=np.int64), np.zeros((kinds, KEPT), dtype=np.int64))


def _told(
    versions: Versions, tally: passes.Tally, kind: int, tell: Callable[[Versions, int], Case]
) -> tuple[int, list[Case]]:
    count = int(tally.counts[kind])
    return count, [tell(versions, i) for i in tally.examples[kind, : min(count, KEPT)].tolist()]


def _internal(versions: Versions, i: int) -> Case:
    history, (t, row, version, label) = versions.history, _at(versions, i)
    before = _earlier(versions, i)
    did = "wrote" if history.write[before] else "read"
    sentence = (
        f"T1 {did} {label} at {in_words(history, row, int(history.version[before]))}, and then read it at {version}."
    )
    return Case(anomaly="internal", transactions=(t,), row=row, sentence=sentence, operations=(before, i))


def _future(versions: Versions, i: int) -> Case:
    history, (t, row, version, label) = versions.history, _at(versions, i)
    own = np.arange(i, versions.ops.first[t + 1])
    write = int(own[history.write[own] & (history.row[own] == row) & (history.version[own] == history.version[i])][0])
    sentence = f"T1 read {label} at {version}, which it wrote itself, but only later."
    return Case(anomaly="future-read", transactions=(t,), row=row, sentence=sentence, operations=(i, write))


def _intermediate(versions: Versions, i: int) -> Case:
    history, (t, row, version, label) = versions.history, _at(versions, i)
    author = int(versions.slots.writer[versions.slots.base[row] + history.version[i]])
    writes = _writes(versions, author, row)
    sentence = f"T1 read {label} at {version}, which T2 wrote, but not as its last word: T2 wrote {label} again."
    return Case(anomaly="G1b", transactions=(t, author), row=row, sentence=sentence, operations=(i, *writes))


def _duplicates(versions: Versions) -> tuple[int, list[Case]]:
    history = versions.history
    cases = []
    if versions.duplicates:
        writes = np.flatnonzero(history.write & versions.ops.committed[history.txn] & (history.version > 0))
        slots = versions.slots.base[history.row[writes]] + history.version[writes]
        for slot in np.flatnonzero(versions.slots.writer == SEVERAL)[:KEPT]:
            both = writes[slots == slot]
            authors = list(dict.fromkeys(history.txn[both].tolist()))[:2]
            shown = tuple(int(both[history.txn[both] == author][0]) for author in authors)
            _, row, version, label = _at(versions, shown[0])
            sentence = f"T1 and T2 both installed {version} of {label}: each overwrote the one before."
            cases.append(
                Case(
                    anomaly="duplicate-version",
                    transactions=tuple(authors),
                    row=row,
                    sentence=sentence,
                    operations=shown,
                )
            )
    return versions.duplicates, cases


def _lost_updates(versions: Versions) -> tuple[int, list[Case]]:
    history, rows = versions.history, len(versions.top)
    first = np.full(len(versions.slots.writer), NOBODY, dtype=np.int32)
    reader, seen = np.full(rows, -1, dtype=np.int32), np.full(rows, -1, dtype=np.int32)
    examples = np.zeros((KEPT, 4), dtype=np.int64)
    count = run(passes.overwritten, history.size, versions.ops, versions.slots.base, first, reader, seen, examples)
    cases = []
    for one, other, write, version in examples[: min(count, KEPT)].tolist():
        _, row, _, label = _at(versions, write)
        sentence = (
            f"T1 and T2 both read {label} at {in_words(history, row, version)}, and both overwrote it: whichever wrote"
            " first, its update is lost."
        )
        cases.append(Case(anomaly="lost-update", transactions=(one, other), row=row, sentence=sentence))
    return count, cases


def _never_was(versions: Versions, unwritten: int) -> list[tuple[str, int, list[Case]]]:
    """Reads of versions, and versions below installed ones, that no committed transaction wrote."""
    holes = _holes(versions)
    if not unwritten and not len(holes):
        return []
    history = versions.history
    readable = np.flatnonzero(~history.write & versions.ops.committed[history.txn] & (history.version > 0))
    slots = versions.slots.base[history.row[readable]] + history.version[readable]
    lost = versions.slots.writer[slots] == NOBODY
    reads, read_slots = readable[lost], slots[lost]
    writes = np.flatnonzero(history.write & (history.version > 0) & ~versions.ops.committed[history.txn])
    written = versions.slots.base[history.row[writes]] + history.version[writes]
    by_aborted = history.status[history.txn[writes]] == ABORTED
    aborted, open_ = np.unique(written[by_aborted]), np.unique(written[~by_aborted])
    vague = _vague(versions)
    clear = ~vague[history.row[reads]]
    reads, read_slots = reads[clear], read_slots[clear]
    holes = holes[~vague[_row_of(versions, holes)]]
    tell: tuple[tuple[str, Int64s, Int64s, bool, Callable[..., Case]], ...] = (
        ("G1a", reads, read_slots, True, _aborted_read),
        ("garbage-read", reads, read_slots, False, _garbage),
        ("dirty-update", holes, holes, True, _dirty_update),
        ("version-gap", holes, holes, False, _gap),
    )
    result = []
    for name, places, slots_, wants_aborted, story in tell:
        chosen = places[(np.isin(slots_, aborted) == wants_aborted) & ~np.isin(slots_, open_)]
        cases = [story(versions, place, writes, written) for place in chosen[:KEPT].tolist()]
        result.append((name, len(chosen), cases))
    return result


def _holes(versions: Versions) -> Int64s:
    """Slots below an installed version that have no committed writer."""
    if not len(versions.slots.following):
        return np.zeros(0, dtype=np.int64)
    there = np.flatnonzero(versions.slots.writer != NOBODY)
    last = versions.slots.base[:-1].copy()
    np.maximum.at(last, _row_of(versions, there), there)
    empty = np.flatnonzero(versions.slots.writer == NOBODY)
    rows = _row_of(versions, empty)
    holes: Int64s = empty[(empty > versions.slots.base[rows]) & (empty < last[rows])]
    return holes


def _vague(versions: Versions) -> np.typing.NDArray[np.bool_]:
    """Rows on which somebody wrote a version that isn't known: nobody can tell what is missing there."""
    history = versions.history
    vague = np.zeros(len(versions.top), dtype=np.bool_)
    writes = history.write & (history.version == NO_VERSION) & (history.status != ABORTED)[history.txn]
    vague[history.row[writes]] = True
    return vague


def _aborted_read(versions: Versions, i: int, writes: Int64s, written: Int64s) -> Case:
    history, (t, row, version, label) = versions.history, _at(versions, i)
    write = int(writes[written == versions.slots.base[row] + history.version[i]][0])
    sentence = f"T1 read {label} at {version}, which T2 wrote; but T2 was aborted."
    return Case(
        anomaly="G1a", transactions=(t, int(history.txn[write])), row=row, sentence=sentence, operations=(i, write)
    )


def _garbage(versions: Versions, i: int, *_: Int64s) -> Case:
    t, row, version, label = _at(versions, i)
    sentence = f"T1 read {label} at {version}, which nobody wrote."
    return Case(anomaly="garbage-read", transactions=(t,), row=row, sentence=sentence, operations=(i,))


def _dirty_update(versions: Versions, slot: int, writes: Int64s, written: Int64s) -> Case:
    history, row = versions.history, int(_row_of(versions, np.array([slot]))[0])
    aborted = int(writes[written == slot][0])
    after = _installer(versions, slot)
    label, version = history.names.row(row), in_words(history, row, slot - int(versions.slots.base[row]))
    sentence = f"T1 installed {version} of {label} and was aborted; but T2 overwrote it and committed."
    transactions = (int(history.txn[aborted]), int(history.txn[after]))
    return Case(
        anomaly="dirty-update", transactions=transactions, row=row, sentence=sentence, operations=(aborted, after)
    )


def _gap(versions: Versions, slot: int, *_: Int64s) -> Case:
    history, row = versions.history, int(_row_of(versions, np.array([slot]))[0])
    after = _installer(versions, slot)
    version, label = _at(versions, after)[2:]
    missing = slot - int(versions.slots.base[row])
    sentence = f"T1 installed {version} of {label}, but nobody installed {in_words(history, row, missing)}."
    return Case(
        anomaly="version-gap", transactions=(int(history.txn[after]),), row=row, sentence=sentence, operations=(after,)
    )


def _violation(versions: Versions, i: int, *, order: Int64s, guarantee: int) -> Case:
    """The session's transaction that had seen or written more."""
    history, (t, row, version, label) = versions.history, _at(versions, i)
    wants_write = guarantee % 2 == 1
    earlier = order[(history.row[order] == row) & (history.txn[order] < t)]
    earlier = earlier[(history.session[history.txn[earlier]] == history.session[t])]
    author = versions.slots.writer[versions.slots.base[row] + history.version[earlier]]
    earlier = earlier[
        (history.write[earlier] == wants_write) & (history.version[earlier] > history.version[i]) & (author >= 0)
    ]
    before = int(earlier[-1])
    did, now = ("wrote" if wants_write else "read"), ("wrote" if history.write[i] else "read")
    known = in_words(history, row, int(history.version[before]))
    sentence = f"T1 {did} {label} at {known}; later in the same session T2 {now} it at {version}, which is older."
    return Case(
        anomaly=f"{GUARANTEES[guarantee]}-violation",
        transactions=(int(history.txn[before]), t),
        row=row,
        sentence=sentence,
        operations=(before, i),
    )


def _at(versions: Versions, i: int) -> tuple[int, int, str, str]:
    """Transaction, row, version in words and row in words of a micro-operation."""
    history, row = versions.history, int(versions.history.row[i])
    return int(history.txn[i]), row, in_words(history, row, int(history.version[i])), history.names.row(row)


def in_words(history: Transactions, row: int, version: int) -> str:
    """A version in words: "version 5 (credits 95)"."""
    word = getattr(history.names, "unit", "version")
    text = history.names.version(row, version) if version > 0 else "the initial state"
    return f"{word} {version} ({text})" if text else f"{word} {version}"


def _earlier(versions: Versions, i: int) -> int:
    """The micro-operation of the same transaction and row before this one."""
    history = versions.history
    own = np.arange(versions.ops.first[history.txn[i]], i)
    return int(own[history.row[own] == history.row[i]][-1])


def _writes(versions: Versions, t: int, row: int) -> tuple[int, ...]:
    history = versions.history
    own = np.arange(versions.ops.first[t], versions.ops.first[t + 1])
    return tuple(own[history.write[own] & (history.row[own] == row)].tolist())


def _row_of(versions: Versions, slots: Int64s) -> Int64s:
    rows: Int64s = np.searchsorted(versions.slots.base, slots, side="right") - 1
    return rows


def _installer(versions: Versions, slot: int) -> int:
    """The write that installed the first version after a slot."""
    history, row = versions.history, int(_row_of(versions, np.array([slot]))[0])
    writes = np.flatnonzero(history.write & versions.ops.committed[history.txn] & (history.row == row))
    later = writes[history.version[writes] > slot - versions.slots.base[row]]
    return int(later[np.argmin(history.version[later])])


VIOLATIONS: Final = tuple(f"{name}-violation" for name in GUARANTEES)
