"""Faults: what a run breaks on purpose, one module per family, each fault with its healing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.faults import broker, clock, database, failpoints, network, pop, worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.faults.model import Kind

#: Every fault that a plan may name.
KNOWN: Final[Mapping[str, Kind]] = {
    **worker.FAULTS,
    **pop.FAULTS,
    **failpoints.FAULTS,
    **clock.FAULTS,
    **database.FAULTS,
    **broker.FAULTS,
    **network.FAULTS,
}
