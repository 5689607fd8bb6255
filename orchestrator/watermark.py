"""The watermark of what a group has published: after a kill it says what the broker has, and what it may have."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Its file in the group's folder.
PUBLISHED_FILE: Final = "published"


class Range(NamedTuple):
    """Operations of messages that were published together."""

    first: int
    #: The one after the last.
    end: int


class Published(NamedTuple):
    """What a watermark says."""

    #: Confirmed by the broker; in order, merged where they touch.
    confirmed: tuple[Range, ...]
    #: Sent, or about to be, and never confirmed; one at most, but for batches that were given up.
    doubtful: tuple[Range, ...]
    #: Operations that were thought to be lost and published again, once for each time.
    repeated: tuple[int, ...] = ()

    def end(self) -> int:
        """Operations below this one were all begun to be published; from here on none was."""
        return max((each.end for each in (*self.confirmed, *self.doubtful)), default=0)


class _Batch(msgspec.Struct, frozen=True, tag="batch"):
    """A line of the watermark: what is published for the first time."""

    first: int
    end: int
    confirmed: bool


class _Again(msgspec.Struct, frozen=True, tag="again"):
    """A line of the watermark: what is published once more."""

    operations: list[int]


_Line = _Batch | _Again


class Watermark:
    """Notes batches as they are published; close it, or use it as a context."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._encoder = msgspec.json.Encoder()
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # a torn line must not tear the next

    def about_to(self, first: int, end: int) -> None:
        """Note a batch before it is sent; `end` is the operation after its last."""
        self._note(_Batch(first, end, confirmed=False))

    def confirmed(self, first: int, end: int) -> None:
        """Note a batch that the broker has confirmed."""
        self._note(_Batch(first, end, confirmed=True))

    def again(self, operations: list[int]) -> None:
        """Note operations before they are published once more."""
        self._note(_Again(operations))

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            os.close(self._file)

    def _note(self, line: _Line) -> None:
        os.write(self._file, self._encoder.encode(line) + b"\n")  # one call: never mixed, and hardly ever torn

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> Published:
    """Read a watermark; where there is none nothing was published, and a torn line says nothing."""
    sure: set[Range] = set()
    doubtful: set[Range] = set()
    repeated: list[int] = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    for text in lines:
        with suppress(msgspec.MsgspecError):
            line: _Line = msgspec.json.decode(text, type=_Line)
            if isinstance(line, _Again):
                repeated += line.operations
                continue
            range_ = Range(line.first, line.end)
            if line.confirmed:
                sure.add(range_)
                doubtful.discard(range_)
            elif range_ not in sure:
                doubtful.add(range_)
    return Published(_merged(sure), tuple(sorted(doubtful)), tuple(repeated))


def _merged(ranges: set[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for each in sorted(ranges):
        if merged and each.first <= merged[-1].end:
            merged[-1] = Range(merged[-1].first, max(merged[-1].end, each.end))
        else:
            merged.append(each)
    return tuple(merged)
