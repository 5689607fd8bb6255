"""The proxy's process: `python -m orchestrator.proxy`, told by JSON lines on stdin, answering on stdout.

It ends when its stdin does.  A request is `{"id": 1, "do": "open", ...}`, its answer `{"id": 1, ...}`, with `error`
where it failed; an answer whose id is null tells of a failure that no request has caused.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, Final

from orchestrator.proxy.link import Link, Target
from orchestrator.proxy.trap import Trap
from orchestrator.proxy.way import Disturbance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Details = dict[str, Any]


class Control:
    """Does what the owner says."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._links: dict[str, Link] = {}
        self._traps: dict[int, Trap] = {}
        self._numbers = itertools.count(1)
        self._rest = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: Final[dict[str, Callable[..., Details]]] = {
            "open": self._open,
            "disturb": self._disturb,
            "heal": self._heal,
            "reset": self._reset,
            "cut": self._cut,
            "trap": self._trap,
            "look": self._look,
        }

    def hear(self) -> None:
        """Take what has come on stdin."""
        said = os.read(0, 65_536)
        if not said:
            self.ended.set()
            return
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            task = asyncio.get_running_loop().create_task(self._do(json.loads(line)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def fail(self, _: asyncio.AbstractEventLoop, context: Details) -> None:
        """Tell the owner of a failure in the midst of things."""
        self._say({"id": None, "error": repr(context.get("exception") or context.get("message"))})

    async def _do(self, request: Details) -> None:
        number, name = request.pop("id"), request.pop("do")
        try:
            answer = await self._await(**request) if name == "await" else self._commands[name](**request)
        except Exception as error:  # noqa: BLE001 - the owner is told of whatever goes wrong
            answer = {"error": repr(error)}
        self._say({"id": number, **answer})

    def _say(self, answer: Details) -> None:
        try:
            os.write(1, json.dumps(answer).encode() + b"\n")
        except OSError:
            self.ended.set()

    def _open(self, link: str, host: str, port: int) -> Details:
        self._links[link] = Link(link, Target(host, port))
        return {"port": self._links[link].port}

    def _disturb(self, number: int, links: Iterable[str], ways: list[str], **how: float | bool) -> Details:
        disturbance = Disturbance(**how)  # type: ignore[arg-type]  # named by the owner
        for link in links:
            self._links[link].disturb(number, ways, disturbance)
        return {}

    def _heal(self, number: int) -> Details:
        for link in self._links.values():
            link.heal(number)
        return {}

    def _reset(self, links: Iterable[str]) -> Details:
        struck = [connection for link in links for connection in self._links[link].connections]
        for connection in struck:
            connection.abort()
        return {"count": len(struck)}

    def _cut(self, links: Iterable[str], side: str) -> Details:
        struck = [connection for link in links for connection in self._links[link].connections]
        for connection in struck:
            connection.cut("client" if side == "client" else "server")
        return {"count": len(struck)}

    def _trap(self, links: Iterable[str], way: str, match: str, after: int | None) -> Details:
        number, trap = next(self._numbers), Trap("to" if way == "to" else "from", match.encode("latin-1"), after)
        self._traps[number] = trap
        for link in links:
            self._links[link].traps.append(trap)
        return {"number": number}

    async def _await(self, number: int, wait: float, linger: float) -> Details:
        """Arm a trap; one that has sprung is told of once, and gone."""
        caught = await self._traps[number].wait(wait, linger)
        if caught is not None:
            trap = self._traps.pop(number)
            for link in self._links.values():
                link.traps = [each for each in link.traps if each is not trap]
        return {"caught": caught}

    def _look(self) -> Details:
        return {"links": {name: link.look() for name, link in self._links.items()}}


async def main() -> None:
    """Serve until stdin ends."""
    control, loop = Control(), asyncio.get_running_loop()
    loop.set_exception_handler(control.fail)
    loop.add_reader(0, control.hear)
    await control.ended.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner decides when it is over
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    asyncio.run(main())
