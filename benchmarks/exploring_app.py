"""The same two bodies as people write them: ORM sessions on an engine, and Celery tasks around those."""

from __future__ import annotations

from celery import Celery
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker  # noqa: TC002 - read at run time
from sqlalchemy.orm.exc import StaleDataError

from benchmarks.exploring_bodies import AMOUNT

#: Bound to an engine by who explores.
sessions = sessionmaker()

app = Celery("exploring", broker="memory://", set_as_current=False)


class Base(DeclarativeBase):
    """The tables."""


class Account(Base):
    """A balance that anybody may overwrite."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]
    version: Mapped[int]


class Versioned(DeclarativeBase):
    """The same table, its version looked at."""


class VersionedAccount(Versioned):
    """A balance whose writes are checked against the version read."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy's documentation has it


def naive() -> None:
    """Load, change, commit."""
    with sessions() as session:
        account = session.get_one(Account, 1)
        account.balance -= AMOUNT
        session.commit()


def optimistic() -> int:
    """Load, change, commit, again while somebody else was quicker; gives the tries that failed."""
    failed = 0
    while not _committed():
        failed += 1
    return failed


def _committed() -> bool:
    with sessions() as session:
        account = session.get_one(VersionedAccount, 1)
        account.balance -= AMOUNT
        try:
            session.commit()
        except StaleDataError:
            return False
        return True


naive_task = app.task(naive)
optimistic_task = app.task(optimistic)
