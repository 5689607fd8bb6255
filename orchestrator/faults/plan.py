"""Reads fault plans: `name[:target...][:key=value...]`, entries divided by commas."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.faults import KNOWN
from orchestrator.faults.durations import seconds
from orchestrator.faults.failpoints import failpoints
from orchestrator.faults.model import Planned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.faults.model import Kind

__all__ = ("failpoints", "parse")

#: Keys that every fault takes which strikes at a time.
_COMMON: Final = ("at", "every", "for", "count")
#: Pause between two strikes at least, seconds.
_SHORTEST: Final = 0.001
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")


def parse(entries: Iterable[str], known: Mapping[str, Kind] = KNOWN) -> tuple[Planned, ...]:
    """Read a plan's entries, each checked as far as it can be before anything is started; raises UsageError."""
    return tuple(_entry(text.strip(), known) for entry in entries for text in entry.split(","))


def _entry(text: str, known: Mapping[str, Kind]) -> Planned:
    if not text:
        raise UsageError(
            "An entry of the fault plan is empty: write name[:target...][:key=value...], divided by commas."
        )
    name, *parts = text.split(":")
    kind = known.get(name)
    if kind is None:
        raise UsageError(f"Fault «{text}»: there is no fault {name!r}; {_suggestion(name, known)}")
    targets = tuple(part for part in parts if "=" not in part)
    _check_targets(text, name, kind, targets)
    options = _options(text, parts)
    _check_keys(text, name, kind, options)
    planned = _timed(text, name, targets, options)
    if kind.check is not None:
        kind.check(planned)
    return planned


def _suggestion(name: str, known: Mapping[str, Kind]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"the faults are {', '.join(sorted(known))}."


def _check_targets(text: str, name: str, kind: Kind, targets: tuple[str, ...]) -> None:
    if not all(targets):
        raise UsageError(f"Fault «{text}»: there is nothing between two colons, or after the last one.")
    if targets and not kind.targets:
        raise UsageError(f"Fault «{text}»: {name} takes no target; leave {targets[0]!r} away.")
    if not targets and kind.targets and not kind.targets.startswith("["):
        raise UsageError(f"Fault «{text}»: {name} must be told where: write {name}:{kind.targets}")


def _options(text: str, parts: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, _, value in (part.partition("=") for part in parts if "=" in part):
        if not key or not value:
            raise UsageError(f"Fault «{text}»: write {key or 'key'}={value or 'value'}, with something on both sides.")
        if key in options:
            raise UsageError(f"Fault «{text}»: {key} is given twice.")
        options[key] = value
    return options


def _check_keys(text: str, name: str, kind: Kind, options: Mapping[str, str]) -> None:
    common = _COMMON if kind.build is not None else ()
    takes = sorted({*common, *kind.options})
    for key in options:
        if key in takes:
            continue
        close = difflib.get_close_matches(key, takes, n=1)
        hint = f"did you mean {close[0]}?" if close else f"it takes {', '.join(takes) or 'none'}."
        raise UsageError(f"Fault «{text}»: {name} has no option {key!r}; {hint}")
    if "for" in options and kind.default_duration is None:
        raise UsageError(f"Fault «{text}»: {name} leaves nothing behind that could be healed; leave for= away.")


def _timed(text: str, name: str, targets: tuple[str, ...], options: dict[str, str]) -> Planned:
    times = {key: seconds(options[key], key, text) for key in ("at", "every", "for") if key in options}
    if times.get("every", _SHORTEST) < _SHORTEST:
        raise UsageError(f"Fault «{text}»: every={options['every']} would strike without a pause; write 1ms or longer.")
    return Planned(
        name=name,
        targets=targets,
        at=times.get("at", 1.0),
        every=times.get("every"),
        duration=times.get("for"),
        count=_count(text, options),
        options={key: value for key, value in options.items() if key not in _COMMON},
        text=text,
    )


def _count(text: str, options: Mapping[str, str]) -> int | None:
    given = options.get("count")
    if given is None:
        return None
    if not _COUNT.fullmatch(given):
        raise UsageError(f"Fault «{text}»: count={given} is no whole number from 1.")
    if int(given) > 1 and "every" not in options:
        raise UsageError(f"Fault «{text}»: count={given} needs a pause between the strikes; add every=.")
    return int(given)
