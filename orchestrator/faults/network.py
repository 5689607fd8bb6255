"""Faults of the network between a run's parts, which leads through a proxy where a plan is to strike it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator.errors import ServiceError, UsageError
from orchestrator.faults.choosing import number, word
from orchestrator.faults.durations import seconds
from orchestrator.faults.links import Carried, expanded
from orchestrator.faults.model import Kind, Planned, Struck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.faults.links import Trap
    from orchestrator.faults.model import Reach

__all__ = ("FAULTS", "Links", "links_needed")

_LINK: Final = re.compile(r"(?P<party>\*|orchestrator|node[1-9][0-9]{0,3})-(?P<service>db|broker)")
_RATE: Final = re.compile(r"([0-9]{1,9})([kmKM]?)")
_UNITS: Final = {"": 1, "k": 1_000, "m": 1_000_000}
_WAYS: Final = ("both", "to", "from")
_WORDS: Final = {"both": "both ways", "to": "to the service", "from": "from the service"}
_TARGETS: Final = "LINK[:LINK...]"

#: How long a strike waits for a trap to spring, and for how long the trap stays set then, until the striker asks again.
_WAIT: Final = 0.3
_LINGER: Final = 0.35


def links_needed(planned: Iterable[Planned], nodes: Iterable[str]) -> set[str]:
    """Name the links that a plan strikes, "*" resolved; raises UsageError for a node that there isn't."""
    known = tuple(nodes)
    found: set[str] = set()
    for each in planned:
        if each.name in FAULTS:
            links = expanded(each.targets, known)
            _check_nodes(each, links, known)
            found |= links
    return found


class Links(Carried):
    """The links of a run."""

    def strike(self, kind: str, a: str, b: str, options: Mapping[str, str]) -> Callable[[], None]:
        """Disturb the link of a party and a service; calling the answer heals it."""
        text = ":".join((kind, f"{a}-{b}", *(f"{name}={value}" for name, value in options.items())))
        planned = Planned(name=kind, targets=(f"{a}-{b}",), options=dict(options), text=text)
        _check(planned)
        self.check(planned.targets)
        struck = _STRIKES[kind](_Aim(self, planned.targets, _READ[kind](planned)))
        if struck is None:
            raise ServiceError(f"Fault «{text}» met nothing.")
        return struck.heal or _nothing


class _Aim:
    """What a fault is to disturb, and how."""

    def __init__(self, links: Carried, names: Sequence[str], options: Mapping[str, Any]) -> None:
        self.links, self.names, self.options = links, tuple(names), options
        self.where = ", ".join(self.names)
        #: A trap that was laid and has not sprung yet.
        self.trap: Trap | None = None


class _Disturbing(msgspec.Struct, frozen=True):
    """A fault of some links."""

    kind: str
    aim: _Aim

    def strike(self) -> Struck | None:
        """Disturb them, all at once."""
        return _STRIKES[self.kind](self.aim)


def _build(planned: Planned, reach: Reach) -> _Disturbing:
    nodes: Sequence[str] = ()
    if any(not each.startswith("orchestrator-") for each in planned.targets):
        nodes = reach.nodes.names()  # an external fleet refuses here: its links are not ours
        _check_nodes(planned, expanded(planned.targets, nodes), nodes)
    if not isinstance(reach.network, Links):
        raise ServiceError(f"Fault «{planned.text}» needs the proxies that a run sets up for its plan.")
    names = sorted(expanded(planned.targets, nodes))
    reach.network.check(names)
    return _Disturbing(planned.name, _Aim(reach.network, names, _READ[planned.name](planned)))


def _check_nodes(planned: Planned, links: Iterable[str], nodes: Sequence[str]) -> None:
    for link in sorted(links):
        party = link.rpartition("-")[0]
        if party != "orchestrator" and party not in nodes:
            there = f"from node1 to {nodes[-1]}" if len(nodes) > 1 else "only node1"
            raise UsageError(f"Fault «{planned.text}»: there is no {party}, {there}.")


def _check(planned: Planned) -> dict[str, Any]:
    """Check what can be checked before anything is started, and give the options as they are read."""
    for link in planned.targets:
        if _LINK.fullmatch(link) is None:
            raise UsageError(
                f"Fault «{planned.text}»: {link} is no link; write node1-db, node1-broker, orchestrator-db, "
                "orchestrator-broker, or *-db and *-broker for all nodes."
            )
    return _READ[planned.name](planned)


def _latency(planned: Planned) -> dict[str, Any]:
    delay, jitter = (
        seconds(planned.options.get(name, usual), name, planned.text)
        for name, usual in (("delay", "50ms"), ("jitter", "0s"))
    )
    if jitter > delay:
        raise UsageError(f"Fault «{planned.text}»: jitter is more than delay, and nothing arrives before it is sent.")
    return {"delay": delay, "jitter": jitter, "way": word(planned, "way", _WAYS)}


def _bandwidth(planned: Planned) -> dict[str, Any]:
    given = planned.options.get("rate", "64k")
    found = _RATE.fullmatch(given)
    rate = int(found[1]) * _UNITS[found[2].lower()] if found else 0
    if rate <= 0:
        raise UsageError(
            f"Fault «{planned.text}»: rate={given} is no bandwidth; write bytes a second, as in 500, 64k or 2m."
        )
    return {"rate": rate, "way": word(planned, "way", _WAYS)}


