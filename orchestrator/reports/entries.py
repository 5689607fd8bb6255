"""Entries with a name each: a table where there is room, else a block an entry; texts are folded, names never."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

#: Width from which on a folded text is easy to read.
_READABLE: Final = 30
#: Width where nothing says how wide it may be, as in a log: an entry a line is easiest to read and to search.
_WIDE: Final = 200
#: What a table puts around a cell.
_AROUND: Final = 3


def console(stream: TextIO) -> Console:
    """Make a console as wide as COLUMNS says, else as the terminal that we were started from, else of 200 columns."""
    made = Console(file=stream, highlight=False)
    if not _width_is_known():
        made.width = _WIDE
    return made


def _width_is_known() -> bool:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return True
    for standard in range(3):  # input, output, errors: one of them may be the terminal though another is a pipe
        with suppress(OSError):
            return os.get_terminal_size(standard).columns > 0
    return False


def render(console: Console, headers: Sequence[str], rows: Sequence[Sequence[Text | str]]) -> None:
    """Print entries under these headers; an entry's first cell is its name."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    if console.width >= _needed(headers, cells):
        console.print(_table(headers, cells))
        return
    for row in cells:
        console.print(Text(row[0].plain, style="bold"))
        console.print(_block(headers[1:], row[1:]))


def _needed(headers: Sequence[str], rows: Sequence[Sequence[Text]]) -> int:
    """Give the width of a table in which no word is broken: the widest columns are narrowed first, all alike."""
    columns = [[header, *(row[number].plain for row in rows)] for number, header in enumerate(headers)]
    level = max(_READABLE, *(len(word) for column in columns[1:] for cell in column for word in cell.split()))
    whole = [max(len(line) for cell in column for line in cell.splitlines()) for column in columns]
    return whole[0] + sum(min(each, level) for each in whole[1:]) + _AROUND * len(columns)


def _table(headers: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    built = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, header in enumerate(headers):
        built.add_column(header, overflow="fold", no_wrap=number == 0)
    for row in rows:
        built.add_row(*row)
    return built


def _block(headers: Sequence[str], row: Sequence[Text]) -> Table:
    built = Table.grid(padding=(0, 2, 0, 0))
    built.add_column(width=0)
    built.add_column(no_wrap=True, min_width=max(map(len, headers)))
    built.add_column(overflow="fold")
    for header, cell in zip(headers, row, strict=True):
        if cell.plain not in {"", "-"}:
            built.add_row("", header, cell)
    return built
