"""Files of text, plain or gzip, read line by line; a fault names the file and the line."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from orchestrator.history.files import HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What a gzip file begins with; its name says nothing certain.
GZIP_MAGIC: Final = b"\x1f\x8b"

#: What some editors write before the first character of UTF-8.
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

#: Characters of a foreign word that a fault quotes at most.
_QUOTED: Final = 60


class MalformedError(HistoryError):
    """A file isn't in the form that it should have; the message names the file, the line and the fault."""

    def __init__(self, path: Path, line: int, fault: str) -> None:
        super().__init__(path, fault)
        #: Counted from 1; 0 where the fault belongs to no line.
        self.line = line
        self.fault = fault

    def __str__(self) -> str:
        place = f", line {self.line}" if self.line else ""
        return f"{self.path}{place}: {self.fault}"


def quoted(value: object) -> str:
    """What a file said, fit for one short sentence: as JSON has it, never longer than a few words, and on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[: _QUOTED + 1])
    return f'"{text}"' if len(text) <= _QUOTED else f'"{text[: _QUOTED - 1]}…"'


def is_packed(path: Path) -> bool:
    """Whether a file is gzip, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, unpacked if they are gzip; MalformedError where the file can't be opened or read."""
    try:
        packed = is_packed(path)
        with path.open("rb") as file:
            yield io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=file))) if packed else file
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedError(path, 0, _fault(error)) from error


def numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every line that isn't blank with its number from 1, without the bytes that end it."""
    number = 0
    try:
        with opened(path) as file:
            for line in file:
                number += 1
                content = (line if number > 1 else line.removeprefix(BYTE_ORDER_MARK)).strip()
                if content:
                    yield number, content
    except MalformedError as error:
        if error.line or not number:
            raise
        raise MalformedError(path, number + 1, error.fault) from error


def text(path: Path, line: int, content: bytes) -> str:
    """A line's characters; MalformedError where it isn't UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MalformedError(path, line, f"byte 0x{content[error.start]:02x} isn't UTF-8") from error


def _fault(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the gzip data is cut off"
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return "the gzip data is damaged"
    reason = error.strerror if isinstance(error, OSError) else None
    return f"can't be read ({reason or type(error).__name__})"
