"""What bodies on SQLite do past the explorer is said, and the user's own file is as set-up left it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from celery import Celery
from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool

from orchestrator.controlled.database import Uncontrolled
from orchestrator.explore import explore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one counter at 0, in SQLite's own journal mode."""
    made = tmp_path / "counter.db"
    with closing(sqlite3.connect(made)) as connection:
        connection.executescript(
            "CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO counter VALUES (1, 0)"
        )
    return made


def _add(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE counter SET n = n + 1")
        connection.commit()


def _adding(engine: Engine) -> Callable[[], None]:
    def add() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE counter SET n = n + 1"))

    return add


def test_a_file_is_left_as_set_up_left_it(path: Path) -> None:
    """Neither the last schedule's rows nor WAL mode stay, though the engine keeps connections in a pool."""
    engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool)
    complete = explore(_adding(engine), _adding(engine), engine=engine).complete
    with closing(sqlite3.connect(path)) as connection:
        journal, rows = (
            connection.execute("PRAGMA journal_mode").fetchall(),
            connection.execute("SELECT n FROM counter"),
        )
        assert (True, [("delete",)], [(0,)]) == (complete, journal, rows.fetchall())


def test_a_pool_that_is_used_up_is_no_endless_wait(path: Path) -> None:
    """Who waits for another worker's connection would wait for ever, its clock being pinned."""
    engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool, pool_size=1, max_overflow=0)
    with pytest.raises(Uncontrolled, match="larger pool_size"):
        explore(_adding(engine), _adding(engine), engine=engine)


def test_pools_wait_as_before_afterwards(path: Path) -> None:
    """SQLAlchemy's queue is its own again."""
    before = QueuePool._queue_class.get
    engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool)
    explore(_adding(engine), _adding(engine), engine=engine)
    assert before is QueuePool._queue_class.get


def test_a_body_may_not_keep_it_to_itself(path: Path) -> None:
    """What can't be controlled is said though a body catches every exception."""

    def attach() -> None:
        with closing(sqlite3.connect(path)) as connection, suppress(Exception):
            connection.execute("ATTACH ':memory:' AS other")
        _add(path)

    with pytest.raises(Uncontrolled, match="ATTACH"):
        explore(attach, attach, engine=str(path))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("threads", [False, True])
def test_a_bodys_own_thread_is_refused(path: Path, threads: bool) -> None:  # noqa: FBT001 - a parameter of the test's
    """Nobody decides when such a thread goes on."""

    def start() -> None:
        _add(path)
        thread = threading.Thread(target=_add, args=(path,))
        thread.start()
        thread.join()

    with pytest.raises(Uncontrolled, match="A thread that is no worker's"):
        explore(start, start, engine=str(path), threads=threads)


@pytest.mark.parametrize("name", ["missing/counter.db", "."])
def test_a_path_that_is_no_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    """What SQLite can't open is said by name."""
    with pytest.raises(Uncontrolled, match="can't be explored: unable to open"):
        explore(lambda: None, lambda: None, engine=str(tmp_path / name))


def test_a_text_is_no_database(tmp_path: Path) -> None:
    """A file of another kind is said to be one."""
    (tmp_path / "notes.txt").write_text("no database, but long enough for a header of one" * 20)
    with pytest.raises(Uncontrolled, match="not a database"):
        explore(lambda: None, lambda: None, engine=str(tmp_path / "notes.txt"))


def test_messages_are_not_sent(path: Path) -> None:
    """A task that sends another one is refused before a broker is asked, even where it is to retry whatever fails."""
    app = Celery("messages", broker="memory://")
    before = Celery.send_task

    @app.task
    def follow() -> None: ...

    @app.task(autoretry_for=(Exception,), max_retries=1)
    def lead() -> None:
        _add(path)
        follow.delay()

    with pytest.raises(Uncontrolled, match="task_always_eager"):
        explore(lead, lead, engine=str(path))
    assert before is Celery.send_task
