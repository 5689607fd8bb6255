"""Recovery: how long after each fault's healing the first new commit of any node came, by name of the fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from orchestrator.verifier.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.reports.result import Row
    from orchestrator.verifier.columns import Columns


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """All strikes of one fault."""

    name: str
    strikes: int
    #: From healing (or from the strike, where nothing is to be healed) to the first effect after it; None: none came.
    median_s: float | None
    max_s: float | None
    #: Strikes after which no effect came any more.
    not_seen: int


def recovery(columns: Columns) -> tuple[Recovery, ...]:
    """Measure every fault of a history, in the order of their first strikes."""
    faults = columns.faults
    effects = np.sort(columns.effects.at_us)
    healed = np.where(faults.healed >= 0, faults.healed, faults.struck)
    following = np.searchsorted(effects, healed, side="right")
    seen = following < len(effects)
    waited = np.append(effects, 0)[np.where(seen, following, len(effects))] - healed
    names = np.array(faults.names, dtype=np.str_)
    return tuple(_of(name, waited[names == name], seen[names == name]) for name in dict.fromkeys(faults.names))


def _of(name: str, waited: np.typing.NDArray[np.int64], seen: np.typing.NDArray[np.bool_]) -> Recovery:
    times = waited[seen] / 1e6
    return Recovery(
        name=name,
        strikes=len(waited),
        median_s=round(float(np.median(times)), 6) if len(times) else None,
        max_s=round(float(times.max()), 6) if len(times) else None,
        not_seen=int(np.count_nonzero(~seen)),
    )


def lines(row: Row) -> Iterator[str]:
    """Say what was to be broken in a group, how often each fault struck, and how long recovery took."""
    where = f"{row.scenario}, {row.strategy}, {row.isolation}"
    if row.faults or row.recovery:
        planned = ", ".join(row.faults) or "none of the plan's"
        yield f"Faults ({where}): {planned}"
        yield (
            f"  Of {counted(row.attempts, 'attempt')}, {row.redelivered:,} ran a redelivered message, and"
            f" {row.info_attempts:,} ended info (outcome unknown)."
        )
    if row.faults and not row.recovery:
        yield "  none struck"
    if row.recovery:
        yield "  Recovery, from healing to the next commit of any node:"
    for each in row.recovery:
        yield f"  {each.name}: struck {_times(each.strikes)}; {_recovered(each)}"
    if row.republish or row.republished:  # resumed without it, a run may have done so before
        operations = "1 operation was" if row.republished == 1 else f"{row.republished:,} operations were"
        yield f"{operations} published again (--republish) in {where}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _recovered(each: Recovery) -> str:
    if each.median_s is None or each.max_s is None:
        return "no commit came after it"
    told = f"{each.max_s:.3f} s" if each.strikes == 1 else f"median {each.median_s:.3f} s, at most {each.max_s:.3f} s"
    return told + (f"; no commit came after {each.not_seen:,}" if each.not_seen else "")
