"""The smallest history that still shows an anomaly: a few micro-operations, judged again to make sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from orchestrator.history.transactions import ABORTED, COMMITTED, NEVER, UNKNOWN, Transactions
from orchestrator.verifier.dependencies.direct import VIOLATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.verifier.dependencies.versions import Versions

_OUTCOMES: Final = {COMMITTED: "ok", ABORTED: "fail", UNKNOWN: "info"}

#: A history that is not smaller than this is no evidence that people look at.
_MOST: Final = 200
#: Micro-operations up to which each is tried to be left out.
_REDUCED: Final = 24

#: Anomalies of a form of history in which reads have more than a version.
_NOT_PLAIN: Final = frozenset(("incompatible-order", "duplicate-elements", "duplicate-effect"))


@dataclass(frozen=True)
class _Labels:
    """Names of a few transactions and rows of a larger history."""

    rows: tuple[str, ...]

    def transaction(self, number: int) -> str:
        """T1, T2 and so on."""
        return f"T{number + 1}"

    def details(self, number: int) -> dict[str, Any]:  # noqa: ARG002 - nothing else is known
        """Nothing."""
        return {}

    def row(self, number: int) -> str:
        """As in the larger history."""
        return self.rows[number]

    def version(self, row: int, version: int) -> str:  # noqa: ARG002 - numbers are renewed
        """Nothing."""
        return ""


def lines(
    versions: Versions, anomaly: str, members: Sequence[int], operations: Sequence[int], row: int = -1
) -> tuple[dict[str, Any], ...]:
    """Lines of the plain form, T1, T2 … in the witness's order; empty where that form can't show the anomaly."""
    if anomaly in _NOT_PLAIN:
        return ()
    for choose in (_given, _on_row, _everywhere, _with_others):
        chosen = choose(versions, members, operations, row)
        if 0 < len(chosen) <= _MOST and _shows(versions, anomaly, members, chosen):
            small, everyone = _cut(versions, anomaly, list(members), _reduced(versions, anomaly, members, chosen))
            return _written(small, _labels(everyone, members))
    return ()


def _shows(versions: Versions, anomaly: str, members: Sequence[int], chosen: list[int]) -> bool:
    """Do these micro-operations alone show the anomaly."""
    return anomaly in _shown(_cut(versions, anomaly, list(members), chosen)[0])


def _reduced(versions: Versions, anomaly: str, members: Sequence[int], chosen: list[int]) -> list[int]:
    """Without every micro-operation that isn't needed; each is left out once, so that this takes as many judgements."""
    if len(chosen) > _REDUCED:
        return chosen
    for i in reversed(chosen):
        fewer = [each for each in chosen if each != i]
        if fewer and _shows(versions, anomaly, members, fewer):
            chosen = fewer
    return chosen


def _shown(history: Transactions) -> set[str]:
    from orchestrator.verifier.dependencies.judging import look  # noqa: PLC0415 - judging tells witnesses by this module

    return set(look(history).counts)


def _given(versions: Versions, members: Sequence[int], operations: Sequence[int], row: int) -> list[int]:  # noqa: ARG001 - as the others
    """What shows the anomaly at first sight."""
    return list(operations)


def _on_row(versions: Versions, members: Sequence[int], operations: Sequence[int], row: int) -> list[int]:
    """What the transactions did on the row."""
    return [i for i in _everywhere(versions, members, operations, row) if versions.history.row[i] == row]


def _everywhere(versions: Versions, members: Sequence[int], operations: Sequence[int], row: int) -> list[int]:  # noqa: ARG001 - as the others
    """All that the transactions did."""
    first = versions.ops.first
    return [i for member in members for i in range(int(first[member]), int(first[member + 1]))]


def _with_others(versions: Versions, members: Sequence[int], operations: Sequence[int], row: int) -> list[int]:
    """All that they did, and whoever wrote the rows in between: with those left out, an edge can be of another kind."""
    history = versions.history
    own = _everywhere(versions, members, operations, row)
    written = np.flatnonzero(
        history.write & versions.ops.committed[history.txn] & np.isin(history.row, history.row[own])
    )
    return sorted({*own, *written.tolist()})


