"""Ctrl-C, SIGTERM and SIGHUP: noted always, and raised only in blocks that are safe to leave half done."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

#: Where stdout and stderr lead.
_OUTPUTS: Final = (1, 2)

#: What ends a run in order.
_ENDING: Final = ("SIGINT", "SIGTERM", "SIGHUP")


def ending() -> tuple[signal.Signals, ...]:
    """Name the signals that end a run; SIGHUP is not among them where it is ignored, as under nohup, or unknown."""
    known = [signal.Signals[name] for name in _ENDING if name in signal.Signals.__members__]
    ignored = {each for each in known if each.name == "SIGHUP" and signal.getsignal(each) is signal.SIG_IGN}
    return tuple(each for each in known if each not in ignored)


class Interrupt:
    """What a run knows of signals: `asked` once one came, `hurry` once a second one came."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.hurry = threading.Event()
        self._raising = False
        self._terminals = [number for number in _OUTPUTS if os.isatty(number)]

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Note a signal; the first one ends a block that said it may."""
        self.let_go()
        if self.asked.is_set():
            self.hurry.set()
            return
        self.asked.set()
        if self._raising:
            raise KeyboardInterrupt

    def let_go(self) -> None:
        """Let output lead nowhere whose terminal was closed: writing to that fails, and a run is to end in order."""
        for number in self._terminals:
            if not os.isatty(number):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)

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
    """Take Ctrl-C, SIGTERM and SIGHUP over for a run; outside the main thread nothing is taken over."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.signal(number, interrupt.handle) for number in ending()}
    try:
        yield interrupt
    finally:
        interrupt.let_go()
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
