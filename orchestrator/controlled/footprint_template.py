"""A text that was read once: what is left to do is to look which rows its parameters name."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestrator.controlled.footprint_commands import DATABASE
from orchestrator.controlled.footprint_rows import UNKNOWN
from orchestrator.explorer.model import EVERY, NOTHING, Footprint, Place, union

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orchestrator.controlled.footprint_commands import Reading
    from orchestrator.controlled.footprint_rows import Row
    from orchestrator.controlled.footprint_text import Pick
    from orchestrator.explorer.model import Places

#: Bindings that are kept of each text.
_KEPT: Final = 1024


class Parts(NamedTuple):
    """What the statements of a text touch, before parameters are known."""

    reads: tuple[Row, ...] = ()
    writes: tuple[Row, ...] = ()
    locks: tuple[Row, ...] = ()
    shares: tuple[Row, ...] = ()
    #: What does not depend on rows.
    fixed: Footprint = NOTHING

    @property
    def slots(self) -> tuple[int, ...]:
        """The parameters that name rows."""
        rows = (*self.reads, *self.writes, *self.locks, *self.shares)
        return tuple(sorted({slot for row in rows for slot in row.slots}))


class Template:
    """Binds parameters."""

    __slots__ = (
        "_bare",
        "_by_index",
        "_by_name",
        "_constant",
        "_known",
        "_one",
        "_parts",
        "_slots",
        "_sqlite",
        "_vague",
    )

    def __init__(self, bare: Reading, parts: Parts, picks: Sequence[Pick], *, sqlite: bool) -> None:
        """Take the reading without its footprint, and where each mark's parameter is found."""
        self._bare, self._parts, self._sqlite = bare, parts, sqlite
        self._slots = parts.slots
        used = [picks[slot] for slot in self._slots if slot < len(picks)]
        self._vague = self._reading(dict.fromkeys(self._slots, UNKNOWN))
        self._constant = self._vague if not used or len(used) < len(self._slots) else None
        self._by_index = _getter([pick.position for pick in used if pick.position >= 0], len(used))
        self._by_name = _getter([pick.name for pick in used if pick.name], len(used))
        self._one = len(used) == 1
        self._known: dict[Any, Reading] = {}

    def bind(self, parameters: Any) -> Reading:  # noqa: ANN401 - what drivers take
        """Give the reading for these parameters."""
        if self._constant is not None:
            return self._constant
        named = type(parameters) is dict or isinstance(parameters, Mapping)
        getter = self._by_name if named else self._by_index
        try:
            values = getter(parameters)  # type: ignore[misc] # None, too, is answered by the except below
        except (LookupError, TypeError):
            return self._vague
        if self._one:
            plain = type(values) is int or type(values) is str
        else:
            plain = all(type(value) is int or type(value) is str for value in values)
        if not plain:  # values of other types may be equal, yet not name the same row
            return self._reading(dict(zip(self._slots, (values,) if self._one else values, strict=True)))
        found = self._known.get(values)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            given = dict(zip(self._slots, (values,) if self._one else values, strict=True))
            found = self._known[values] = self._reading(given)
        return found

    def _reading(self, given: Mapping[int, Any]) -> Reading:
        parts = self._parts
        reads, writes, locks, shares = (_places(rows, given) for rows in parts[:4])
        if self._sqlite:
            # One that changes no row, as where a key is NULL, takes the one lock all the same.
            locks, shares = frozenset([DATABASE]) if parts.writes else frozenset(), frozenset()
        footprint = union(Footprint(reads, writes, locks, shares), parts.fixed)
        return self._bare._replace(footprint=footprint, writes=bool(footprint.writes))


def _getter(picks: Sequence[int] | Sequence[str], wanted: int) -> Callable[[Any], Any] | None:
    return itemgetter(*picks) if picks and len(picks) == wanted else None


def _places(rows: Iterable[Row], given: Mapping[int, Any]) -> Places:
    """Name the places, without those that a whole table among them holds anyway."""
    places = {place for row in rows for place in row.places(given)}
    return frozenset(place for place in places if place.key == EVERY or Place(place.table) not in places)
