"""Ctrl-C and SIGTERM: noted always, raised only where nothing has been started that must be brought to an end."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """What a run knows of signals: `asked` once one came, `hurry` once a second one came."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.hurry = threading.Event()
        self._quiet = 0

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Note a signal; the first one ends the code that runs, unless that code looks for itself."""
        if self.asked.is_set():
            self.hurry.set()
            return
        self.asked.set()
        if not self._quiet:
            raise KeyboardInterrupt

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Raise nothing in this block: it looks at `asked` by itself, or must run to its end."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Take Ctrl-C and SIGTERM over for a run; outside the main thread nothing is taken over."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.signal(number, interrupt.handle) for number in _SIGNALS}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
