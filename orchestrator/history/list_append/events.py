"""Events of list-append histories, in EDN or JSON, one a line or all in one vector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec

from orchestrator.history import edn
from orchestrator.history.lines import BYTE_ORDER_MARK, MalformedError, numbered, opened, quoted, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: A key, or an element of a list.
Word: TypeAlias = int | str

INVOKE, OK, FAIL, INFO = "invoke", "ok", "fail", "info"

#: Bytes at a file's beginning that tell JSON from EDN.
_HEAD: Final = 1 << 16

#: A longer line of EDN is read in pieces, so that a whole history on one line is never held as values.
_PIECE: Final = 1 << 16

#: The types of keys and elements; a boolean is an integer to Python, but none here.
_WORDS: Final = frozenset({int, str, edn.Keyword, edn.Symbol})

_JSON: Final = re.compile(rb'\s*(\[\s*)?\{\s*"')
_BYTE: Final = re.compile(r"\(byte (\d+)\)")


class Append(msgspec.Struct, array_like=True, tag="append", forbid_unknown_fields=True, gc=False):
    """A micro-operation that appends an element to a key's list."""

    key: Word
    element: Word


class Read(msgspec.Struct, array_like=True, tag="r", forbid_unknown_fields=True, gc=False):
    """A micro-operation that reads a key's list; None where it isn't known, or where there is none."""

    key: Word
    elements: list[Word] | None


class Event(msgspec.Struct, kw_only=True, gc=False):
    """An invocation of a transaction, or its completion."""

    type: Literal["invoke", "ok", "fail", "info"]
    process: int
    value: list[Append | Read]
    f: Literal["txn"] | None = None
    #: Its place in the whole history; None where the file gives none.
    index: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Fault(ValueError):
    """What is wrong with an event."""


def events(path: Path) -> Iterator[tuple[int, Event | None]]:
    """Every event with its line; None for one that is no transaction's, such as a nemesis's."""
    with opened(path) as file:
        head = file.read(_HEAD).removeprefix(BYTE_ORDER_MARK)
    json = _JSON.match(head)
    if not json:
        return _edn(path)
    return _json_array(path) if json[1] else _json_lines(path)


def _json_lines(path: Path) -> Iterator[tuple[int, Event | None]]:
    decode = msgspec.json.Decoder(Event).decode
    for number, line in numbered(path):
        if not line.isascii():
            text(path, number, line)
        try:
            event: Event | None = decode(line)
        except (msgspec.DecodeError, RecursionError):
            try:
                event = _from_json(line)
            except _Fault as error:
                raise MalformedError(path, number, str(error)) from error
        yield number, event


