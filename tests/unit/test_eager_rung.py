"""Where eager mode races, and what may be asked of it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.options import configured
from orchestrator.config import Config
from orchestrator.errors import UsageError
from orchestrator.groups import LOSES, groups
from orchestrator.profile import Mode, Profile
from worker.contract import Isolation


def _profile(strategy: str = "all", *levels: Isolation, scenario: str = "credits") -> Profile:
    isolation = levels or (Isolation.READ_COMMITTED,)
    return Profile(mode=Mode.EAGER, strategies=(strategy,), isolation=isolation, scenarios=(scenario,))


def test_a_server_has_every_strategy_and_level() -> None:
    """On Postgres eager mode has the same groups as a distributed run."""
    profile = _profile("all", *Isolation)
    assert groups(profile) == groups(profile, eager=True, sqlite=False)
    assert set(LOSES) == {group.strategy for group in groups(profile, eager=True, sqlite=False)}


@pytest.mark.parametrize(("strategy", "level"), [("pessimistic", "read committed"), ("naive", "serializable")])
def test_what_sqlite_lacks_is_offered_on_a_database(strategy: str, level: str) -> None:
    """The refusal says where it would run."""
    with pytest.raises(UsageError, match=r"not on this rung: .*give it a database for the others"):
        groups(_profile(strategy, Isolation(level)), eager=True)


def test_no_server_makes_a_producer() -> None:
    """Requests need a producer beside the workers, on every database."""
    with pytest.raises(UsageError, match="needs a producer"):
        groups(_profile("naive", scenario="requests"), eager=True, sqlite=False)


@pytest.mark.parametrize(
    ("config", "given"),
    [
        (Config(state_dir=Path()), False),
        (Config(state_dir=Path(), database_url="postgresql://h/d"), True),
        (Config(state_dir=Path(), embedded_database=True), True),
    ],
)
def test_a_database_is_raced_on_where_one_is_asked_for(config: Config, *, given: bool) -> None:
    """A URL or the word embedded takes eager mode off SQLite."""
    assert given == config.database_given


def test_embedded_is_a_word_for_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in a URL's place, and overrules the environment's."""
    monkeypatch.setenv("ROWRACE_DATABASE_URL", "postgresql://h/d")
    config = configured(database="embedded")
    assert (None, True) == (config.database_url, config.embedded_database)
