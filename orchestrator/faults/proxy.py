"""The proxy as its owner sees it: a process that is told what to do, and ends with its owner."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import orchestrator
from orchestrator.errors import ServiceError
from orchestrator.services.process import Birth

#: How long an answer may take beside what it waits for, and how long the process may take to end, seconds.
_ANSWER: Final = 15.0
_END: Final = 5.0


class Proxy:
    """Asks one thing at a time; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._rest = b""
        # Without site-packages, and our folder found from anywhere: it starts in some 0.1 s.  Its own session keeps
        # the terminal's Ctrl-C away; it ends when its stdin does, that is with us, however we end.
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-S", "-m", "orchestrator.proxy"],
            bufsize=0,
            env={"PYTHONPATH": str(Path(orchestrator.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        birth = Birth.of(self._child.pid)
        if birth is None:
            raise ServiceError("The network proxy ended at once.")
        self.birth: Final = birth

    def ask(self, do: str, *, patience: float = 0.0, **details: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON has it
        """Have something done and give the answer, which may take so many seconds by design; raises ServiceError."""
        with self._lock:
            self._number += 1
            line = json.dumps({"id": self._number, "do": do, **details}).encode() + b"\n"
            deadline = time.monotonic() + patience + _ANSWER
            try:
                _stream(self._child.stdin).write(line)
                answer = self._answer(deadline)
                while answer["id"] not in (self._number, None):
                    answer = self._answer(deadline)
            except (OSError, ValueError) as error:
                raise ServiceError("The network proxy has ended, and nothing passes through it any more.") from error
        if "error" in answer:
            raise ServiceError(f"The network proxy failed: {answer['error']}.")
        return answer

    def close(self) -> None:
        """End the process, and with it all that leads through it."""
        with self._lock:
            _stream(self._child.stdin).close()
            try:
                self._child.wait(_END)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            _stream(self._child.stdout).close()

    def _answer(self, deadline: float) -> dict[str, Any]:
        stdout = _stream(self._child.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ServiceError("The network proxy gives no answer.")
                read = stdout.read(65_536)
                if not read:
                    raise OSError("its stdout has ended")
                self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _stream(stream: Any) -> Any:  # noqa: ANN401 - subprocess types a pipe as something that may be missing
    if stream is None:
        raise OSError("no pipe")
    return stream
