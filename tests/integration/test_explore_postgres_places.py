"""Where bodies' connections lead on PostgreSQL, and how they and the user's own rows are left."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import StaticPool

from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.postgres_scratch import scratch
from orchestrator.errors import ServiceError
from orchestrator.explore import explore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services

_SET_UP = """
    CREATE TABLE counter (id int PRIMARY KEY, n int); INSERT INTO counter VALUES (1, 0);
    CREATE SCHEMA app; CREATE TABLE app.other (id int PRIMARY KEY, n int); INSERT INTO app.other VALUES (1, 0);
"""
_APP = "-csearch_path=app"
_DEAD = "postgresql://someone:s3cret@127.0.0.1:1/database"


@pytest.fixture
def url(services: Services) -> Iterator[str]:
    """A database with a table in each of two schemas, of which one is on the search path."""
    with scratch(services.database_url) as made:
        with psycopg.connect(made, autocommit=True) as connection:
            connection.execute(_SET_UP)
        yield made


def _alchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _add(connection: Any, table: str) -> None:  # noqa: ANN401 - a connection of psycopg's
    connection.execute(f"UPDATE {table} SET n = n + 1 WHERE id = 1")  # noqa: S608 - a name of ours


@pytest.mark.parametrize("where", [{"database": _DEAD}, {"engine": _DEAD}, {"engine": create_engine(_alchemy(_DEAD))}])
def test_a_server_that_is_not_there_is_one_sentence(where: dict[str, Any]) -> None:
    """It names the place, says what to do, and keeps the password."""
    with pytest.raises(ServiceError) as raised:
        explore(lambda: None, lambda: None, **where)
    said = "PostgreSQL at 127.0.0.1:1 can't be used: nothing listens there; start it, or correct the URL"
    assert (said, None) == (str(raised.value), raised.value.__cause__)


def test_a_factorys_search_path_is_kept_to(url: str) -> None:
    """Tables are looked for where the factory's connections look for them."""

    def body() -> None:
        with psycopg.connect(url, options=_APP) as connection:
            _add(connection, "other")

    found = explore(body, body, engine=lambda: psycopg.connect(url, options=_APP))
    assert (False, True, None) == (found.found, found.complete, found.remark)


def test_an_engine_may_say_more_than_its_url(url: str) -> None:
    """What an engine gives to the driver beside its URL counts."""
    engine = create_engine(_alchemy(url), connect_args={"options": _APP})

    def body() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE other SET n = n + 1"))

    found = explore(body, body, engine=engine)
    assert (False, True, None) == (found.found, found.complete, found.remark)


@pytest.mark.parametrize(("options", "table"), [("", "app.other"), (_APP, "other")])
def test_tables_beyond_the_search_path_are_refused(url: str, options: str, table: str) -> None:
    """Rows there would not be put back, which is said before a schedule is judged by them."""

    def body() -> None:
        with psycopg.connect(url, options=options) as connection:
            _add(connection, table)

    with pytest.raises(Uncontrolled, match="not on the search path"):
        explore(body, body, engine=url)


def test_rows_are_left_as_set_up_left_them(url: str) -> None:
    """What the last schedule did is put back, and nothing of the explorer's own stays."""

    def body(connection: Any) -> None:  # noqa: ANN401 - psycopg's
        _add(connection, "counter")
        connection.commit()

    complete = explore(body, body, engine=url).complete
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT n FROM counter").fetchall()
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rowrace%'").fetchall()
    assert (True, [(0,)], []) == (complete, rows, schemas)


def test_no_schedule_sees_what_another_one_set(url: str) -> None:
    """A pool's connections are set as its own set-up left them, whatever bodies set."""
    engine, seen = create_engine(_alchemy(url)), set()
    settings = "SELECT current_setting('work_mem'), current_setting('statement_timeout'), current_setting('a.b', true)"

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:  # noqa: ANN401 - psycopg's
        connection.execute("SET statement_timeout = '9s'")
        connection.commit()

    def body() -> None:
        with engine.connect() as connection:
            seen.add(tuple(connection.execute(text(settings)).one())[:2])
            connection.execute(text("SET work_mem = '1MB'"))
            connection.execute(text("SELECT set_config('statement_timeout', '8s', false)"))
            connection.execute(text("UPDATE counter SET n = n + 1"))
            connection.commit()

    found = explore(body, body, engine=engine, policy="exhaustive")
    assert (True, {("4MB", "9s")}) == (found.complete, seen)


def test_one_connection_for_all_is_refused(url: str) -> None:
    """A pool that gives everybody the same connection is told apart from bodies that work."""
    engine = create_engine(_alchemy(url), poolclass=StaticPool)

    def body() -> None:
        with closing(engine.connect()) as connection:
            connection.execute(text("UPDATE counter SET n = n + 1"))
            connection.commit()

    with pytest.raises(Uncontrolled, match="one connection at the same time"):
        explore(body, body, engine=engine)
