"""Clocks that are off: a node is told by its environment how wrong its own is, from its start to its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.faults.durations import signed_seconds
from orchestrator.faults.model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.faults.model import Planned

_NAME: Final = "clock-skew"
_DRIFT: Final = re.compile(r"(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)ppm")


def environment(planned: Iterable[Planned]) -> dict[str, dict[str, str]]:
    """Give each node whose clock is off what its environment must say of it."""
    return {node: _variables(each) for each in planned if each.name == _NAME for node in each.targets}


def _variables(planned: Planned) -> dict[str, str]:
    skew = signed_seconds(planned.options.get("skew", "0s"), "skew", planned.text)
    given = planned.options.get("drift", "0ppm")
    drift = _DRIFT.fullmatch(given)
    if drift is None:
        raise UsageError(f"Fault «{planned.text}»: drift={given} is no drift; write 50ppm or -50ppm.")
    if not planned.options:
        raise UsageError(f"Fault «{planned.text}»: say how wrong the clock is: skew=200ms, drift=50ppm, or both.")
    return {"ROWRACE_CLOCK_SKEW_MS": f"{skew * 1_000:.6g}", "ROWRACE_CLOCK_DRIFT_PPM": f"{float(drift[1]):.12g}"}


FAULTS: Final[Mapping[str, Kind]] = {
    _NAME: Kind(
        build=None,
        options=frozenset({"skew", "drift"}),
        targets="node...",
        help="a node's clock is off by skew, and runs away by drift",
        check=_variables,
    ),
}
