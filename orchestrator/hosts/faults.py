"""Faults of a run on hosts of `rowrace hosts`: real cuts between them, made by the layout's owner."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import ServiceError, UsageError
from orchestrator.faults import KNOWN
from orchestrator.faults.choosing import word
from orchestrator.faults.model import Kind, Struck
from orchestrator.hosts import wires
from orchestrator.hosts.layout import BROKER
from orchestrator.hosts.pop import InPop
from orchestrator.hosts.remote import Remote
from orchestrator.hosts.wires import How, Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from orchestrator.faults.model import Fault, Network, Planned, Reach
    from orchestrator.hosts.layout import Plug

_ARROWS: Final = {Way.BOTH: "and", Way.TO: "to", Way.FROM: "from"}


class When(StrEnum):
    """At which moment a cut is made."""

    #: Whatever is going on.
    ANY = "any"
    #: A worker has just begun to wait for a message in BRPOP.
    POP = "pop"


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """Cuts between pairs of hosts, all at once."""

    network: Network
    pairs: tuple[tuple[str, str], ...]
    how: How
    way: Way

    def strike(self) -> Struck | None:
        """Cut them."""
        options = {"how": self.how.value, "way": self.way.value}
        with ExitStack() as stack:
            for a, b in self.pairs:
                stack.callback(self.network.strike("partition", a, b, options))
            healing = stack.pop_all()  # a cut that fails heals those before it
        where = ", ".join(f"{a} {_ARROWS[self.way]} {b}" for a, b in self.pairs)
        return Struck(f"cut {where} ({self.how})", healing.close)


def pairs(planned: Planned) -> tuple[tuple[str, str], ...]:
    """Read the targets, `worker1-database`; raises UsageError."""
    found = [tuple(target.split("-")) for target in planned.targets]
    for target, names in zip(planned.targets, found, strict=True):
        if len(names) != 2 or not all(names):  # noqa: PLR2004 - a pair
            raise UsageError(f"Fault «{planned.text}»: {target} names no two hosts; write worker1-database.")
    return tuple((a, b) for a, b in found)


def check(planned: Planned) -> None:
    """Refuse what makes no sense on any layout."""
    how, way = _how(planned), _way(planned)
    found = pairs(planned)
    if _when(planned) is When.POP and (len(found) != 1 or _waiting(found[0]) is None):
        raise UsageError(f"Fault «{planned.text}»: when=pop is for one pair, of a worker host and the broker.")
    if how is How.LINK and way is not Way.BOTH:
        raise UsageError(
            f"Fault «{planned.text}»: a link is down both ways; leave way= out, or take how=silent or how=route."
        )


def check_hosts(planned: Iterable[Planned], plugs: Mapping[str, tuple[Plug, ...]]) -> None:
    """Refuse cuts between hosts that a layout will not have, before it is made."""
    for each in planned:
        if each.name in FAULTS:
            for a, b in pairs(each):
                try:
                    wires.check(plugs, a, b, _how(each), _way(each))
                except UsageError as error:
                    raise UsageError(f"Fault «{each.text}»: {error}") from None


def _how(planned: Planned) -> How:
    return word(planned, "how", tuple(How))


def _way(planned: Planned) -> Way:
    return word(planned, "way", tuple(Way))


def _when(planned: Planned) -> When:
    return word(planned, "when", tuple(When))


def _waiting(pair: tuple[str, str]) -> str | None:
    """The one of the two that waits for the broker's messages."""
    others = [name for name in pair if name != BROKER]
    return others[0] if len(others) == 1 and others[0].startswith("worker") else None


def _partition(planned: Planned, reach: Reach) -> Fault:
    if not isinstance(reach.network, Remote):
        raise ServiceError(f"Fault «{planned.text}» needs hosts that can be cut: race with `rowrace hosts`.")
    found = pairs(planned)
    cut = Partition(network=reach.network, pairs=found, how=_how(planned), way=_way(planned))
    worker = _waiting(found[0]) if _when(planned) is When.POP else None
    return cut if worker is None else InPop(cut, worker, reach.broker_url)


FAULTS: Final[Mapping[str, Kind]] = {
    "partition": Kind(
        build=_partition,
        default_duration=3.0,
        options={"how": "silent", "way": "both", "when": "any"},
        targets="HOST-HOST",
        help="cut hosts off from each other: how=silent|link|route, way=both|to|from, when=any|pop",
        privileged=True,
        check=check,
    )
}


def known(socket: Path | None) -> Mapping[str, Kind]:
    """Every fault that a plan may name; on hosts, which are asked for through the socket, partitions are real."""
    return KNOWN if socket is None else {**KNOWN, **FAULTS}
