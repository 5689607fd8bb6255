"""What a statement gave: its first rows, how many it matched, its error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus

if TYPE_CHECKING:
    from orchestrator.controlled.postgres_sessions import Session

#: Rows that are noted.
_SHOWN: Final = 5


def answer(cursor: Any) -> tuple[list[tuple[Any, ...]] | None, int]:  # noqa: ANN401 - any of psycopg's, or none
    """Give the rows and the count that a cursor got, and leave it where it is."""
    if cursor is None:
        return None, -1
    result = cursor.pgresult
    if result is None or result.status != ExecStatus.TUPLES_OK:
        return None, cursor.rowcount
    return cursor._tx.load_rows(0, min(result.ntuples, _SHOWN), tuple), cursor.rowcount  # noqa: SLF001 - fetching moves it


def raw_answer(session: Session, value: Any) -> tuple[list[tuple[Any, ...]] | None, int, str]:  # noqa: ANN401 - a result, or a list of them
    """Give what libpq got, where no cursor was asked."""
    result = value[-1] if isinstance(value, list) and value else value
    if result is None or isinstance(result, list):
        return None, -1, ""
    if result.status == ExecStatus.FATAL_ERROR:
        message = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b""
        return None, -1, f"{type(error_from_result(result)).__name__}: {message.decode(errors='replace')}"
    count = -1 if result.command_tuples is None else result.command_tuples
    if result.status != ExecStatus.TUPLES_OK:
        return None, count, ""
    loader = Transformer(session.connection())
    loader.set_pgresult(result)
    return loader.load_rows(0, min(result.ntuples, _SHOWN), tuple), count, ""