def _json_array(path: Path) -> Iterator[tuple[int, Event | None]]:
    with opened(path) as file:
        content = file.read().removeprefix(BYTE_ORDER_MARK)
    _check_characters(path, content)
    try:
        pieces = msgspec.json.decode(content, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedError(path, _line_of(error, content), f"isn't JSON ({_reason(error)})") from error
    decode = msgspec.json.Decoder(Event).decode
    line, before, start, end = 1, 0, 0, 0
    for count, raw in enumerate(pieces, 1):
        piece = bytes(raw)
        last, start = start, content.index(piece, end)
        end = start + len(piece)
        before, line = line, line + content.count(b"\n", last, start)
        try:
            event: Event | None = decode(piece)
        except (msgspec.DecodeError, RecursionError):
            try:
                event = _from_json(piece)
            except _Fault as error:
                raise MalformedError(path, line, _which(error, count, alone=before != line)) from error
        yield line, event


def _edn(path: Path) -> Iterator[tuple[int, Event | None]]:
    reader = edn.Reader(unwrap=True)
    number = began = last = count = 0
    try:
        for number, content in numbered(path):
            line = text(path, number, content) + "\n"
            for piece in _pieces(line) if len(line) > _PIECE else (line,):
                if reader.between:
                    began = number
                for value in reader.feed(piece):
                    count += 1
                    yield number, _from_edn(value)
                    last = number
        number = began
        reader.close()
    except edn.EdnError as error:
        raise MalformedError(path, number, f"isn't EDN ({error})") from error
    except _Fault as error:
        raise MalformedError(path, number, _which(error, count, alone=last != number)) from error


def _which(error: Exception, count: int, *, alone: bool) -> str:
    """A fault with the event's number, where others stand on its line."""
    return str(error) if alone else f"event {count}: {error}"


def _pieces(line: str) -> Iterator[str]:
    """A long line cut after brackets, where only strings and comments go on."""
    start = 0
    while start < len(line):
        end = line.find("}", start + _PIECE) + 1 or len(line)
        yield line[start:end]
        start = end


def _from_json(content: bytes) -> Event | None:
    """An event that isn't in the usual form; _Fault says why it is none."""
    try:
        fields = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Fault(f"isn't JSON ({_reason(error)})") from error
    return _event(fields, "")


def _from_edn(fields: Any) -> Event | None:  # noqa: ANN401 (whatever the file holds)
    return _event(fields, ":")


def _event(fields: Any, mark: str) -> Event | None:  # noqa: ANN401 (whatever the file holds)
    """An event from its map, whose names begin with `mark`; None where it is no transaction's."""
    if not isinstance(fields, dict):
        raise _Fault("is no map with type, process and value")
    if fields.get(f"{mark}f") not in (None, f"{mark}txn"):
        return None
    process = fields.get(f"{mark}process")
    if process is None:
        raise _Fault('has no "process"')
    if type(process) is not int:
        return None
    kind = _kind(fields, mark)
    return Event(
        type=kind, process=process, value=_value(fields.get(f"{mark}value"), kind, mark), index=_index(fields, mark)
    )


def _kind(fields: Mapping[Any, Any], mark: str) -> Literal["invoke", "ok", "fail", "info"]:
    kind = fields.get(f"{mark}type")
    word = kind.removeprefix(mark) if isinstance(kind, str) else kind
    match word:
        case "invoke" | "ok" | "fail" | "info":
            return word
        case None:
            raise _Fault('has no "type"')
        case _:
            raise _Fault(f'"type" is {_told(word, mark)}, not invoke, ok, fail or info')


def _index(fields: Mapping[Any, Any], mark: str) -> int | None:
    index = fields.get(f"{mark}index")
    if index is not None and type(index) is not int:
        raise _Fault(f'"index" is {_told(index, mark)}, not an integer')
    return index if index is not None and index >= 0 else None


def _value(value: Any, kind: str, mark: str) -> list[Append | Read]:  # noqa: ANN401 (whatever the file holds)
    """An event's micro-operations; failed and unknown events may say anything, since their invocations count."""
    try:
        return [_micro_operation(operation, mark) for operation in _listed(value, mark)]
    except _Fault:
        if kind in {FAIL, INFO}:
            return []
        raise


def _listed(value: Any, mark: str) -> list[Any]:  # noqa: ANN401 (whatever the file holds)
    if not isinstance(value, list):
        raise _Fault(f'"value" is {_told(value, mark)}, not a list of micro-operations')
    return value


def _micro_operation(operation: Any, mark: str) -> Append | Read:  # noqa: ANN401 (whatever the file holds)
    match operation:
        case [str(name), key, held] if name == f"{mark}append":
            if not _is_word(held):
                raise _Fault(f"appends {_told(held, mark)} to a key, which is neither an integer nor a string")
            made: Append | Read = Append(key, held)
        case [str(name), key, held] if name == f"{mark}r":
            if held is not None and not (isinstance(held, list) and _WORDS.issuperset(map(type, held))):
                raise _Fault(f"reads {_told(held, mark)}, which is no list of integers and strings")
            made = Read(key, held)
        case _:
            raise _Fault(f"{_told(operation, mark)} is neither [append key element] nor [r key list]")
    if not _is_word(key):
        raise _Fault(f"the key {_told(key, mark)} is neither an integer nor a string")
    return made


def _told(value: Any, mark: str) -> str:  # noqa: ANN401 (whatever the file holds)
    """A value as the file has it, or nearly so, and never longer than a few words."""
    if isinstance(value, str) and not isinstance(value, edn.Keyword | edn.Symbol):
        return quoted(value)
    told = quoted(edn.written(value) if mark else msgspec.json.encode(value).decode())
    return told.removeprefix('"').removesuffix('"')


def _is_word(value: object) -> bool:
    return type(value) in _WORDS


def _check_characters(path: Path, content: bytes) -> None:
    if content.isascii():
        return
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MalformedError(path, line, f"byte 0x{content[error.start]:02x} isn't UTF-8") from error


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "values are nested too deeply"
    return str(error).removeprefix("JSON is malformed: ").rstrip(".")


def _line_of(error: Exception, content: bytes) -> int:
    byte = _BYTE.search(str(error))
    return content.count(b"\n", 0, int(byte[1]) if byte else len(content)) + 1
