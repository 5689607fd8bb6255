"""Histories that other systems made: which form one has, whether judging it fits into memory, and its judgement."""

from __future__ import annotations

import json
import re
import shutil
import stat
import zlib
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import UsageError
from orchestrator.history import list_append, plain
from orchestrator.history.files import META_FILE, HistoryError
from orchestrator.history.lines import BYTE_ORDER_MARK, GZIP_MAGIC, opened
from orchestrator.history.transactions import NEVER
from orchestrator.memory import available
from orchestrator.reports.judgement import lacking
from orchestrator.reports.result import Exit
from orchestrator.verifier.dependencies import LEVELS, judge
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.history.transactions import Transactions
    from orchestrator.verifier.verdict import Judgement

#: What a foreign history with times is held to where nothing else is asked for.
STRICTEST: Final = "strict-serializable"

#: Bytes that any judging takes, most of them for compiling, and those for each micro-operation.
_ANY: Final = 150_000_000
_JUDGING: Final = 64

#: Bytes that a micro-operation of the plain form takes once it is read; while it is read it takes less than both.
_READ: Final = 48

#: Bytes that reading list-append takes for each byte of text.
_LIST_APPEND: Final = 2

#: Bytes of a file that are looked at.
_HEAD: Final = 1 << 16
_SAMPLE: Final = 1 << 20

_EDN: Final = re.compile(rb"\s*(\[\s*)?(\{\s*:|#)")
_JSON: Final = re.compile(rb'\s*(\[\s*)?(?=\{\s*")')
_OPERATION: Final = re.compile(rb'\[\s*(?:"r"|"append"|:r\b|:append\b)')


class Format(StrEnum):
    """What a path may hold."""

    AUTO = "auto"
    #: A run's folder, or a group's.
    RUN = "run"
    LIST_APPEND = "list-append"
    PLAIN = "plain"


def level_of(name: str) -> str:
    """Give the consistency model that a level's name means."""
    words = "-".join(name.replace("_", " ").replace("-", " ").split())
    known = {each.lower(): model for each, model in LEVELS.items()}
    if words.lower() not in known:
        close = get_close_matches(words.lower(), known, n=1)
        hint = f"did you mean {close[0]}? All " if close else ""
        raise UsageError(f"Unknown level {name}; {hint}levels are {', '.join(sorted(LEVELS))}.")
    return known[words.lower()]


@contextmanager
def seekable(path: Path) -> Iterator[Path]:
    """Give what can be read more than once: a pipe is copied into a file, and faults still name the pipe."""
    if not path.is_fifo():
        yield path
        return
    with ExitStack() as stack:
        try:
            copy = Path(stack.enter_context(TemporaryDirectory(prefix="rowrace-"))) / path.name
            with path.open("rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
        except OSError as error:
            raise UsageError(f"{path}: can't be copied into a temporary file ({error.strerror}).") from error
        try:
            yield copy
        except UsageError as error:
            raise UsageError(str(error).replace(str(copy), str(path))) from error


def format_of(path: Path) -> Format:
    """Tell the form of what is at a path by its content, and by its name where the content leaves it open."""
    if not path.exists():
        raise UsageError(f"{path}: there is no such folder or file; give a run's folder, a group's, or a history.")
    if path.is_dir():
        return _of_folder(path)
    _is_file(path)
    try:
        with opened(path) as file:
            head = file.read(_HEAD).removeprefix(BYTE_ORDER_MARK)
    except HistoryError as error:
        raise UsageError(_sentence(error)) from error
    found = _of_content(head, path.name.lower().removesuffix(".gz"))
    if found is None:
        raise UsageError(
            f"{path}: is neither list-append nor the plain form, as far as its beginning shows; say which by --format."
        )
    return found


def read(path: Path, format_: Format, *, ordered: bool = False) -> Transactions:
    """Read a foreign history, if there is memory enough to judge it; whatever is wrong with it is one sentence."""
    if not path.exists():
        raise UsageError(f"{path}: there is no such folder or file.")
    _is_file(path)
    reader = list_append.read if format_ is Format.LIST_APPEND else partial(plain.read, ordered=ordered)
    try:
        _fits(path, format_)
        return reader(path)
    except HistoryError as error:
        raise UsageError(_sentence(error)) from error
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror or type(error).__name__}).") from error