def _partition(planned: Planned) -> dict[str, Any]:
    return {"way": word(planned, "way", _WAYS)}


def _half_open(planned: Planned) -> dict[str, Any]:
    return {"side": word(planned, "side", ("server", "client"))}


def _reset(planned: Planned) -> dict[str, Any]:
    """At once, or in the midst of what passes."""
    after = number(planned, "after")
    if after is None and ("way" in planned.options or "match" in planned.options):
        raise UsageError(f"Fault «{planned.text}»: way and match need after=, how many bytes pass before the reset.")
    return {"after": after, "match": planned.options.get("match", ""), "way": word(planned, "way", ("to", "from"))}


def _reset_answer(planned: Planned) -> dict[str, Any]:
    return {"match": planned.options.get("match", "")}


#: How each fault's options are read.
_READ: Final[Mapping[str, Callable[[Planned], dict[str, Any]]]] = {
    "latency": _latency,
    "bandwidth": _bandwidth,
    "partition": _partition,
    "half-open": _half_open,
    "reset": _reset,
    "reset-answer": _reset_answer,
}


def _strike_latency(aim: _Aim) -> Struck:
    delay, jitter, way = (aim.options[name] for name in ("delay", "jitter", "way"))
    heal = aim.links.disturb(aim.names, way, delay=delay, jitter=jitter)
    spread = f", give or take {jitter * 1000:g} ms" if jitter else ""
    return Struck(f"{aim.where}: {delay * 1000:g} ms longer {_WORDS[way]}{spread}", heal)


def _strike_bandwidth(aim: _Aim) -> Struck:
    rate, way = aim.options["rate"], aim.options["way"]
    return Struck(f"{aim.where}: {rate} bytes a second {_WORDS[way]}", aim.links.disturb(aim.names, way, rate=rate))


def _strike_partition(aim: _Aim) -> Struck:
    way = aim.options["way"]
    return Struck(f"{aim.where}: nothing passes {_WORDS[way]}", aim.links.disturb(aim.names, way, hold=True))


def _strike_half_open(aim: _Aim) -> Struck | None:
    side = aim.options["side"]
    way, other = ("from", "client") if side == "server" else ("to", "server")
    heal = aim.links.disturb(aim.names, way, hush=True)
    try:
        count = aim.links.cut(aim.names, side)
    except ServiceError:
        heal()
        raise
    if not count:
        heal()
        return None
    return Struck(f"{aim.where}: {_connections(count)} reset at the {side}, the {other} not told", heal)


def _strike_reset(aim: _Aim) -> Struck | None:
    after = aim.options["after"]
    if after is None:
        count = aim.links.reset(aim.names)
        return Struck(f"{aim.where}: {_connections(count)} reset") if count else None
    match = aim.options["match"]
    if aim.trap is None:
        aim.trap = aim.links.reset_after(aim.names, after, aim.options["way"], match.encode())
    caught = _sprung(aim)
    behind = f" from {match} on" if match else ""
    return Struck(f"{caught}: a connection reset after {after} bytes{behind}") if caught else None


def _strike_answer(aim: _Aim) -> Struck | None:
    match = aim.options["match"]
    if aim.trap is None:
        aim.trap = aim.links.swallow_next_answer(aim.names, match.encode())
    caught = _sprung(aim)
    request = f"a request with {match}" if match else "a request"
    return Struck(f"{caught}: {request} passed on, its connection reset instead of an answer") if caught else None


def _sprung(aim: _Aim) -> str | None:
    """Give a trap a moment; it stays set until the striker, which tries again, comes back."""
    caught = aim.trap.caught(_WAIT, _LINGER) if aim.trap else None
    if caught is not None:
        aim.trap = None
    return caught


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"


def _nothing() -> None:
    """Nothing is left to heal."""


_STRIKES: Final[Mapping[str, Callable[[_Aim], Struck | None]]] = {
    "latency": _strike_latency,
    "bandwidth": _strike_bandwidth,
    "partition": _strike_partition,
    "half-open": _strike_half_open,
    "reset": _strike_reset,
    "reset-answer": _strike_answer,
}


def _kind(help_: str, duration: float | None, **options: str) -> Kind:
    return Kind(
        build=_build,
        default_duration=duration,
        options=options,
        targets=_TARGETS,
        help=help_,
        check=_check,
    )


FAULTS: Final[Mapping[str, Kind]] = {
    "latency": _kind("what passes takes longer", 5.0, delay="50ms", jitter="0s", way="both"),
    "bandwidth": _kind("only so many bytes a second pass, of all connections together", 5.0, rate="64k", way="both"),
    "partition": _kind("nothing passes, without a word to anybody, until it is healed", 3.0, way="both"),
    "half-open": _kind("one side of each connection is reset, and the other is not told", 5.0, side="server"),
    "reset": _kind(
        "every connection is reset, or one after so many bytes",
        None,
        after="(all are reset at once)",
        way="to",
        match="(whatever passes)",
    ),
    "reset-answer": _kind(
        "a request is passed on, and its connection reset instead of an answer", None, match="(any request)"
    ),
}
