"""The live view of a search: one line on stderr that changes, and only where that is a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from orchestrator.explorer.search import Enough
from orchestrator.reports import exploration

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO

    from orchestrator.interrupt import Interrupt

#: Seconds between two changes of the line.
_PACE: Final = 0.1


def line(policy: str, schedules: int, outcomes: int, seconds: float) -> str:
    """Write what the view shows."""
    rate = schedules / seconds if seconds > 0 else 0.0
    endings = "1 distinct outcome" if outcomes == 1 else f"{outcomes:,} distinct outcomes"
    return f"{policy}: {exploration.schedules(schedules)}, {rate:,.0f}/s, {endings}, {seconds:.0f} s"


class LiveSearch:
    """Hears how far a search is, and shows it; silent where the stream is no terminal, and ends it when interrupted."""

    def __init__(self, stream: TextIO, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._shown = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:  # stdout leads through it, also where the terminal is none any more
            self._live.stop()

    def tell(self, policy: str, schedules: int, outcomes: int, seconds: float) -> None:
        """Show how far the search is, some times a second; raises Enough once an interrupt has come."""
        if self._interrupt.asked.is_set():
            raise Enough("interrupted")
        if self._console.is_terminal and seconds - self._shown >= _PACE:
            self._shown = seconds
            text = line(policy, schedules, outcomes, seconds)
            self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)
