"""Ctrl-C and SIGTERM: noted always, and raised only in blocks that are safe to leave half done."""

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
        self._raising = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Note a signal; the first one ends a block that said it may."""
        if self.asked.is_set():
            self.hurry.set()
            return
        self.asked.set()
        if self._raising:
            raise KeyboardInterrupt

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Let a signal end this block; what it has entered by then is left in order."""
        if self.asked.is_set():
            raise KeyboardInterrupt
        self._raising = True
        try:
            yield
        finally:
            self._raising = False


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
