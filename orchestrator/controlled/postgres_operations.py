"""Which operation psycopg is about to drive: read from the generator that it hands to `Connection.wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg import BaseConnection, Pipeline, Transaction
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.sql import Composable

from orchestrator.controlled.database import Uncontrolled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from psycopg import Connection

    Locals = Mapping[str, Any]

#: Rows of an executemany that are looked at one by one.
_LOOKED_AT: Final = 100


class Operation(NamedTuple):
    """What a generator will do once it is started."""

    #: "statement", "commit", "rollback"; "quiet" needs no choice; "raw" was put into libpq's hands already.
    kind: str
    text: str = ""
    parameters: Any = None
    #: Where its result is found afterwards.
    cursor: Any = None
    #: A server-side cursor that is opened or read on.
    name: str = ""
    #: It undoes a part of its transaction, which frees that part's locks.
    frees: bool = False
    #: Parameters of each time that executemany runs it, none where they can't be looked at; None: it runs once.
    many: Sequence[Any] | None = None
    #: Its answer comes with a later generator of the same step.
    goes_on: bool = False
    #: Its text tells what it touches.
    readable: bool = True
    #: Only sends what was put into libpq's hands.
    sends: bool = False


QUIET: Final = Operation("quiet")
_RAW: Final = Operation("raw")
_SENDS: Final = Operation("raw", sends=True)


def operation(connection: Connection[Any], generator: Any) -> Operation:  # noqa: ANN401 - compiled ones are no GeneratorType
    """Say what a generator that has not started will do."""
    name = generator.__name__
    read = _READERS.get(name)
    if read is not None:
        return read(connection, generator.gi_frame.f_locals)
    if name in _RAW_NAMES:
        return _SENDS if name == "send" else _RAW
    if name in _QUIET_NAMES or (name.startswith("_set_") and name.endswith("_gen")):
        return QUIET
    if name in _REFUSED:
        raise Uncontrolled(_REFUSED[name])
    return Operation("statement", name, readable=False)


def _execute(connection: Connection[Any], given: Locals) -> Operation:
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        raise Uncontrolled(
            "A body uses psycopg's pipeline mode, in which the server runs statements while other workers run; "
            "let it send them one by one."
        )
    return Operation("statement", _text(connection, given["query"]), given["params"], given["self"])


def _stream(connection: Connection[Any], given: Locals) -> Operation:
    return Operation("statement", _text(connection, given["query"]), given["params"], goes_on=True)


def _copy(connection: Connection[Any], given: Locals) -> Operation:
    return Operation("statement", _text(connection, given["statement"]), given["params"], goes_on=True)


def _many(connection: Connection[Any], given: Locals) -> Operation:
    """Read executemany as one step; what it touches is looked at where its parameters can be read twice."""
    many = given["params_seq"]
    each = many if isinstance(many, list | tuple) and len(many) <= _LOOKED_AT else ()
    return Operation("statement", _text(connection, given["query"]), each, given["self"], many=each, goes_on=True)


def _declare(connection: Connection[Any], given: Locals) -> Operation:
    return Operation("statement", _text(connection, given["query"]), given["params"], name=given["self"].name)


def _fetch(_connection: Connection[Any], given: Locals) -> Operation:
    cursor = given["self"]
    if isinstance(cursor, Pipeline):
        return QUIET
    number = given.get("num")
    return Operation("statement", f"FETCH {'ALL' if number is None else number} FROM {cursor.name}", name=cursor.name)


def _scroll(_connection: Connection[Any], given: Locals) -> Operation:
    name = given["self"].name
    return Operation("statement", f"MOVE {given['mode']} {given['value']} FROM {name}", name=name)


def _commit(connection: Connection[Any], given: Locals) -> Operation:
    """Read COMMIT; of a transaction that an error has aborted it is a ROLLBACK."""
    if not isinstance(given["self"], BaseConnection):  # pragma: no cover - psycopg drives it from `_exit_gen`
        return QUIET
    return _end(connection, "commit", "COMMIT")


def _rollback(connection: Connection[Any], given: Locals) -> Operation:
    if not isinstance(given["self"], BaseConnection):  # pragma: no cover - psycopg drives it from `_exit_gen`
        return QUIET
    return _end(connection, "rollback", "ROLLBACK")


def _end(connection: Connection[Any], kind: str, text: str) -> Operation:
    status = connection.pgconn.transaction_status
    if status == TransactionStatus.INERROR:
        kind = "rollback"
    elif status != TransactionStatus.INTRANS:
        return QUIET
    return Operation(kind, text)


def _exit(connection: Connection[Any], given: Locals) -> Operation:
    """Read the end of `connection.transaction()`: the whole one's, or a savepoint's."""
    block = given["self"]
    if not isinstance(block, Transaction):
        return QUIET
    kept = not given["exc_val"] and not block.force_rollback
    if block._outer_transaction:  # noqa: SLF001 - nothing public tells a savepoint's block from a transaction's
        return _end(connection, "commit", "COMMIT") if kept else _end(connection, "rollback", "ROLLBACK")
    return QUIET if kept else Operation("statement", f"ROLLBACK TO {block.savepoint_name}", frees=True)


def _text(connection: Connection[Any], query: object) -> str:
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode(connection.info.encoding)
    if isinstance(query, Composable):
        return query.as_string(connection)
    return ""  # a template string, which is read as touching everything


_READERS: Final[dict[str, Callable[[Connection[Any], Locals], Operation]]] = {
    "_execute_gen": _execute,
    "_executemany_gen_pipeline": _many,
    "_executemany_gen_no_pipeline": _many,
    "_stream_send_gen": _stream,
    "_start_copy_gen": _copy,
    "_declare_gen": _declare,
    "_fetch_gen": _fetch,
    "_scroll_gen": _scroll,
    "_commit_gen": _commit,
    "_rollback_gen": _rollback,
    "_exit_gen": _exit,
}

#: Parts of a step that began with another generator, and what no other session can see.
_QUIET_NAMES: Final = frozenset(
    {
        "_close_gen",
        "_describe_gen",
        "_end_copy_out_gen",
        "_enter_gen",
        "_read_gen",
        "_read_row_gen",
        "_stream_fetchone_gen",
        "_sync_gen",
        "_tpc_begin_gen",
        "copy_end",
        "copy_from",
        "copy_to",
    }
)

_RAW_NAMES: Final = frozenset({"execute", "fetch", "fetch_many", "send"})

_REFUSED: Final = {
    "notifies": "A body waits for NOTIFY, which no lock tells of; nobody could say when it may go on.",
    "_tpc_prepare_gen": "A body uses two-phase commit; what is prepared outlives its session and can't be put back.",
    "_tpc_finish_gen": "A body uses two-phase commit; what is prepared outlives its session and can't be put back.",
}
