"""Columns over a whole history, put together into `Transactions`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.history.plain import predicates
from orchestrator.history.plain.coded import Coded, coded
from orchestrator.history.plain.columns import Fault
from orchestrator.history.plain.names import PlainNames
from orchestrator.history.plain.pieces import PREDICATE, WRITE
from orchestrator.history.plain.sessions import ended
from orchestrator.history.plain.times import backwards, contradicted, times, without_unknown_ends
from orchestrator.history.plain.versions import ORDERED, SPARSE, dense
from orchestrator.history.transactions import NO_VERSION, PREDICATES, Edges, Transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.history.plain.pieces import Piece
    from orchestrator.history.plain.times import Times
    from orchestrator.history.transactions import Bools, Int8s, Int32s, Int64s

Array = TypeVar("Array", bound="np.typing.NDArray[np.generic]")

#: Why checks can't be made.
_NO_SESSIONS: Final = "no sessions given"
_TOO_MANY: Final = f"there are more than {predicates.MOST:,}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """A history's columns, as a file has them."""

    #: Of each transaction; None: it is called by its number.
    name: pa.ChunkedArray | None
    #: The row that a fault in a transaction is told by; None: its own.
    first: Int64s | None
    status: Int8s
    session: Coded | None
    start: pa.ChunkedArray | None
    end: pa.ChunkedArray | None
    #: Of each micro-operation.
    txn: Int32s
    write: Bools
    key: Coded
    version: Int64s | Int32s
    value: pa.ChunkedArray | None = None
    #: Of predicate reads and of what they may match; None: there are none.
    asked: Asked | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What belongs to predicate reads."""

    #: Which micro-operations are predicate reads.
    reads: Bools
    predicate: pa.ChunkedArray
    matches: pa.ChunkedArray | None


def joined(pieces: Sequence[Piece]) -> Parts:
    """One history from its pieces."""
    if not pieces:
        empty = np.zeros(0, dtype=np.int8)
        none = np.zeros(0, dtype=np.int32)
        return Parts(
            name=None, first=None, status=empty, session=None, start=None, end=None,
            txn=none, write=empty.astype(np.bool_), key=Coded(codes=none), version=none,
        )  # fmt: skip
    op = _concatenated(pieces, lambda piece: piece.op)
    first = _concatenated(pieces, lambda piece: piece.first)
    session = _column(pieces, lambda piece: piece.session, lambda piece: len(piece.first))
    return Parts(
        name=_names([piece.name for piece in pieces], first),
        first=first,
        status=_concatenated(pieces, lambda piece: piece.status),
        session=None if session is None else coded(session),
        start=_numbers(_column(pieces, lambda piece: piece.start, lambda piece: len(piece.first))),
        end=_numbers(_column(pieces, lambda piece: piece.end, lambda piece: len(piece.first))),
        txn=_concatenated(pieces, lambda piece: piece.txn),
        write=op == WRITE,
        key=coded([piece.key for piece in pieces]),
        version=_concatenated(pieces, lambda piece: piece.version),
        value=_text(_column(pieces, lambda piece: piece.value, lambda piece: len(piece.op))),
        asked=_asked(pieces, op),
    )


def assembled(parts: Parts, *, ordered: bool = False) -> Transactions:
    """Check what no line shows alone, and build the history; Fault names the row of a transaction."""
    version, originals = dense(parts.key.codes, parts.version, parts.write, ordered=ordered)
    kept = parts if parts.asked is None else _without(parts, parts.asked.reads)
    versions = version if parts.asked is None else version[~parts.asked.reads]
    when, session = _ordered(parts)
    not_checked = {"realtime": when.lacking} if when.lacking else {}
    if parts.session is None or parts.session.count == 0:
        not_checked["process"] = _NO_SESSIONS
    if originals is not None:
        not_checked["version-gap"] = ORDERED if ordered else SPARSE
    try:
        edges = Edges.none() if parts.asked is None else _edges(parts, parts.asked, version)
    except predicates.TooManyError:
        edges, not_checked[PREDICATES] = Edges.none(), _TOO_MANY
    names = PlainNames(
        names=parts.name,
        status=parts.status,
        sessions=parts.session,
        start=parts.start,
        end=parts.end,
        keys=parts.key,
        rows=kept.key.codes,
        writes=kept.write,
        versions=versions,
        values=kept.value,
        originals=originals,
    )
    return Transactions(
        status=_fixed(parts.status),
        session=_fixed(session),
        invoke=_fixed(when.invoke),
        complete=_fixed(when.complete),
        txn=_fixed(kept.txn),
        row=_fixed(kept.key.codes),
        write=_fixed(kept.write),
        version=_fixed(versions),
        names=names,
        edges=edges,
        not_checked=not_checked,
        predicates=parts.asked is not None and PREDICATES not in not_checked,
    )


def _fixed(array: Array) -> Array:
    """Give a view that can't be written: some arrays can't be anyway, and compiled code tells the two kinds apart."""
    view = array.view()
    view.flags.writeable = False
    return view


def _ordered(parts: Parts) -> tuple[Times, Int32s]:
    """Give times and sessions that don't contradict each other."""
    when = times(parts.start, parts.end, parts.status)
    wrong = backwards(when)
    if wrong is not None:
        raise Fault("start is after end", _row(parts, wrong))
    when = without_unknown_ends(when, parts.status)
    none = np.full(len(parts.status), NO_VERSION, dtype=np.int32)
    session = none if parts.session is None else ended(parts.session.codes, parts.status)
    wrong = contradicted(session, when)
    if wrong is not None:
        fault = "the transaction ended before one that stands above it in its session started"
        raise Fault(fault, _row(parts, wrong))
    return when, session