def _cut(versions: Versions, anomaly: str, members: list[int], chosen: list[int]) -> tuple[Transactions, list[int]]:
    """These transactions with these micro-operations, versions counted anew; whoever wrote what is read comes along."""
    history = versions.history
    if anomaly not in ("version-gap", "garbage-read"):
        chosen = chosen + _authors(versions, members, chosen)
    everyone = list(dict.fromkeys([*members, *(int(history.txn[i]) for i in chosen)]))
    # A session's transactions are numbered in its order, whatever the witness's.
    everyone.sort()
    place = {number: at for at, number in enumerate(everyone)}
    chosen = sorted(set(chosen))
    rows = list(dict.fromkeys(int(history.row[i]) for i in chosen))
    version = _renumbered(versions, chosen, anomaly)
    ordered = anomaly.endswith(("-process", "-realtime")) or anomaly in VIOLATIONS
    timed = anomaly.endswith("-realtime")
    small = Transactions(
        # An unknown one that was seen may have nobody here who saw it.
        status=np.where(versions.ops.committed, np.int8(COMMITTED), history.status)[everyone],
        session=history.session[everyone] if ordered else np.full(len(everyone), -1, dtype=np.int32),
        invoke=history.invoke[everyone] if timed else np.zeros(len(everyone), dtype=np.int64),
        complete=history.complete[everyone] if timed else np.full(len(everyone), NEVER, dtype=np.int64),
        txn=np.array([place[int(history.txn[i])] for i in chosen], dtype=np.int32),
        row=np.array([rows.index(int(history.row[i])) for i in chosen], dtype=np.int32),
        write=history.write[chosen],
        version=np.array(version, dtype=np.int32),
        names=_Labels(tuple(history.names.row(row) for row in rows)),
        not_checked={} if timed else {"realtime": "not needed to show it"},
    )
    return small, everyone


def _authors(versions: Versions, members: list[int], chosen: list[int]) -> list[int]:
    """Writes that must come along: of read versions that are not their row's lowest here, and that outsiders wrote."""
    history = versions.history
    lowest: dict[int, int] = {}
    for i in chosen:
        if history.version[i] >= 0:
            row = int(history.row[i])
            lowest[row] = min(lowest.get(row, 2**31), int(history.version[i]))
    found = []
    for i in chosen:
        row, version = int(history.row[i]), int(history.version[i])
        author = int(versions.slots.writer[versions.slots.base[row] + version]) if version > 0 else -1
        if not history.write[i] and version > lowest.get(row, version) and author >= 0 and author not in members:
            own = range(int(versions.ops.first[author]), int(versions.ops.first[author + 1]))
            found += [
                at for at in own if history.write[at] and history.row[at] == row and history.version[at] == version
            ]
    return found


def _renumbered(versions: Versions, chosen: list[int], anomaly: str) -> list[int]:
    """Versions of each row as 0, 1, 2 …; a row's lowest is 0 where nobody here wrote it."""
    history = versions.history
    if anomaly == "version-gap":
        return [int(history.version[i]) for i in chosen]
    ranks: dict[int, dict[int, int]] = {}
    for row in {int(history.row[i]) for i in chosen}:
        here = [i for i in chosen if history.row[i] == row and history.version[i] >= 0]
        distinct = sorted({int(history.version[i]) for i in here})
        written = {int(history.version[i]) for i in here if history.write[i]}
        initial = bool(distinct) and (distinct[0] == 0 or (distinct[0] not in written and anomaly != "garbage-read"))
        start = 0 if initial else 1
        ranks[row] = {version: rank for rank, version in enumerate(distinct, start=start)}
    return [ranks[int(history.row[i])].get(int(history.version[i]), -1) for i in chosen]


def _written(small: Transactions, labels: list[str]) -> tuple[dict[str, Any], ...]:
    """The plain form, a line a micro-operation."""
    result = []
    for t, label in enumerate(labels):
        about = {"txn": label, **_about(small, t)}
        own = [_operation(small, at) for at in np.flatnonzero(small.txn == t).tolist()]
        # One that did nothing but come before or after others has a line all the same.
        result += [{**about, **each} for each in own or [{"op": None, "key": None, "version": None}]]
    return tuple(result)


def _about(small: Transactions, t: int) -> dict[str, Any]:
    """Session, outcome and times of a transaction, as far as they are needed."""
    about: dict[str, Any] = {"session": int(small.session[t])} if small.session[t] >= 0 else {}
    about["outcome"] = _OUTCOMES[int(small.status[t])]
    if "realtime" not in small.not_checked:
        about["start"] = int(small.invoke[t]) if small.invoke[t] > -NEVER else None
        about["end"] = int(small.complete[t]) if small.complete[t] < NEVER else None
    return about


def _operation(small: Transactions, at: int) -> dict[str, Any]:
    version = int(small.version[at])
    line = {"op": "w" if small.write[at] else "r", "key": small.names.row(int(small.row[at]))}
    return {**line, "version": version if version >= 0 else None}


def _labels(everyone: list[int], members: Sequence[int]) -> list[str]:
    """The witness's names for its own transactions, W1, W2 … for writers that came along."""
    others = [number for number in everyone if number not in members]
    return [
        f"T{members.index(number) + 1}" if number in members else f"W{others.index(number) + 1}" for number in everyone
    ]
