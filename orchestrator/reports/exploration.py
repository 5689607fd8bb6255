"""What an exploration found, in words: for the command and for the pytest plugin."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.explore import Failure, Found

#: What a complete search says, and no more than that.
PROVEN: Final = "proven for these bodies, rows and bounds"

_BRIEF: Final = 1.0

#: What the policy of a replay is called.
REPLAY: Final = "replay"

#: Columns, as of a listing.
_WIDTH: Final = 100

_SENTENCES: Final = re.compile(r"(?<=\.)\s+(?=[A-Z])")


def verdict(found: Found) -> str:
    """Say in one line what came out."""
    if found.found:
        return f"FOUND: {', '.join(found.anomalies)}"
    if found.policy == REPLAY:
        return "NOT FOUND: this schedule shows no anomaly."
    if found.complete:
        return f"CLEAN: no schedule shows an anomaly, {PROVEN}."
    return "NOT FOUND: no schedule of this sample shows an anomaly, which proves nothing about the others."


def extent(found: Found) -> str:
    """Say how far the search went."""
    if found.policy == REPLAY:
        return "The one schedule of the token, which did what it did before."
    went = f"{schedules(found.schedules)} in {seconds(found.seconds)}, policy {found.policy}"
    if found.complete:
        return f"Complete search: {went}; no other schedule can end differently."
    if found.found:
        return f"Search ended before it was complete: {went}."
    return f"A sample: {went}."


def exit_code(found: Found, *, accept_sample: bool = False) -> int:
    """Tell found (1), a sample without a finding (3, or 0 where that is accepted) and a complete one (0) apart."""
    if found.found:
        return 1
    return 0 if found.complete or accept_sample or found.policy == REPLAY else 3


def lines(found: Found, replay: Callable[[str], str], *, every: bool = False) -> Iterator[str]:
    """Write the whole result; `replay` makes the command that shows a token's schedule again.

    The first failure is shown with its listing; the others too with `every`, unless they share a schedule.
    """
    yield verdict(found)
    yield extent(found)
    if found.remark:
        yield f"{found.remark[:1].upper()}{found.remark[1:].rstrip('.')}."
    for number, group in enumerate(_by_schedule(found.failures)):
        yield ""
        if number == 0 or every:
            yield from _shown(group, replay, named=len(found.failures) > 1)
        else:
            yield from _mentioned(group, replay)
    if not found.failures and found.listing:  # a replay
        yield ""
        yield from found.listing.rstrip().splitlines()


def as_json(found: Found, code: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a caller adds
    """Give the result as one object for machines."""
    return {**found.as_json(), **more, "exit_code": code}


def schedules(count: int) -> str:
    """Count schedules in words."""
    return "1 schedule" if count == 1 else f"{count:,} schedules"


def seconds(spent: float) -> str:
    """Write a duration as short as it can be read."""
    return f"{spent:.1f} s" if spent >= _BRIEF else f"{spent * 1000:.0f} ms"


def _by_schedule(failures: Sequence[Failure]) -> list[list[Failure]]:
    """Put failures together that are shown by one schedule."""
    groups: dict[object, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(failure.token or id(failure), []).append(failure)
    return list(groups.values())


def _shown(group: Sequence[Failure], replay: Callable[[str], str], *, named: bool) -> Iterator[str]:
    first, *others = group
    if named:
        yield f"{first.name}, in {schedules(first.count)}:"
    if news := _beyond(first.sentence, first.listing):
        yield news
    yield from first.listing.rstrip().splitlines()
    if others:
        yield "This schedule also shows:"
        yield from _sentences(others)
    yield from _token(first, replay)


def _mentioned(group: Sequence[Failure], replay: Callable[[str], str]) -> Iterator[str]:
    yield from _sentences(group)
    yield from _token(group[0], replay)


def _sentences(failures: Sequence[Failure]) -> Iterator[str]:
    for failure in failures:
        said = f"{failure.name}, in {schedules(failure.count)}: {failure.sentence}"
        yield from wrap(said, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _token(failure: Failure, replay: Callable[[str], str]) -> Iterator[str]:
    if failure.token:
        yield f"Token: {failure.token}"
        yield f"Replay: {replay(failure.token)}"


def _beyond(text: str, listing: str) -> str:
    """Give those sentences of a text that the listing does not say."""
    said = " ".join(listing.split())
    return " ".join(each for each in _SENTENCES.split(text) if each.rstrip(".") not in said)
