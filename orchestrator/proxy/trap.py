"""A trap: resets one connection, at an answer or after so many bytes, when it meets what it waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from orchestrator.proxy.connection import Connection


class Trap:
    """Springs once; waits only for as long as its owner keeps asking."""

    def __init__(self, way: Literal["to", "from"], match: bytes, after: int | None) -> None:
        self.way = way
        #: Bytes that must pass first; none: any will do.
        self.match = match
        #: None: the answer is withheld; otherwise so many bytes pass yet.
        self.after = after
        #: The connection that has walked into it.
        self.holder: Connection | None = None
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._sprung: asyncio.Future[str] = self._loop.create_future()

    def armed(self) -> bool:
        """Say whether it may spring now."""
        return not self._sprung.done() and self._loop.time() < self._until

    def spring(self, link: str) -> None:
        """Tell the owner where it has sprung."""
        self._sprung.set_result(link)

    async def wait(self, wait: float, linger: float) -> str | None:
        """Name the link where it springs, or has sprung since it was last asked; it stays armed a little longer."""
        self._until = self._loop.time() + wait + linger
        done, _ = await asyncio.wait({self._sprung}, timeout=wait)
        return self._sprung.result() if done else None
