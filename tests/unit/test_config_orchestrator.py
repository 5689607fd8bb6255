"""The orchestrator's configuration: what the environment may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import config
from orchestrator.errors import UsageError

_HOME = {"HOME": "/home/someone"}


def test_an_empty_environment_gives_the_defaults() -> None:
    """Without any variable services are embedded, and runs lie in the current folder."""
    loaded = config.load(_HOME)
    expected = config.Config(runs_dir=Path("rowrace-runs"), state_dir=Path("/home/someone/.local/state/rowrace"))
    assert expected == loaded


def test_every_variable_is_read() -> None:
    """Each variable has its field."""
    loaded = config.load(
        {
            "ROWRACE_DATABASE_URL": "postgres://u:p@h/d",
            "ROWRACE_BROKER_URL": "valkey://:p@h/0",
            "ROWRACE_RUNS_DIR": "/runs",
            "ROWRACE_FLOWER_AUTH": "user:pass:word",
            "XDG_STATE_HOME": "/state",
        }
    )
    expected = config.Config(
        database_url="postgresql://u:p@h/d",
        broker_url="redis://:p@h/0",
        runs_dir=Path("/runs"),
        state_dir=Path("/state/rowrace"),
        flower_auth="user:pass:word",
    )
    assert expected == loaded


def test_an_empty_variable_is_none() -> None:
    """An empty variable means the same as none at all."""
    names = ("ROWRACE_DATABASE_URL", "ROWRACE_BROKER_URL", "ROWRACE_RUNS_DIR", "ROWRACE_FLOWER_AUTH", "XDG_STATE_HOME")
    assert config.load(_HOME) == config.load(_HOME | dict.fromkeys(names, ""))


def test_a_relative_state_folder_is_ignored() -> None:
    """The XDG specification asks for an absolute path."""
    assert config.load(_HOME) == config.load(_HOME | {"XDG_STATE_HOME": "state"})


@pytest.mark.parametrize("text", ["user", "user:", ":secret", "user:sec,ret", "user:sécret"])
def test_an_auth_that_flower_would_misread_is_refused(text: str) -> None:
    """Flower splits at commas and compares ASCII only; the sentence doesn't repeat the password."""
    with pytest.raises(UsageError, match=r"\AROWRACE_FLOWER_AUTH must be [^\n]+\Z") as caught:
        config.load(_HOME | {"ROWRACE_FLOWER_AUTH": text})
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["ROWRACE_DATABASE_URL", "ROWRACE_BROKER_URL"])
def test_a_bad_url_names_its_variable(name: str) -> None:
    """The user learns which variable to correct."""
    with pytest.raises(UsageError, match=name):
        config.load(_HOME | {name: "nonsense"})


def test_a_shown_configuration_has_no_password() -> None:
    """Passwords don't reach a log through repr."""
    given = {"ROWRACE_DATABASE_URL": "postgres://u:secret@h/d", "ROWRACE_FLOWER_AUTH": "user:secret"}
    assert "secret" not in repr(config.load(_HOME | given))
