"""From a group's history to its finding: verdict, figures, gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from orchestrator.history.files import HistoryError
from orchestrator.memory import available
from orchestrator.reports.figures import figures_of
from orchestrator.reports.result import Finding, Row
from orchestrator.verifier import Facts, judge, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.groups import Group
    from orchestrator.history.model import History
    from orchestrator.profile import Gates
    from orchestrator.verifier import Verdict

#: Figures that a row takes over as they are.
_COUNTS: Final = (
    *("operations", "ok", "fail", "info", "lost", "unpublished", "attempts", "conflict_rate", "give_ups", "refused"),
    *("lost_updates", "overlaps"),
)
_TIMES: Final = ("p50_ms", "p95_ms", "p99_ms", "max_ms", "operations_per_s")
_FAULTS: Final = ("faults", "recovery", "redelivered", "info_attempts", "republish", "republished")
_BLANK: Final[dict[str, Any]] = {**dict.fromkeys(_COUNTS, 0), **dict.fromkeys(_TIMES)}


def finding(group: Group, load: Callable[[], History], gates: Gates, folder: str, level: str | None = None) -> Finding:
    """Verify a history, count it, and hold it to the gates and the level; loaded here, so that nobody else keeps it."""
    verdict, counted = _looked_at(load, level)
    row = Row(
        name=group.name,
        scenario=group.scenario,
        strategy=group.strategy,
        isolation=group.isolation.value,
        **counted,
        verdict=verdict.value,
        expected=group.expected,
        run=folder,
    )
    return Finding(row=_gated(row, gates), verdict=verdict)


def _looked_at(load: Callable[[], History], level: str | None) -> tuple[Verdict, dict[str, Any]]:
    """Give verdict and figures, which share what is worked out; a history too broken to count still has a verdict."""
    try:
        facts = Facts(load(), available())
    except HistoryError:
        raise
    except Exception:  # noqa: BLE001 - `verify` meets the same, and says so in its verdict
        return verify(load(), level), _BLANK
    pa.default_memory_pool().release_unused()  # what is needed was copied out of the tables
    verdict = judge(facts, level)
    try:
        counted = figures_of(facts, verdict)
    except Exception:  # noqa: BLE001 - the check that met the same is UNKNOWN in the verdict
        return verdict, {**_BLANK, "operations": facts.columns.meta.planned}
    return verdict, {name: getattr(counted, name) for name in (*_COUNTS, *_TIMES, *_FAULTS)}


def _gated(row: Row, gates: Gates) -> Row:
    failed = tuple(_failed(gates, row))
    return row if not failed else row.failing(failed)


def _failed(gates: Gates, row: Row) -> Iterator[str]:
    """Name the gates that do not hold."""
    if gates.max_p99_ms is not None and (row.p99_ms or 0.0) > gates.max_p99_ms:
        yield f"p99 latency is {row.p99_ms:.1f} ms, at most {gates.max_p99_ms:g} is allowed"
    if gates.max_give_ups is not None and row.give_ups > gates.max_give_ups:
        yield f"{row.give_ups} operations gave up, at most {gates.max_give_ups} may"
    if gates.max_conflict_rate is not None and row.conflict_rate > gates.max_conflict_rate:
        yield f"the conflict rate is {row.conflict_rate:.1%}, at most {gates.max_conflict_rate:.1%} is allowed"