def _row(parts: Parts, transaction: int) -> int:
    return transaction if parts.first is None else int(parts.first[transaction])


def _names(chunks: list[pa.Array], first: Int64s) -> pa.ChunkedArray:
    """Transactions' names, each only once."""
    integers = all(pa.types.is_integer(chunk.type) for chunk in chunks)
    names = pa.chunked_array(chunks if integers else [chunk.cast(pa.string()) for chunk in chunks]).combine_chunks()
    names = names if isinstance(names, pa.ChunkedArray) else pa.chunked_array([names])
    if integers:
        numbers = names.to_numpy()
        if bool((numbers[1:] > numbers[:-1]).all()):
            return names
    if pc.count_distinct(names).as_py() < len(names):
        numbers = coded([names.cast(pa.string())]).codes  # in the order of their first appearance
        again = int(np.argmax(numbers != np.arange(len(numbers))))
        raise Fault(f"the lines of transaction {names[again].as_py()} don't stand together", int(first[again]))
    return names


def _edges(parts: Parts, asked: Asked, version: Int32s) -> Edges:
    writes = np.flatnonzero(parts.write & (version > 0) & _concerned(parts, asked))
    return predicates.edges(_reads(parts, asked, version), _writes(parts, asked.matches, version, writes), parts.status)


def _concerned(parts: Parts, asked: Asked) -> Bools:
    """Say of each micro-operation whether its row has a version that satisfies some predicate."""
    rows = np.zeros(parts.key.count + 1, dtype=np.bool_)  # the last one stands for no row
    if asked.matches is not None:
        rows[parts.key.codes[pc.is_valid(asked.matches).to_numpy()]] = True
    concerned: Bools = rows[parts.key.codes]
    return concerned


def _reads(parts: Parts, asked: Asked, version: Int32s) -> Iterator[predicates.PredicateRead]:
    for line in np.flatnonzero(asked.reads).tolist():
        row, seen = int(parts.key.codes[line]), int(version[line])
        yield predicates.PredicateRead(
            txn=int(parts.txn[line]),
            predicate=asked.predicate[line].as_py(),
            row=row if row >= 0 else None,
            version=seen if seen != NO_VERSION else None,
        )


def _writes(
    parts: Parts, matches: pa.ChunkedArray | None, version: Int32s, lines: Int64s
) -> Iterator[predicates.Write]:
    for line in lines.tolist():
        satisfied = matches[line].as_py() if matches is not None else None
        yield predicates.Write(
            txn=int(parts.txn[line]),
            row=int(parts.key.codes[line]),
            version=int(version[line]),
            matches=frozenset((satisfied or "").split()),
        )


def _without(parts: Parts, reads: Bools) -> Parts:
    """Leave out predicate reads: they read no item."""
    return replace(
        parts,
        txn=parts.txn[~reads],
        write=parts.write[~reads],
        key=replace(parts.key, codes=parts.key.codes[~reads]),
        value=None if parts.value is None else parts.value.filter(pa.array(~reads)),
    )


def _asked(pieces: Sequence[Piece], op: Int8s) -> Asked | None:
    predicate = _column(pieces, lambda piece: piece.predicate, lambda piece: len(piece.op))
    if predicate is None:
        return None
    matches = _column(pieces, lambda piece: piece.matches, lambda piece: len(piece.op))
    return Asked(
        reads=op == PREDICATE,
        predicate=pa.chunked_array(predicate),
        matches=None if matches is None else pa.chunked_array(matches),
    )


def _concatenated(pieces: Sequence[Piece], of: Callable[[Piece], np.ndarray]) -> np.ndarray:
    arrays = [of(piece) for piece in pieces]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _column(
    pieces: Sequence[Piece], of: Callable[[Piece], pa.Array | None], length: Callable[[Piece], int]
) -> list[pa.Array] | None:
    """Give a column that some pieces may lack; None where all do."""
    columns = [of(piece) for piece in pieces]
    type_ = next((column.type for column in columns if column is not None), None)
    if type_ is None:
        return None
    lengths = [length(piece) for piece in pieces]
    return [
        pa.nulls(count, type_) if column is None else column for column, count in zip(columns, lengths, strict=True)
    ]


def _numbers(columns: list[pa.Array] | None) -> pa.ChunkedArray | None:
    if columns is None:
        return None
    floats = any(pa.types.is_floating(column.type) for column in columns)
    return pa.chunked_array([column.cast(pa.float64(), safe=False) for column in columns] if floats else columns)


def _text(columns: list[pa.Array] | None) -> pa.ChunkedArray | None:
    return None if columns is None else pa.chunked_array(columns)
