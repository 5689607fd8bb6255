"""Dependencies: the committed writers could have run one after another (Adya 1999, PL-3).

Judged is what was read and written.  That writers also keep the order of their sessions and of time, and what only
those see who write nothing, is reported and not judged, unless a level is asked for that promises it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from orchestrator.verifier import levels
from orchestrator.verifier.arrays import NONE
from orchestrator.verifier.verdict import Check, Value, Witness
from orchestrator.verifier.words import SHOWN, attempt, counted, row_of, shown, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.verifier.arrays import Ints
    from orchestrator.verifier.columns import Columns
    from orchestrator.verifier.facts import Facts

NAME: Final = "dependencies"

#: What the data is consistent by.
_MODEL: Final = "serializable"


def serializable_writers(facts: Facts, level: str | None = None) -> Check:
    """No cycle among committed writers, no version installed twice; and nothing that an asked level prohibits."""
    writers, everyone, complete = facts.writers, facts.dependencies, facts.complete
    found = levels.prohibited(writers, _MODEL, complete=complete)
    beyond = levels.prohibited(everyone, level, complete=complete) if level else {}
    beyond = {name: count for name, count in beyond.items() if name not in found}
    twins = _installed_twice(facts.columns)
    undecided = [*levels.undecided(writers, _MODEL), *(levels.undecided(everyone, level) if level else ())]
    count = sum(found.values()) + sum(beyond.values()) + len(twins)
    witnesses = (
        *levels.witnesses(writers, found),
        *levels.witnesses(everyone, beyond),
        *shown(twins, lambda place: _twins(facts.columns, place)),
    )
    decided = complete and not undecided
    return Check(
        name=NAME,
        value=Value.INVALID if count else Value.VALID if decided else Value.UNKNOWN,
        summary="; ".join(_said(facts, level, found, beyond, twins)),
        found=count,
        witnesses=witnesses[:SHOWN],
    )


def _said(facts: Facts, level: str | None, found: dict[str, int], beyond: dict[str, int], twins: Ints) -> Iterator[str]:
    """What was looked at, what was found, and what was not held against anybody."""
    writers, everyone = facts.writers, facts.dependencies
    yield f"{counted(writers.transactions, 'committed writer')}: {writers.certificate}"
    if unknown := _unknown_reads(facts):
        yield f"{counted(unknown, 'writer')} with reads unknown"
    if found:
        yield f"not {_MODEL}: {levels.listed(writers, found)}"
    if len(twins):
        yield f"{counted(len(twins), 'version')} installed twice (duplicate-version)"
    if beyond:
        yield f"not {level}: {levels.listed(everyone, beyond)}"
    if reported := [name for name in writers.anomalies if name not in {*found, *beyond}]:
        yield f"reported, not judged: {levels.listed(writers, reported)}"
    if others := [name for name in everyone.anomalies if name not in {*writers.anomalies, *beyond}]:
        yield f"seen by reads alone, not judged: {levels.listed(everyone, others)}"
    yield from writers.gave_up
    if not facts.complete:
        yield "not everything was gathered"


def _unknown_reads(facts: Facts) -> int:
    """Writers of which nobody knows what they read."""
    tokens: Ints = facts.columns.effects.token[facts.reads.unknown]
    return len(np.unique(tokens))


def _installed_twice(columns: Columns) -> Ints:
    """The later of two effects by which different attempts installed one version of a row: a broken compare-and-set.

    `version` is what bodies compare, seq what the trigger counts: effects of one seq are the judgement's.
    """
    effects = columns.effects
    order = np.lexsort((effects.seq, effects.version_after, effects.row))
    order = order[effects.version_after[order] != NONE]
    row, version, token, seq = (
        each[order] for each in (effects.row, effects.version_after, effects.token, effects.seq)
    )
    same = (np.diff(row) == 0) & (np.diff(version) == 0)
    again = np.flatnonzero(same & (np.diff(token) != 0) & (np.diff(seq) != 0)) + 1
    _, first = np.unique(np.column_stack([row[again], version[again]]), axis=0, return_index=True)
    twice: Ints = order[again[np.sort(first)]]
    return twice


def _twins(columns: Columns, place: int) -> Witness:
    effects, row = columns.effects, row_of(columns, place)
    version = int(effects.version_after[place])
    same = (effects.row == effects.row[place]) & (effects.version_after == version)
    other = int(np.flatnonzero(same & (effects.token != effects.token[place]) & (effects.seq < effects.seq[place]))[-1])
    stories = []
    for name, at in zip("AB", (other, place), strict=True):
        before, after = values(columns, at)
        stories.append(f"{name} at seq {effects.seq[at]} ({before} -> {after})")
    one, two = (attempt(columns, int(effects.attempt[at])) for at in (other, place))
    sentence = (
        f"{' and '.join(stories)} both installed version {version} of {row}: each compared it with what it had read,"
        f" and neither was refused. A is {one}; B is {two}."
    )
    owners = tuple(int(columns.operations.number[at]) for at in effects.operation[[other, place]] if at >= 0)
    tokens = (int(effects.token[other]), int(effects.token[place]))
    return Witness(anomaly="duplicate-version", sentence=sentence, attempts=tokens, operations=owners, row=row)
