"""A text as sqlglot can read it: parameters of every style are numbered marks, statements are told apart."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.sqlite import SQLite
from sqlglot.tokenizer_core import TokenType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect
    from sqlglot.tokenizer_core import Token


class ExplorerPostgres(Postgres):
    """Postgres whose `$1,$2` are two parameters, not the start of a dollar-quoted string; LOCK is read as tokens."""

    class Tokenizer(Postgres.Tokenizer):
        """See the dialect."""

        COMMANDS: ClassVar[set[TokenType]] = set()
        HEREDOC_STRINGS: ClassVar[list[str | tuple[str, str]]] = []
        SINGLE_TOKENS: ClassVar[dict[str, TokenType]] = {
            **Postgres.Tokenizer.SINGLE_TOKENS,
            "$": TokenType.PARAMETER,
        }


class ExplorerSqlite(SQLite):
    """SQLite whose REPLACE is read as tokens."""

    class Tokenizer(SQLite.Tokenizer):
        """See the dialect."""

        COMMANDS: ClassVar[set[TokenType]] = set()


_DIALECTS: Final[dict[str, Dialect]] = {"postgres": ExplorerPostgres(), "sqlite": ExplorerSqlite()}

#: psycopg's placeholders: chosen, text and binary format.
_FORMATS: Final = frozenset("sbt")
#: The digits of the largest number that a server's parameter has, 65535.
_DIGITS: Final = 5
#: SQLite's named parameters.
_NAMING: Final = frozenset({TokenType.COLON, TokenType.PARAMETER})


class Pick(NamedTuple):
    """Where a mark's parameter is found."""

    #: In a sequence; -1 where it has a name only.
    position: int
    #: In a mapping; "" where it has a position only.
    name: str = ""


class Text(NamedTuple):
    """One text, ready to be parsed."""

    sql: str
    #: By the mark's number.
    picks: tuple[Pick, ...]
    dialect: Dialect
    #: One list per statement, none of them empty.
    statements: tuple[list[Token], ...]


class Unreadable(ValueError):
    """The text can't be parsed, or has something that the marks can't express."""


def read(sql: str, dialect: str, *, bound: bool) -> Text:
    """Mark the parameters, as the drivers find them, and split the text."""
    reader = _DIALECTS[dialect]
    if dialect == "postgres":
        marked, picks = _postgres(sql, reader, bound=bound)
    else:
        marked, picks = _sqlite(sql, reader)
    statements = _split(reader.tokenize(marked))
    if dialect == "sqlite":
        statements = (_standard(tokens, reader) for tokens in statements)
    return Text(marked, tuple(picks), reader, tuple(statements))


def trees(reader: Dialect, tokens: list[Token], sql: str) -> list[exp.Expr | None]:
    """Parse tokens."""
    try:
        return reader.parser().parse(tokens, sql)
    except Exception as error:  # a parser's own mistake, too, means that the text can't be read
        raise Unreadable(str(error)) from error


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    statement: list[Token] = []
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            if statement:
                yield statement
            statement = []
        else:
            statement.append(token)
    if statement:
        yield statement


def _standard(tokens: list[Token], reader: Dialect) -> list[Token]:
    """Write REPLACE as INSERT OR REPLACE, and UPDATE OR IGNORE as UPDATE: what it touches is the same."""
    words = [token.text.upper() for token in tokens[:3]]
    if words[0] == "REPLACE":
        return [*reader.tokenize("INSERT OR REPLACE"), *tokens[1:]]
    if words[:2] == ["UPDATE", "OR"]:
        if words[2:] == ["REPLACE"]:
            raise Unreadable("UPDATE OR REPLACE deletes the rows in its way")
        return [tokens[0], *tokens[3:]]
    return tokens


def _postgres(sql: str, reader: Dialect, *, bound: bool) -> tuple[str, list[Pick]]:
    """Leave the server's own $1 as it is; otherwise do what psycopg does, which looks for % even inside of strings."""
    if "$" in sql and (numbers := list(_numbers(reader.tokenize(sql)))):
        return sql, [Pick(number) for number in range(max(numbers))]
    return _psycopg(sql) if bound and "%" in sql else (sql, [])


def _numbers(tokens: Sequence[Token]) -> Iterator[int]:
    """Give the numbers of the server's parameters; a dollar-quoted string is not to be read by tokens."""
    for token, after in zip_longest(tokens, tokens[1:]):
        if token.token_type == TokenType.PARAMETER:
            if after is None or after.token_type != TokenType.NUMBER or after.start != token.end + 1:
                raise Unreadable("a dollar-quoted string")
            if not after.text.isdigit() or len(after.text) > _DIGITS:
                raise Unreadable(after.text)
            yield int(after.text)


def _psycopg(sql: str) -> tuple[str, list[Pick]]:
    """Turn %s and %(name)s into $1, $2, ..., and %% into %."""
    out: list[str] = []
    picks: list[Pick] = []
    names: dict[str, int] = {}
    parts = iter(sql.split("%"))
    out.append(next(parts))
    for part in parts:
        if part[:1] in _FORMATS and part:
            picks.append(Pick(len(picks)))
            out.append(f"${len(picks)}{part[1:]}")
        elif part.startswith("(") and part[(end := part.find(")")) + 1 : end + 2] in _FORMATS and end > 0:
            name = part[1:end]
            if name not in names:
                picks.append(Pick(-1, name))
                names[name] = len(picks)
            out.append(f"${names[name]}{part[end + 2 :]}")
        elif not part:  # %%: the next part follows the second one
            out.append("%" + next(parts, ""))
        else:
            out.append("%" + part)
    return "".join(out), picks


def _sqlite(sql: str, reader: Dialect) -> tuple[str, list[Pick]]:
    """Turn ?, ?1, :name, @name and $name into :p0, :p1, ..., one for each parameter of the statement."""
    out: list[str] = []
    picks: list[Pick] = []
    numbers: dict[Pick, int] = {}
    done = largest = 0
    for start, end, word in _parameters(reader.tokenize(sql)):
        if word.isdigit() and word.isascii():
            pick = Pick(int(word) - 1, word)
        else:
            known = next((pick for pick in picks if word and pick.name == word), None)
            pick = known or Pick(largest, word)
        largest = max(largest, pick.position + 1)
        if pick not in numbers:
            numbers[pick] = len(picks)
            picks.append(pick)
        out.append(f"{sql[done:start]}:p{numbers[pick]}")
        done = end
    return "".join([*out, sql[done:]]), picks


def _parameters(tokens: Sequence[Token]) -> Iterator[tuple[int, int, str]]:
    """Give each parameter's start and end in the text, and its name or number."""
    for token, after in zip_longest(tokens, tokens[1:]):
        beside = after is not None and after.start == token.end + 1
        if token.token_type == TokenType.PLACEHOLDER:
            number = after.text if beside and after is not None and after.token_type == TokenType.NUMBER else ""
            yield token.start, token.end + 1 + len(number), number
        elif token.token_type in _NAMING and beside and after is not None:
            yield token.start, after.end + 1, after.text
        elif token.token_type == TokenType.VAR and token.text.startswith("$"):
            yield token.start, token.end + 1, token.text[1:]
