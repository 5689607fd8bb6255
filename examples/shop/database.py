"""The shop's database: one engine, one session maker."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import sessionmaker

from shop.models import Base

Session = sessionmaker()


def connect(url: str) -> Engine:
    """Bind sessions to the database at `url`, and make its tables."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    Session.configure(bind=engine)
    return engine
