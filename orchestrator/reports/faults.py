"""What a fault plan may name, as data and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.faults import KNOWN
from worker.mistakes import Mistake

if TYPE_CHECKING:
    from typing import TextIO

    from orchestrator.faults.model import Kind

_HEADERS: Final = ("fault", "targets", "options", "for", "what it does")


def as_json() -> dict[str, Any]:
    """Build the object that `--json` prints."""
    return {
        "faults": [
            {
                "name": name,
                "targets": kind.targets,
                "options": sorted(kind.options),
                "default_for_s": kind.default_duration,
                "timed": kind.build is not None,
                "help": kind.help,
            }
            for name, kind in sorted(KNOWN.items())
        ],
        "mistakes": sorted(Mistake),
    }


def render(stream: TextIO) -> None:
    """Write the table of faults, then the mistakes."""
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = 160
    built = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in _HEADERS:
        built.add_column(header, overflow="fold")
    for name, kind in sorted(KNOWN.items()):
        options = ", ".join(sorted(kind.options))
        built.add_row(name, Text(kind.targets or "-"), options or "-", _duration(kind), kind.help)
    console.print(built)
    console.print("A plan: name[:target...][:key=value...], divided by commas; at, every, for and count say when.")
    console.print(f"Mistakes: {', '.join(sorted(Mistake))}.", soft_wrap=True)


def _duration(kind: Kind) -> str:
    return "-" if kind.default_duration is None else f"{kind.default_duration:g} s"
