"""Listings as text: columns where there is room, else one column with the worker's name in front."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.explorer.listing import Line, Listing

    Paint = Callable[[str, str], str]

#: More workers than these, or less room than this, and there is one column.
_COLUMNS: Final = 3
_NARROW: Final = 72
#: The least by which a column stands to the right of the one before.
_STAGGER: Final = 14
#: No line is clipped to less.
_LEAST: Final = 24
_GAP: Final = "  "
_CONDITION: Final = " WHERE "
#: What stays of a statement before its condition.
_HEAD: Final = 12
_NOTE: Final = "Values are filled in for reading; the statements were sent without them."

_RESET, _BOLD, _DIM, _RED = "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m"
#: Each worker's colour, in turn.
_COLOURS: Final = ("\x1b[36m", "\x1b[35m", "\x1b[33m", "\x1b[32m", "\x1b[34m")
#: Marks whose answer is shown in red.
_ALARMS: Final = frozenset({"blocked", "error", "crash", "ending"})


def render(listing: Listing, width: int = 100, *, colour: bool = False) -> str:
    """Write a listing in lines of at most `width` columns."""
    paint = _paint if colour else _leave
    columns = len(listing.names) <= _COLUMNS and width >= _NARROW
    lines = _side_by_side(listing, width, paint) if columns else _below_each_other(listing, max(width, _LEAST), paint)
    for name, sentence, _ in listing.told:
        title = f"{name[:1].upper()}{name[1:]}:"
        wrapped = textwrap.wrap(f"{title} {sentence}", max(width, _LEAST), subsequent_indent=_GAP)
        lines.append(wrapped[0].replace(title, paint(title, _BOLD + _RED), 1))
        lines += wrapped[1:]
    if listing.filled:
        lines += [paint(line, _DIM) for line in textwrap.wrap(_NOTE, max(width, _LEAST))]
    return "\n".join(line.rstrip() for line in lines)


# columns


def _side_by_side(listing: Listing, width: int, paint: Paint) -> list[str]:
    """Give every worker a column; a line may run on to the right, where nobody else stands in it."""
    gutter = max(len(str(len(listing.lines))), 4)
    heads = [_head(listing, worker) for worker in range(len(listing.names))]
    needed = [
        max([size(heads[worker]), *(size(_whole(line)) for line in listing.lines if line.worker == worker)])
        for worker in range(len(heads))
    ]
    starts = _starts(needed, gutter + len(_GAP), width)
    lines = [_heading(heads, starts, gutter, width, paint)]
    for line in listing.lines:
        start = starts[line.worker]
        left = f"{line.step or '':>{gutter}}" + _lanes(line, starts, gutter, start)
        lines.append(paint(left, _DIM) + _said(line, width - start, paint))
    return lines


def _starts(needed: Sequence[int], first: int, width: int) -> list[int]:
    """Place the columns: apart where all fit beside each other, else overlapping so that each line fits."""
    latest: list[int] = []
    for worker in reversed(range(len(needed))):
        latest.insert(0, min([width - needed[worker], *(start - _STAGGER for start in latest[:1])]))
    starts = [first]
    for worker in range(1, len(needed)):
        beside = starts[-1] + needed[worker - 1] + len(_GAP)
        starts.append(min(max(starts[-1] + _STAGGER, min(beside, latest[worker])), width - _LEAST))
    return starts


def _heading(heads: Sequence[str], starts: Sequence[int], gutter: int, width: int, paint: Paint) -> str:
    line = paint(f"{'step':>{gutter}}", _DIM)
    at = gutter
    for worker, (head, start) in enumerate(zip(heads, starts, strict=True)):
        room = (starts[worker + 1] - len(_GAP) if worker + 1 < len(starts) else width) - start
        text = clip(head, room)
        line += " " * (start - at) + paint(text, _BOLD + _worker_colour(worker))
        at = start + size(text)
    return line


def _lanes(line: Line, starts: Sequence[int], gutter: int, start: int) -> str:
    """Draw the open transactions of the workers to the left."""
    places = [" "] * (start - gutter)
    for worker in line.open:
        if starts[worker] < start:
            places[starts[worker] - gutter] = "│"
    return "".join(places)


# one column


def _below_each_other(listing: Listing, width: int, paint: Paint) -> list[str]:
    gutter = max(len(str(len(listing.lines))), 2)
    widest = min(max(map(size, listing.names), default=1), max(width // 4, 1))
    lines = [
        clip(f"{'':>{gutter}}{_GAP}{_head(listing, worker)}", width)
        for worker in range(len(listing.names))
        if listing.titles
    ]
    room = width - gutter - widest - 2 * len(_GAP)
    for line in listing.lines:
        name = clip(listing.names[line.worker], widest)
        left = paint(f"{line.step or '':>{gutter}}{_GAP}", _DIM)
        padded = name + " " * (widest - size(name)) + _GAP
        lines.append(left + paint(padded, _BOLD + _worker_colour(line.worker)) + _said(line, room, paint))
    return lines


# what both need


def _head(listing: Listing, worker: int) -> str:
    title = listing.titles[worker] if worker < len(listing.titles) else ""
    return f"{listing.names[worker]}{': ' if title else ''}{title}"


def _whole(line: Line) -> str:
    return f"{line.text}{_GAP if line.answer else ''}{line.answer}"


def _said(line: Line, room: int, paint: Paint) -> str:
    """Write a line's text and answer; where both do not fit, the statement gives way."""
    answer = clip(line.answer, max(room // 2, room - size(line.text) - len(_GAP))) if line.answer else ""
    text = _clip_statement(line.text, room - (size(answer) + len(_GAP) if answer else 0))
    own = _RED if line.mark in {"crash", "ending"} else _worker_colour(line.worker)
    shown = paint(text, own)
    return f"{shown}{_GAP}{paint(answer, _RED if line.mark in _ALARMS else _DIM)}" if answer else shown


def _clip_statement(text: str, room: int) -> str:
    """Cut a statement that is too long, rather before its condition than in it: that says which row it is about."""
    start = text.rfind(_CONDITION)
    condition = text[start:]
    if start < 0 or size(text) <= room or size(condition) > room - _HEAD:
        return clip(text, room)
    return clip(text[:start], room - size(condition)) + condition


def size(text: str) -> int:
    """Count the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF") for each in text)


def clip(text: str, room: int) -> str:
    """Cut a text that is too long, and show that it was."""
    if size(text) <= room:
        return text
    kept = ""
    for each in text:
        if size(kept) + size(each) > room - 1:
            break
        kept += each
    return f"{kept}…" if room > 0 else ""


def _worker_colour(worker: int) -> str:
    return _COLOURS[worker % len(_COLOURS)]


def _paint(text: str, code: str) -> str:
    return f"{code}{text}{_RESET}" if text.strip() else text


def _leave(text: str, code: str) -> str:  # noqa: ARG001 - stands in for _paint
    return text
