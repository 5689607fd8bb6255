"""The pytest plugin over the real explorer: what is kept of a race goes when the race is gone."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.documents import ROOT

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]

_TEST = """
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert, select, update

metadata = MetaData()
stock = Table("stock", metadata, Column("id", Integer, primary_key=True), Column("left", Integer))


def read_then_write(engine):
    with engine.begin() as connection:
        left = connection.scalar(select(stock.c.left))
    with engine.begin() as connection:
        connection.execute(update(stock).values(left=left - 1))


def one_statement(engine):
    with engine.begin() as connection:
        connection.execute(update(stock).values(left=stock.c.left - 1))


def test_sell(rowrace):
    engine = create_engine(f"sqlite:///{rowrace.sqlite_path}")

    def setup():
        with Path("set-ups").open("a") as file:
            file.write("x")
        metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(insert(stock).values(id=1, left=5))

    def body():
        SELL(engine)

    rowrace.explore(body, body, engine=engine, setup=setup)
"""


def test_what_was_found_goes_when_it_is_mended(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set-up, which can be called once only, is: the kept schedule is replayed on the search's own rows."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    kept, set_ups = pytester.path / ".rowrace-found.json", pytester.path / "set-ups"

    def run(sell: str, **outcomes: int) -> str:
        set_ups.write_text("")
        pytester.makepyfile(test_it=_TEST.replace("SELL", sell))
        done = pytester.runpytest_subprocess("-p", "orchestrator.pytest_plugin", "-p", "no:cacheprovider")
        done.assert_outcomes(**outcomes)
        assert "x" == set_ups.read_text()
        return done.stdout.str()

    assert "replayed first from now on" in run("read_then_write", failed=1)
    tokens = json.loads(kept.read_text())
    assert "A schedule that was found before still fails." in run("read_then_write", failed=1)
    assert tokens == json.loads(kept.read_text())
    run("one_statement", passed=1)
    assert not kept.exists()
