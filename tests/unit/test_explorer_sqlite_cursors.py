"""sqlite3's cursors under control: rows, counts, factories, scripts, and what is refused."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Literal

import pytest

from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.sqlite import SqliteDatabase
from orchestrator.controlled.sqlite_words import statements
from orchestrator.explorer.hub import Crash
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from tests.unit.exploring_sqlite import explored, steps, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.exploring_sqlite import Explored

SELECT = "SELECT id, balance FROM account ORDER BY id"
INSERT = "INSERT INTO account (id, balance) VALUES (?, ?)"


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Explored]:
    """Two accounts with 100 each."""
    with explored(tmp_path / "bank.db") as exploration:
        yield exploration


def _first(cursor: sqlite3.Cursor) -> object:
    return [cursor.execute(SELECT).fetchone(), cursor.fetchone(), cursor.fetchone(), cursor.fetchone()]


def _some(cursor: sqlite3.Cursor) -> object:
    cursor.arraysize = 3
    cursor.execute("SELECT value FROM json_each('[1,2,3,4,5,6]'), (SELECT 1 FROM account LIMIT 1)")
    return [cursor.fetchmany(), cursor.fetchmany(2), cursor.fetchmany(2), cursor.fetchmany(2)]


def _mixed(cursor: sqlite3.Cursor) -> object:
    cursor.execute(SELECT)
    return [next(cursor), cursor.fetchall(), cursor.fetchall(), list(cursor)]


def _named(cursor: sqlite3.Cursor) -> object:
    cursor.row_factory = sqlite3.Row
    (one, other) = cursor.execute("SELECT id AS number, balance FROM account WHERE id <= :most", {"most": 2})
    return [one["number"], other.keys(), tuple(other)]


def _factory_set_late(cursor: sqlite3.Cursor) -> object:
    cursor.execute(SELECT)
    cursor.row_factory = lambda of, row: {column[0]: value for column, value in zip(of.description, row, strict=True)}
    return [cursor.fetchone(), *cursor]


def _described(cursor: sqlite3.Cursor) -> object:
    cursor.execute(SELECT)
    read = [cursor.description, cursor.rowcount, cursor.fetchone(), cursor.description]
    cursor.execute(INSERT, (7, 1))
    return [*read, cursor.description, cursor.rowcount, cursor.lastrowid, cursor.fetchone()]


def _returning(cursor: sqlite3.Cursor) -> object:
    cursor.execute("UPDATE account SET balance = balance + 1 RETURNING id, balance")
    return [cursor.fetchall(), cursor.rowcount]


def _many(cursor: sqlite3.Cursor) -> object:
    cursor.executemany(INSERT, ((number, number) for number in (5, 6, 7)))
    inserted = cursor.rowcount
    cursor.execute(SELECT)
    return [inserted, cursor.fetchall(), cursor.rowcount]


def _none(cursor: sqlite3.Cursor) -> object:
    cursor.executemany(INSERT, [])
    return [cursor.rowcount, cursor.fetchall()]


def _script(cursor: sqlite3.Cursor) -> object:
    cursor.execute(INSERT, (5, 5))
    cursor.executescript(
        "INSERT INTO account VALUES (6, 6, 0); -- one; two\n SELECT ';'; DELETE FROM account WHERE id = 1"
    )
    return [cursor.fetchall(), cursor.connection.in_transaction, cursor.connection.isolation_level]


def _after_close(cursor: sqlite3.Cursor) -> object:
    cursor.execute(SELECT)
    cursor.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
        cursor.fetchone()
    return "refused"


def _errors(cursor: sqlite3.Cursor) -> object:
    texts = [
        "SELECT nothing FROM account",
        "SELECT 1; SELECT 2",
        "INSERT INTO account (id, balance) VALUES (1, 1)",
        "?",
    ]
    said = []
    for text in texts:
        with pytest.raises(sqlite3.Error) as raised:
            cursor.execute(text)
        said.append(str(raised.value))
    return said


@pytest.mark.parametrize("level", ["IMMEDIATE", None])
@pytest.mark.parametrize(
    "use",
    [
        _first,
        _some,
        _mixed,
        _named,
        _factory_set_late,
        _described,
        _returning,
        _many,
        _none,
        _script,
        _after_close,
        _errors,
    ],
)
def test_cursors_give_what_they_gave(
    tmp_path: Path, bank: Explored, use: Callable[[sqlite3.Cursor], object], level: Literal["IMMEDIATE"] | None
) -> None:
    """A body sees the same rows, counts and errors as without the explorer."""

    def body() -> object:
        connection = sqlite3.connect(bank.path, isolation_level=level)
        try:
            given = use(connection.cursor())
            connection.commit()
            return given
        finally:
            connection.close()

    execution = bank.run(RandomWalk(0), body)
    with explored(tmp_path / "plain.db") as plain:
        plain_path = plain.path
    connection = sqlite3.connect(plain_path, isolation_level=level)
    try:
        assert [use(connection.cursor())] == values(execution)
    finally:
        connection.close()


def test_no_read_stays_open(bank: Explored) -> None:
    """A cursor that was not read to its end keeps no snapshot, and its rows are those of its step."""

    def reads() -> object:
        connection = sqlite3.connect(bank.path)
        cursor = connection.execute(SELECT)
        first = next(cursor)
        again = connection.execute(SELECT).fetchall()
        connection.close()
        return [first, *cursor._rows, again]  # type: ignore[attr-defined]

    def writes() -> None:
        connection = sqlite3.connect(bank.path, isolation_level=None)
        connection.execute("UPDATE account SET balance = 5")
        connection.close()

    execution = bank.run(Replay([0, 1, 0]), reads, writes)
    assert [(1, 100), (2, 100), [(1, 5), (2, 5)]] == values(execution)[0]


def test_many_in_a_transaction_are_one_step(bank: Explored) -> None:
    """executemany() is one step where nobody could see half of it, else one for each set."""

    def body() -> None:
        connection = sqlite3.connect(bank.path)
        connection.executemany(INSERT, [(5, 5), (6, 6)])
        connection.commit()
        connection.isolation_level = None
        connection.executemany(INSERT, [(7, 7), (8, 8)])
        connection.close()

    execution = bank.run(RandomWalk(0), body)
    assert [f"0 {INSERT}", "0 commit", f"0 {INSERT}", f"0 {INSERT}"] == steps(execution)
    assert [2, -1, 1, 1] == [record.count for record in execution.records]


def test_script_is_cut_where_statements_end() -> None:
    """Strings, comments and triggers may have semicolons of their own."""
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END;"
    script = f"INSERT INTO a VALUES (';'); /* ; */ {trigger} -- the end;\n ; SELECT 1"  # noqa: S608 - nobody runs it
    assert ["INSERT INTO a VALUES (';');", f"/* ; */ {trigger}", "SELECT 1;"] == [
        each.strip() for each in statements(script)
    ]


def test_factories_of_a_body_s_own(bank: Explored) -> None:
    """Classes of connections and cursors that a body brings are kept, and controlled."""

    class Mine(sqlite3.Connection):
        def hello(self) -> str:
            return "hello"

    class MyCursor(sqlite3.Cursor):
        def first(self) -> Any:  # noqa: ANN401 - a row
            return self.fetchone()

    def body() -> object:
        connection = sqlite3.connect(bank.path, factory=Mine)
        try:
            return connection.hello(), connection.cursor(MyCursor).execute(SELECT).first()
        finally:
            connection.close()

    execution = bank.run(RandomWalk(0), body)
    assert ([("hello", (1, 100))], [f"0 {SELECT}"]) == (values(execution), steps(execution))


def test_uri_and_relative_names_are_the_same_file(bank: Explored, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file counts, however it is called; other databases are left alone."""
    monkeypatch.chdir(bank.path.parent)
    names: list[tuple[Any, bool]] = [
        (bank.path.name, False),
        (str(bank.path).encode(), False),
        (f"file:{bank.path}?mode=rw", True),
        (f"file:{bank.path.name}", True),
    ]

    def body() -> None:
        for name, uri in names:
            connection = sqlite3.connect(name, uri=uri)
            connection.execute(SELECT)
            connection.close()
        for name in (":memory:", "other.db"):
            connection = sqlite3.connect(name)
            assert sqlite3.Connection is type(connection)
            connection.close()

    assert [f"0 {SELECT}"] * 4 == steps(bank.run(RandomWalk(0), body))


