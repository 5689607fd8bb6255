"""What a fault plan may name, as data and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from orchestrator.faults import KNOWN
from orchestrator.faults.model import WORDS
from orchestrator.misplaced import PLACES
from orchestrator.reports import entries
from worker.mistakes import Mistake

if TYPE_CHECKING:
    from typing import TextIO

    from orchestrator.faults.model import Kind

_HEADERS: Final = ("fault", "targets", "options", "for", "what it does")
_PLAN: Final = (
    "A plan: name[:target...][:key=value...], divided by commas. An option that is left out has the value above, or"
    " what stands in parentheses holds. Faults that strike at a time take at (at=1s), every (once), for (as above: how"
    " long until it is healed) and count (no end, with every) too."
)


def as_json() -> dict[str, Any]:
    """Build the object that `--json` prints."""
    return {
        "faults": [
            {
                "name": name,
                "targets": kind.targets,
                "options": sorted(kind.options),
                "defaults": dict(sorted(kind.options.items())),
                "default_for_s": kind.default_duration,
                "timed": kind.build is not None,
                "help": kind.help,
            }
            for name, kind in sorted(KNOWN.items())
        ],
        "mistakes": sorted(Mistake),
        "places": {name: PLACES[name].where for name in sorted(Mistake)},
    }


def render(stream: TextIO) -> None:
    """Write the faults, then the mistakes."""
    console = entries.console(stream)
    faults = [
        (name, kind.targets or "-", _options(kind) or "-", _duration(kind), kind.help)
        for name, kind in sorted(KNOWN.items())
    ]
    entries.render(console, _HEADERS, faults)
    console.print(Text(_PLAN))
    console.print()
    entries.render(console, ("mistake", "is made"), [(name, PLACES[name].where) for name in sorted(Mistake)])


def _options(kind: Kind) -> str:
    return "\n".join(
        f"{name} {default}" if default.startswith(WORDS) else f"{name}={default}"
        for name, default in sorted(kind.options.items())
    )


def _duration(kind: Kind) -> str:
    return "-" if kind.default_duration is None else f"{kind.default_duration:g}s"
