"""Links that lead through a proxy, and what can be done to them."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Self

from orchestrator.errors import ServiceError
from orchestrator.faults.proxied import target, through
from orchestrator.faults.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.services.process import Birth


def expanded(links: Iterable[str], nodes: Sequence[str]) -> set[str]:
    """Resolve "*": every node."""
    return {
        f"{party}-{service}"
        for some, _, service in (link.rpartition("-") for link in links)
        for party in (nodes if some == "*" else (some,))
    }


class Trap:
    """Resets one connection at the answer to its next request, or after so many bytes; for as long as it is asked."""

    def __init__(self, proxy: Proxy, number: int) -> None:
        self._proxy, self._number = proxy, number

    def caught(self, wait: float, linger: float = 0.0) -> str | None:
        """Set it for so long, and name the link where it springs; None: not yet, and it may be asked again."""
        caught: str | None = self._proxy.ask("await", patience=wait, number=self._number, wait=wait, linger=linger)[
            "caught"
        ]
        return caught


class Carried:
    """Links named "node1-db", "orchestrator-broker"; each has a port of its own on loopback, from beginning to end."""

    def __init__(self, needed: Iterable[str], urls: Mapping[str, str]) -> None:
        """`urls` lead to "db" and "broker" directly; raises UsageError where no proxy can."""
        self._urls = dict(urls)
        names = sorted(set(needed))
        targets = {name: target(_service(name), self._urls[_service(name)]) for name in names}
        #: Names disturbances to the proxy.
        self._numbers = itertools.count(1)
        self._proxy = Proxy()
        try:
            self._ports: dict[str, int] = {
                name: self._proxy.ask("open", link=name, host=host, port=port)["port"]
                for name, (host, port) in targets.items()
            }
        except BaseException:
            self._proxy.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the proxy, and every connection through it."""
        self._proxy.close()

    @property
    def birth(self) -> Birth:
        """The proxy's process, which leads a group of its own."""
        return self._proxy.birth

    def url(self, party: str, service: str) -> str | None:
        """Give the URL by which a party reaches a service through its link; None: there is no such link."""
        port = self._ports.get(f"{party}-{service}")
        return None if port is None else through(service, self._urls[service], port)

    def check(self, links: Sequence[str]) -> None:
        """Refuse links that don't lead through the proxy; raises ServiceError."""
        missing = sorted(set(links) - self._ports.keys())
        if missing:
            raise ServiceError(f"Link {missing[0]} does not lead through a proxy, so nothing can be done to it.")

    def disturb(self, links: Sequence[str], way: str = "both", **how: float) -> Callable[[], None]:
        """Put a disturbance in force beside others (hold, hush, delay, jitter, rate); calling the answer heals it."""
        ways = ("to", "from") if way == "both" else (way,)
        number = next(self._numbers)

        def heal() -> None:
            self._proxy.ask("heal", number=number)

        try:
            self._proxy.ask("disturb", number=number, links=links, ways=ways, **how)
        except ServiceError:
            with contextlib.suppress(ServiceError):
                heal()  # without an answer it may be carried out all the same
            raise
        return heal

    def reset(self, links: Sequence[str]) -> int:
        """Reset every connection now, on both sides; how many."""
        return int(self._proxy.ask("reset", links=links)["count"])

    def cut(self, links: Sequence[str], side: str) -> int:
        """Reset the "server" or "client" side of every connection; the other is told only if nothing hushes it."""
        return int(self._proxy.ask("cut", links=links, side=side)["count"])

    def swallow_next_answer(self, links: Sequence[str], match: bytes = b"") -> Trap:
        """Lay a trap: a request that holds these bytes is passed on, and the connection reset instead of its answer."""
        return self._trap(links, "to", match, None)

    def reset_after(self, links: Sequence[str], count: int, way: str = "to", match: bytes = b"") -> Trap:
        """Lay a trap: so many bytes pass one way, from those on that hold `match`, and the connection is reset."""
        return self._trap(links, way, match, count)

    def look(self) -> dict[str, dict[str, int]]:
        """Count, by link, the connections that lead through, and those that are still being joined."""
        found: dict[str, dict[str, int]] = self._proxy.ask("look")["links"]
        return found

    def _trap(self, links: Sequence[str], way: str, match: bytes, after: int | None) -> Trap:
        answer = self._proxy.ask("trap", links=links, way=way, match=match.decode("latin-1"), after=after)
        return Trap(self._proxy, answer["number"])


def _service(link: str) -> str:
    return link.rpartition("-")[2]