def _no_class(connection: sqlite3.Connection) -> sqlite3.Cursor:
    return sqlite3.Cursor(connection)


def _refused(bank: Explored, *bodies: Callable[[], object]) -> str:
    with pytest.raises(Uncontrolled) as raised:
        bank.run(Replay([0, 1, 0, 1, 0, 1]), *bodies)
    return str(raised.value)


def test_one_connection_of_two_workers(bank: Explored) -> None:
    """A connection that two workers use at the same time is refused: it would be nobody's transaction."""
    connection = sqlite3.connect(bank.path)

    def body() -> None:
        connection.execute("UPDATE account SET balance = 1")
        connection.commit()

    assert "Workers 0 and 1 use one SQLite connection at the same time" in _refused(bank, body, body)


def test_one_connection_after_the_other(bank: Explored) -> None:
    """A connection that is passed on between transactions, as pools do, is none of two workers'."""
    connection = sqlite3.connect(bank.path)

    def body() -> None:
        connection.execute("UPDATE account SET balance = balance + 1")
        connection.commit()

    connection.commit()
    later = [lambda: None, body]
    assert ["None", "None"] == [each.shown for each in bank.run(RandomWalk(0), *later).endings]
    assert ["None"] == [each.shown for each in bank.run(RandomWalk(0), body).endings]


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (lambda connection: connection.execute("ATTACH ':memory:' AS more"), "ATTACH can't be explored"),
        (lambda connection: connection.execute("PRAGMA journal_mode = DELETE"), "WAL mode only"),
        (lambda connection: connection.blobopen("account", "balance", 1), "blobopen"),
        (lambda connection: connection.cursor(_no_class), "no class"),
    ],
)
def test_what_goes_past_the_explorer(
    bank: Explored, use: Callable[[sqlite3.Connection], object], sentence: str
) -> None:
    """What can't be seen or put back is refused by a sentence, which no body can swallow as an error of its own."""

    def body() -> None:
        connection = sqlite3.connect(bank.path)
        try:
            use(connection)
        finally:
            connection.close()

    assert sentence in _refused(bank, body)


