"""How a run has hosts cut: it asks the layout's owner, through a socket in the file system.

A connection is a cut: one line asks for it, one line answers, and it is healed when the connection ends, so that
nothing stays cut when the run dies.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import OrchestratorError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.hosts.wires import Wires

#: How long a cut or a healing may take, seconds.
_PATIENCE: Final = 30.0


class Remote:
    """The run's end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def strike(self, kind: str, a: str, b: str, options: Mapping[str, str]) -> Callable[[], None]:
        """Cut two hosts off from each other; calling the answer heals it."""
        link = socket.socket(socket.AF_UNIX)
        try:
            link.settimeout(_PATIENCE)
            link.connect(str(self._path))
            _ask(link, {"kind": kind, "a": a, "b": b, **options})
        except BaseException:
            link.close()
            raise

        def heal() -> None:
            with link:
                _ask(link, {"kind": "heal"})

        return heal


def _ask(link: socket.socket, said: dict[str, str]) -> None:
    """Say a line, and wait until it is done; raises ServiceError where it can't be."""
    try:
        link.sendall(json.dumps(said).encode() + b"\n")
        with link.makefile("rb") as answers:
            answer: dict[str, Any] = json.loads(answers.readline() or b'{"failed": "it has ended"}')
    except OSError as error:
        answer = {"failed": error.strerror or "it gave no answer"}
    if "failed" in answer:
        raise ServiceError(f"The hosts' owner did not do it: {answer['failed']}")


@contextlib.contextmanager
def serving(wires: Wires, path: Path) -> Iterator[None]:
    """Cut on the runs' behalf for a block; what is cut by then is healed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    threads: list[threading.Thread] = []
    links: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):  # it is shut down at the end
            while True:
                link, _ = listener.accept()
                links.append(link)
                threads.append(threading.Thread(target=_serve, args=(link, wires), name="cut", daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, name="cuts", daemon=True)
    accepting.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def _serve(link: socket.socket, wires: Wires) -> None:
    heal: Callable[[], None] = _nothing
    with link, link.makefile("rb") as lines, contextlib.suppress(OSError):
        try:
            for line in lines:
                said: dict[str, str] = json.loads(line)
                answer: dict[str, str] = {}
                try:
                    if said["kind"] == "heal":
                        heal()
                        heal = _nothing
                    else:
                        heal = wires.cut(said["a"], said["b"], said["how"], said["way"])
                except OrchestratorError as error:
                    answer = {"failed": str(error)}
                link.sendall(json.dumps(answer).encode() + b"\n")
        finally:
            with contextlib.suppress(OrchestratorError):  # the hosts are going down, or `ip` has refused
                heal()


def _nothing() -> None:
    """Heal nothing."""
