"""Histories whose transactions depend on each other in a circle: valid races with reads that should not have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.histories import deduct, grant, race, transfer

if TYPE_CHECKING:
    from tests.unit.histories import Draft


def read(draft: Draft, operation: int, key: int, seq: int) -> None:
    """Let the operation's attempt have read a row at a seq too, before all else."""
    writer = next((e["writer"] for e in draft.effects if (e["key"], e["seq"]) == (str(key), seq)), 0)
    first = draft.read_of(operation)
    draft.accesses.insert(draft.accesses.index(first), {**first, "key": str(key), "seq": seq, "writer": writer})


def read_skew(**meta: Any) -> Draft:  # noqa: ANN401  # a run's own settings
    """G-single: operation 1 saw half of a transfer."""
    draft = race(transfer(0, 1, 3), deduct(2, 1), grant(2, 1), **meta)
    read(draft, 1, 0, 0)
    read(draft, 1, 1, 1)
    return draft


def write_skew(**meta: Any) -> Draft:  # noqa: ANN401  # a run's own settings
    """G2-item: two operations each read what the other overwrote."""
    draft = race(deduct(0, 1), deduct(1, 1), grant(2, 1), grant(2, 1), **meta)
    read(draft, 0, 1, 0)
    read(draft, 1, 0, 0)
    return draft


def circular(**meta: Any) -> Draft:  # noqa: ANN401  # a run's own settings
    """G1c: two operations each read what the other wrote."""
    draft = race(deduct(0, 1), deduct(1, 1), grant(2, 1), grant(2, 1), **meta)
    read(draft, 0, 1, 1)
    read(draft, 1, 0, 1)
    return draft


def stale_in_session(**meta: Any) -> Draft:  # noqa: ANN401  # a run's own settings
    """G-single with session order: operation 2 did not see what its own worker had written before."""
    draft = race(deduct(0, 1), grant(2, 1), deduct(1, 1), grant(2, 1), **meta)
    read(draft, 2, 0, 0)
    return draft


def stale_in_time(**meta: Any) -> Draft:  # noqa: ANN401  # a run's own settings
    """G-single with real-time order: operation 3 did not see what another worker had written long before."""
    draft = race(deduct(0, 1), grant(2, 1), grant(2, 1), deduct(1, 1), **meta)
    read(draft, 3, 0, 0)
    return draft