@pytest.mark.parametrize("name", ["", ":memory:", "file::memory:?cache=shared", "file:x?mode=memory"])
def test_memory_is_no_file(name: str) -> None:
    """A database in memory is one connection's, or has no WAL: no two workers can race on it."""
    with pytest.raises(Uncontrolled, match="no file"):
        SqliteDatabase(name)


def test_control_is_not_taken_twice(bank: Explored) -> None:
    """One file is explored by one exploration at a time."""
    with pytest.raises(Uncontrolled, match="under control already"), bank.database.control():
        pass


def test_crash_undoes_what_was_open(bank: Explored) -> None:
    """A worker that crashes loses its transaction; on its way out, nothing reaches the database."""
    tried: list[str] = []

    def body() -> str:
        connection = sqlite3.connect(bank.path)
        try:
            connection.execute("UPDATE account SET balance = 1")
            connection.commit()
        except Crash:
            for text in ("UPDATE account SET balance = 2", "SAVEPOINT a", "COMMIT", "PRAGMA foreign_keys"):
                with pytest.raises(Crash):
                    connection.execute(text)
                tried.append(text)
            connection.rollback()
            return "crashed"
        return "done"

    def other() -> None:
        connection = sqlite3.connect(bank.path)
        connection.execute("UPDATE account SET balance = 3 WHERE id = 2")
        connection.commit()

    execution = bank.run(Replay([0, 1, 2, 1]), body, other, crashes=1)
    assert ((1, 100, 0), (2, 3, 0)) == execution.state["account"]
    assert (["crashed", None], 4) == (values(execution), len(tried))
