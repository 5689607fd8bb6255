"""The live view: how far a run is, on stderr, and only where that is a terminal."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO

    from orchestrator.groups import Group
    from orchestrator.progress import Counts


def line(name: str, operations: int, published: int, counts: Counts, seconds: float) -> str:
    """Write what a view shows of a group that runs."""
    rate = counts.settled / seconds if seconds > 0 else 0.0
    nodes = ", ".join(f"{node} {ended}" for node, ended in counts.nodes.items())
    return (
        f"{name}: published {published}/{operations}, settled {counts.settled}"
        f" (ok {counts.ok}, fail {counts.fail}, info {counts.info}), conflicts {counts.conflicts},"
        f" {rate:.0f} operations/s" + (f", attempts {nodes}" if nodes else "")
    )


class LiveView:
    """Watches a run and shows one line that changes; silent where the stream is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._name, self._operations = "", 0
        self._shown = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live.is_started:  # stdout leads through it, also where the terminal is none any more
            with suppress(OSError):  # that was closed, and the run goes on to its end
                self._live.stop()

    def begin(self, group: Group, operations: int) -> None:
        """Hear that a group begins."""
        self._name, self._operations, self._shown = group.name, operations, 0.0

    def progress(self, published: int, counts: Counts, seconds: float) -> None:
        """Show how far it is, some times a second."""
        if not self._console.is_terminal or seconds - self._shown < 0.1:  # noqa: PLR2004 - ten times a second
            return
        self._shown = seconds
        self._show(line(self._name, self._operations, published, counts, seconds))

    def end(self) -> None:
        """Show that the group is being verified."""
        if self._console.is_terminal:
            self._show(f"{self._name}: gathering and verifying")

    def _show(self, text: str) -> None:
        with suppress(OSError):  # as above
            self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)
