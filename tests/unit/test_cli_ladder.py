"""The ladder: which rung a run takes, and that it never changes rungs in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator import distributed, ladder
from orchestrator.api import Silent
from orchestrator.config import Config
from orchestrator.errors import ServiceError, UsageError
from orchestrator.interrupt import Interrupt
from orchestrator.profile import Mode, Profile
from orchestrator.run import run

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.reports.result import Report

WHY = "initdb could not be started."


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """No URL, folders of its own."""
    return Config(runs_dir=tmp_path / "runs", state_dir=tmp_path / "state")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedded services that don't start."""

    def refuse(*_: object) -> None:
        raise ServiceError(WHY)

    monkeypatch.setattr(distributed, "race", refuse)


def _run(config: Config, **changes: object) -> Report:
    profile = Profile(**{"strategies": ("naive",), "operations": 100, **changes})  # type: ignore[arg-type]  # a profile's keys
    return run(profile, config, Silent(), Interrupt())


def test_auto_takes_given_urls(config: Config) -> None:
    """Whatever was given is used."""
    given = Config(
        database_url="postgresql://h/d", broker_url="redis://h/0", runs_dir=config.runs_dir, state_dir=config.state_dir
    )
    assert Mode.DISTRIBUTED is ladder.choose(Mode.AUTO, given)


@pytest.mark.parametrize("what", ["wheel_postgres", "wheel_valkey", "need_driver"])
def test_auto_is_eager_without_the_wheels(config: Config, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Where nothing can be embedded, or asked, the lowest rung is left."""

    def missing() -> None:
        raise ServiceError("not installed")

    monkeypatch.setattr(ladder, what, missing)
    assert Mode.EAGER is ladder.choose(Mode.AUTO, config)


@pytest.mark.usefixtures("broken")
def test_auto_falls_when_embedded_services_do_not_start_and_says_so(config: Config) -> None:
    """The report names the rung, why it is the lowest, and what that can't show."""
    report = _run(config, mode=Mode.AUTO)
    assert ["INVALID"] == [row.verdict for row in report.rows]
    assert "eager" in report.rung
    assert any(WHY in note for note in report.notes)
    assert any(note.startswith("Not shown on this rung") for note in report.notes)


@pytest.mark.usefixtures("broken")
def test_distributed_never_falls(config: Config) -> None:
    """Who asked for services gets them or an error, and no folder of a run that never began."""
    with pytest.raises(ServiceError, match=WHY):
        _run(config, mode=Mode.DISTRIBUTED)
    assert [] == list(config.runs_dir.iterdir())


@pytest.mark.usefixtures("broken")
def test_auto_does_not_drop_strategies_in_silence(config: Config) -> None:
    """A strategy that the lower rung can't express is an error there, not left out."""
    with pytest.raises(UsageError, match="pessimistic is not on this rung"):
        _run(config, mode=Mode.AUTO, strategies=("pessimistic",))
