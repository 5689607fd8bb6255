"""A group's journal table, read while nodes ship their journals into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

#: Chunks fetched in one query; each may hold a quarter of a megabyte.
_CHUNKS: Final = 8


class Tail:
    """Reads a journal table from where it stopped, file by file, without holes."""

    def __init__(self, schema: str) -> None:
        self._positions: dict[str, int] = {}
        self._query = sql.SQL(
            # By index alone, for each file from where it was left: the table grows, a look must not cost more.
            "WITH seen AS (SELECT * FROM unnest(%s::text[], %s::bigint[]) AS seen (file, pos)),"
            " wanted AS (SELECT * FROM seen UNION ALL SELECT first.file, 0 FROM {0} AS first"
            " WHERE first.pos = 0 AND first.file NOT IN (SELECT seen.file FROM seen))"
            " SELECT next.* FROM wanted, LATERAL (SELECT j.file, j.pos, j.chunk FROM {0} AS j"
            # A crash may take chunks back that were read; what is shipped again begins where the table ended then.
            " WHERE j.file = wanted.file AND j.pos + octet_length(j.chunk) > wanted.pos"
            " AND j.pos >= coalesce((SELECT max(last.pos) FROM {0} AS last"
            " WHERE last.file = wanted.file AND last.pos < wanted.pos), 0)"
            " ORDER BY j.pos LIMIT {1}) AS next LIMIT {1}"
        ).format(sql.Identifier(schema, "journal"), sql.Literal(_CHUNKS))

    def read(self, connection: psycopg.Connection[Any]) -> Iterator[tuple[str, bytes]]:
        """Yield whole lines that were not read before, with the name of their file."""
        while True:
            seen = (list(self._positions), list(self._positions.values()))
            found = connection.execute(self._query, seen).fetchall()
            before = dict(self._positions)
            for file, position, chunk in found:
                if lines := self._next(file, position, chunk.encode()):
                    yield file, lines
            if len(found) < _CHUNKS or before == self._positions:
                return

    def _next(self, file: str, position: int, chunk: bytes) -> bytes:
        """Cut off what an earlier, shorter chunk said; a chunk beyond a hole waits until the hole is filled."""
        expected = self._positions.get(file, 0)
        if position > expected or position + len(chunk) <= expected:
            return b""
        self._positions[file] = position + len(chunk)
        return chunk[expected - position :]