def judged(path: Path, format_: Format, level: str | None = None, *, ordered: bool = False) -> Judgement:
    """Read a foreign history and hold it to a level; if `ordered`, versions of the plain form are an order alone.

    Without a level it is held to the strictest that can be looked at: to strict serializability where there are times.
    A level that needs times or sessions is UNKNOWN at best where there are none.
    """
    asked = level_of(level) if level else None
    try:
        history = read(path, format_, ordered=ordered)
        model = asked or strictest(history)
        judgement = judge(history, model, max(0, available() - _JUDGING * history.size))
    except MemoryError as error:
        raise UsageError(f"{path}: there is not enough memory to judge it; do it where there is more.") from error
    if judgement.value is Value.VALID and lacking(judgement):
        return msgspec.structs.replace(judgement, value=Value.UNKNOWN)
    return judgement


def strictest(history: Transactions) -> str:
    """Give the strictest model for which the orders that it speaks of were recorded."""
    if "realtime" not in history.not_checked and (history.complete < NEVER).any():
        return LEVELS[STRICTEST]
    if "process" not in history.not_checked and (history.session >= 0).any():
        return "strong-session-serializable"
    return "serializable"


def exit_code(judgement: Judgement) -> Exit:
    """Say VALID, INVALID or UNKNOWN as an exit code."""
    return {Value.VALID: Exit.AS_EXPECTED, Value.INVALID: Exit.NOT_AS_EXPECTED, Value.UNKNOWN: Exit.UNKNOWN}[
        judgement.value
    ]


def needed(path: Path, format_: Format) -> int:
    """Estimate the bytes of memory that reading and judging a history takes, from sizes alone."""
    if path.is_dir():
        return _ANY + (_READ + _JUDGING) * max(_rows(path / plain.OPERATIONS), _rows(path / plain.TRANSACTIONS))
    if _is_parquet(path):
        return _ANY + (_READ + _JUDGING) * _rows(path)
    with path.open("rb") as file:
        packed = file.read(_SAMPLE)
    sample, size = packed, path.stat().st_size
    if packed.startswith(GZIP_MAGIC):
        sample = _unpacked(packed)
        size = size * len(sample) // max(len(packed), 1)
    if format_ is Format.LIST_APPEND:
        # Each transaction stands there twice, as it was invoked and as it completed.
        operations = len(_OPERATION.findall(sample)) * size // max(len(sample), 1) // 2
        return _ANY + _LIST_APPEND * size + _JUDGING * operations
    values = size if b"value" in sample.partition(b"\n")[0] else 0
    return _ANY + values + (_READ + _JUDGING) * sample.count(b"\n") * size // max(len(sample), 1)


def _fits(path: Path, format_: Format) -> None:
    """Refuse what would end for want of memory, before any of it is read."""
    wanted, there = needed(path, format_), available()
    if wanted > there:
        raise UsageError(
            f"{path}: judging it takes about {_amount(wanted)} of memory, and {_amount(there)} are available;"
            " judge it where there is more."
        )


def _sentence(error: HistoryError) -> str:
    """A fault with its full stop, unless it ends by asking what was meant."""
    return str(error) if str(error).endswith("?") else f"{error}."


def _is_file(path: Path) -> None:
    """Refuse what can be read once only, or never ends."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError(f"{path}: is neither a file nor a folder; write the history into a file.")


def _amount(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"


def _of_folder(path: Path) -> Format:
    if (path / META_FILE).is_file() or any(path.glob(f"*/{META_FILE}")):
        return Format.RUN
    if (path / plain.TRANSACTIONS).is_file():
        return Format.PLAIN
    raise UsageError(
        f"{path}: holds no history: no {META_FILE} in it or one folder below, and no {plain.TRANSACTIONS}."
    )


def _of_content(head: bytes, name: str) -> Format | None:
    if head.startswith(plain.PARQUET_MAGIC):
        return Format.PLAIN
    if _EDN.match(head) or name.endswith(".edn"):
        return Format.LIST_APPEND
    json_ = _JSON.match(head)
    if json_:
        keys = _keys(head[json_.end() :].decode(errors="replace"))
        is_event = {"type", "value"} <= keys
        if "txn" in keys and not (json_[1] and is_event):
            return Format.PLAIN
        return Format.LIST_APPEND if is_event else None
    line = head.lstrip().split(b"\n", 1)[0].decode(errors="replace")
    return Format.PLAIN if plain.is_csv(line) or name.endswith((".csv", ".tsv", ".parquet")) else None


def _keys(text: str) -> set[str]:
    """Find the keys of the first object; of one that is cut off, those that look like keys."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError:
        return set(re.findall(r'"(\w+)"\s*:', text.split("\n", 1)[0]))
    return set(found)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(plain.PARQUET_MAGIC)) == plain.PARQUET_MAGIC


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0  # the reader says what is wrong with it


def _unpacked(packed: bytes) -> bytes:
    """Unpack the beginning of a gzip file; what is damaged is told by the reader."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(packed)
    except zlib.error:
        return b""
