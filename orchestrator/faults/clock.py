"""Clocks that are off: a node is told by its environment how wrong its own is, from its start to its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.faults.durations import signed_seconds
from orchestrator.faults.model import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orchestrator.faults.model import Planned

_NAME: Final = "clock-skew"
_DRIFT: Final = re.compile(r"(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)ppm")
#: What a worker takes at most, seconds and millionths.
_MOST_SKEW: Final = 86_400.0
_MOST_DRIFT: Final = 100_000.0


def environment(planned: Iterable[Planned]) -> dict[str, dict[str, str]]:
    """Give each node whose clock is off what its environment must say of it; raises UsageError where two entries do."""
    found: dict[str, dict[str, str]] = {}
    for each in planned:
        for node in dict.fromkeys(each.targets) if each.name == _NAME else ():
            if node in found:
                raise UsageError(f"Fault «{each.text}»: {node}'s clock is off already; say all of it in one entry.")
            found[node] = _variables(each)
    return found


def check_nodes(planned: Iterable[Planned], nodes: Collection[str]) -> None:
    """Refuse a clock of a node that the run doesn't spawn; raises UsageError."""
    for each in planned:
        for node in each.targets if each.name == _NAME else ():
            if node not in nodes:
                why = f"the nodes are {', '.join(nodes)}" if nodes else "external workers have clocks of their own"
                raise UsageError(f"Fault «{each.text}»: there is no {node} whose clock could be off; {why}.")


def _variables(planned: Planned) -> dict[str, str]:
    skew = signed_seconds(planned.options.get("skew", "0s"), "skew", planned.text)
    given = planned.options.get("drift", "0ppm")
    drift = _DRIFT.fullmatch(given)
    if drift is None:
        raise UsageError(f"Fault «{planned.text}»: drift={given} is no drift; write 50ppm or -50ppm.")
    if not planned.options:
        raise UsageError(f"Fault «{planned.text}»: say how wrong the clock is: skew=200ms, drift=50ppm, or both.")
    if abs(skew) > _MOST_SKEW or abs(float(drift[1])) > _MOST_DRIFT:
        raise UsageError(f"Fault «{planned.text}»: a clock may be off by 1440m and run away by 100000ppm at most.")
    return {"ROWRACE_CLOCK_SKEW_MS": f"{skew * 1_000:.12g}", "ROWRACE_CLOCK_DRIFT_PPM": f"{float(drift[1]):.12g}"}


FAULTS: Final[Mapping[str, Kind]] = {
    _NAME: Kind(
        build=None,
        options={"skew": "0s", "drift": "0ppm"},
        targets="node...",
        help="a node's clock is off by skew, and runs away by drift",
        check=_variables,
    ),
}
