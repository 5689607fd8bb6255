"""Eager mode on Postgres: every strategy and level under the same scheduler, and nothing is left."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator import schema
from orchestrator.eager import Where, run_group
from orchestrator.groups import LOSES, Group, expected
from orchestrator.history.model import TABLES
from orchestrator.profile import Expect, Profile, Think
from orchestrator.verifier import verify
from orchestrator.verifier.verdict import Value
from worker.contract import Isolation, Retry, Via

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from orchestrator.history.model import History

_CELLS = [
    (strategy, level)
    for strategy in LOSES
    for level in Isolation
    if strategy != "serializable" or level is Isolation.SERIALIZABLE
]


def _race(
    folder: Path,
    url: str,
    strategy: str,
    level: Isolation = Isolation.READ_COMMITTED,
    **changes: Any,  # noqa: ANN401 - a profile's fields
) -> History:
    scenario = changes.pop("scenario", "credits")
    stopped = changes.pop("stopped", lambda: False)
    profile = Profile(**{"operations": 40, "rows": 2, "seed": 1, **changes})
    group = Group(number=1, scenario=scenario, strategy=strategy, isolation=level, expected=Value.VALID)
    run = secrets.token_hex(6)
    return run_group(profile, group, folder / run, run=run, where=Where(url, "eager: on a test's"), stopped=stopped)


@pytest.mark.parametrize(("strategy", "level"), _CELLS)
def test_every_cell_is_as_the_table_has_it(tmp_path: Path, database_url: str, strategy: str, level: Isolation) -> None:
    """Each strategy at each level gets the verdict that a distributed run gets, with real overlaps."""
    verdict = verify(_race(tmp_path, database_url, strategy, level))
    assert expected(Expect.TABLE, strategy, level) == verdict.value


def test_config_is_raced_too(tmp_path: Path, database_url: str) -> None:
    """Documents change as they should."""
    assert Value.VALID == verify(_race(tmp_path, database_url, "optimistic", scenario="config")).value


@pytest.mark.parametrize("via", list(Via))
@pytest.mark.parametrize("strategy", ["naive", "pessimistic", "serializable"])
def test_same_seed_same_race(tmp_path: Path, database_url: str, strategy: str, via: Via) -> None:
    """Two runs of one profile are equal but for backends and transaction numbers."""
    level = Isolation.SERIALIZABLE if strategy == "serializable" else Isolation.READ_COMMITTED
    races = [_race(tmp_path, database_url, strategy, level, retry=Retry(via=via)) for _ in range(2)]
    tables = [{table: getattr(each, table).to_pylist() for table in TABLES} for each in races]
    for each in tables:
        for row in (*each["attempts"], *each["effects"]):
            for name in ("backend_pid", "backend_start_us", "txid"):
                row.pop(name, None)
    assert tables[0] == tables[1]


def test_pauses_cost_no_wall_time(tmp_path: Path, database_url: str) -> None:
    """An hour's think time passes on the virtual clock alone, in effects too."""
    history = _race(tmp_path, database_url, "optimistic", think=Think(min_ms=60_000, max_ms=60_000), operations=60)
    last = max(each["at_us"] for each in history.effects.to_pylist())
    assert max(each["end_ns"] or 0 for each in history.attempts.to_pylist()) // 1_000 >= last > 1_800_000_000


def test_interrupted_run_keeps_what_it_has(tmp_path: Path, database_url: str, database: psycopg.Connection) -> None:
    """What was open is rolled back and its backends have ended; the schema is gone."""
    looks = iter(range(1_000))
    history = _race(tmp_path, database_url, "pessimistic", stopped=lambda: next(looks) >= 90)
    cut = [each for each in history.attempts.to_pylist() if each["end_ns"] is None]
    written = set(history.effects["writer"].to_pylist())
    pids = [each["backend_pid"] for each in history.attempts.to_pylist()]
    alive = database.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)", (pids,)).fetchone()
    assert (True, True, set()) == (history.meta.interrupted, bool(cut), {each["token"] for each in cut} & written)
    assert ((0,), Value.UNKNOWN) == (alive, verify(history).value)


def test_nothing_is_left_unless_it_is_to_be(tmp_path: Path, database_url: str, database: psycopg.Connection) -> None:
    """A group's schema goes with the race, or stays where that was asked for."""
    group = Group(
        number=1, scenario="credits", strategy="naive", isolation=Isolation.READ_COMMITTED, expected=Value.VALID
    )
    for run, keep in ((secrets.token_hex(6), False), (secrets.token_hex(6), True)):
        run_group(Profile(operations=4), group, tmp_path / run, run=run, where=Where(database_url, keep=keep))
        name = f"rowrace_{run}_1"
        assert keep == (name in schema.schemas(database))
        schema.drop(database, name)
