"""SQLAlchemy on a controlled SQLite file: bodies that know nothing of the explorer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, String, create_engine, event, select, text, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,  # noqa: TC002 - the ORM reads annotations
    Session,
    mapped_column,
)
from sqlalchemy.orm.exc import StaleDataError

from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from tests.unit.exploring_sqlite import Explored, explored, shown, steps, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from orchestrator.explorer.model import Execution


class Base(DeclarativeBase):
    """Tables of these tests."""


class Account(Base):
    """Without a version: the last writer wins."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Versioned(Base):
    """With a version that the ORM checks."""

    __tablename__ = "versioned"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as the ORM has it


class Entry(Base):
    """Refers to an account, and has a name that is nobody else's."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[int] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(String, unique=True)


Setting = tuple[Explored, "Engine"]


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Setting]:
    """An engine with its pool, on a file under control."""
    with explored(tmp_path / "bank.db", "") as exploration:
        engine = create_engine(f"sqlite:///{exploration.path}")
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all([Account(id=1, balance=100), Account(id=2, balance=100)])
            session.add(Versioned(id=1, balance=100, version=1))
            session.commit()
        exploration.database.keep()
        yield exploration, engine
        engine.dispose()


def _core(engine: Engine) -> str:
    with engine.begin() as connection:
        balance = connection.execute(select(Account.balance).where(Account.id == 1)).scalar_one()
        connection.execute(update(Account).where(Account.id == 1).values(balance=balance + 10))
    return "done"


def _orm(kind: Any) -> Callable[[Engine], str]:  # noqa: ANN401 - a mapped class
    def body(engine: Engine) -> str:
        with Session(engine) as session:
            account = session.get_one(kind, 1)
            account.balance += 10
            try:
                session.commit()
            except StaleDataError:
                return "stale"
        return "done"

    return body


def _nested(engine: Engine) -> str:
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        account.balance += 1
        session.flush()
        try:
            with session.begin_nested():
                session.add(Entry(account=1, name="only"))
        except IntegrityError:
            session.commit()
            return "taken"
        session.commit()
    return "added"


def _upsert(engine: Engine) -> str:
    with engine.begin() as connection:
        statement = insert(Account).values(id=3, balance=1)
        statement = statement.on_conflict_do_update(index_elements=[Account.id], set_={"balance": Account.balance + 1})
        connection.execute(statement)
    return "done"


def _refers(engine: Engine) -> str:
    try:
        with engine.begin() as connection:
            connection.execute(Entry.__table__.insert().values(account=2, name="refers"))  # type: ignore[attr-defined]
    except IntegrityError:
        return "no such account"
    return "added"


def _removes(engine: Engine) -> str:
    try:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM account WHERE id = 2"))
    except IntegrityError:
        return "in use"
    return "removed"


def _autocommit(engine: Engine) -> str:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(update(Account).values(balance=Account.balance + 1))
        connection.execute(update(Account).values(balance=Account.balance * 2))
    return "done"


def _outcomes(bank: Setting, *bodies: Callable[[Engine], str], schedules: int = 60) -> set[tuple[object, ...]]:
    """Give what bodies returned, and what the account has then, over many random schedules."""
    exploration, engine = bank
    calls = [lambda body=body: body(engine) for body in bodies]
    runs = [exploration.run(RandomWalk(seed), *calls) for seed in range(schedules)]
    return {(*values(run), *_balances(run)) for run in runs}


def _balances(run: Execution) -> list[int]:
    return [row[1] for row in run.state["account"]]


def test_core_loses_an_update(bank: Setting) -> None:
    """Read, then write what was computed: both outcomes are found."""
    assert {("done", "done", 120, 100), ("done", "done", 110, 100)} == _outcomes(bank, _core, _core)


def test_core_s_steps(bank: Setting) -> None:
    """The pool's own work is no step, and neither is a rollback of nothing."""
    exploration, engine = bank
    execution = exploration.run(Replay([0, 0, 0]), lambda: _core(engine))
    assert ["SELECT", "UPDATE", "commit"] == [each.split()[1] for each in steps(execution)]


def test_orm_loses_an_update(bank: Setting) -> None:
    """A session without version_id_col does the same."""
    found = _outcomes(bank, _orm(Account), _orm(Account))
    assert {("done", "done", 120, 100), ("done", "done", 110, 100)} == found


def test_version_id_col_loses_none(bank: Setting) -> None:
    """With version_id_col one of them is stale, or they came one after the other."""
    exploration, engine = bank
    body = _orm(Versioned)
    runs = [exploration.run(RandomWalk(seed), lambda: body(engine), lambda: body(engine)) for seed in range(60)]
    found = {(*sorted(map(str, values(run))), run.state["versioned"][0][1]) for run in runs}
    assert {("done", "done", 120), ("done", "stale", 110)} == found


def test_savepoint(bank: Setting) -> None:
    """The second to add a unique name undoes only that, whoever it is."""
    found = _outcomes(bank, _nested, _nested)
    assert {("added", "taken"), ("taken", "added")} == {each[:2] for each in found}
    assert {101, 102} == {each[2] for each in found}


def test_on_conflict(bank: Setting) -> None:
    """INSERT ... ON CONFLICT is atomic: nothing is lost, and nobody fails."""
    assert {("done",) * 3 + (100, 100, 3)} == _outcomes(bank, _upsert, _upsert, _upsert)


def test_foreign_keys(bank: Setting) -> None:
    """With PRAGMA foreign_keys, whoever comes second gets the error."""
    found = _outcomes(bank, _refers, _removes)
    assert {("added", "in use", 100, 100), ("no such account", "removed", 100)} == found


def test_autocommit(bank: Setting) -> None:
    """Each statement of a connection in AUTOCOMMIT is a step of its own."""
    found = _outcomes(bank, _autocommit, _autocommit)
    assert {("done", "done", balance, balance) for balance in (406, 408)} == found


def test_error_is_sqlalchemy_s(bank: Setting) -> None:
    """What SQLite refuses comes out as SQLAlchemy says it: a snapshot that is too old."""
    exploration, engine = bank
    begun: Any = lambda connection: connection.exec_driver_sql("BEGIN")  # noqa: E731 - as SQLAlchemy's documentation has it
    event.listen(engine, "begin", begun)
    try:
        execution = exploration.run(Replay([0, 1, 0, 0, 1, 1]), lambda: _core(engine), lambda: _core(engine))
    finally:
        event.remove(engine, "begin", begun)
    assert isinstance(execution.endings[1].error, OperationalError)
    assert 110 == execution.state["account"][0][1]


@pytest.mark.parametrize("threads", [False, True])
def test_replays_are_equal(bank: Setting, threads: bool) -> None:  # noqa: FBT001 - a parameter
    """Whatever the pool holds at the time, a schedule is the same each time."""
    exploration, engine = bank
    bodies = [lambda body=body: body(engine) for body in (_nested, _orm(Account), _upsert, _refers, _removes)]
    for seed in range(60):
        first = exploration.run(RandomWalk(seed), *bodies, threads=threads)
        if seed % 3 == 0:
            engine.dispose()
        assert shown(first) == shown(exploration.run(Replay(first.choices), *bodies, threads=threads))
