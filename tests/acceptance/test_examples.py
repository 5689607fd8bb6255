"""examples/: the races of an application that knows nothing of rowrace are found, and each fix is proven clean."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.documents import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.services import Services

    Shop = Callable[..., str]

#: Who is in tasks.py, and on which databases: each is found once, and its fix passes once.
RACES = 7

#: The guide's blocks: the example, and what it prints.
KINDS = ("python", "text")


@pytest.fixture
def shop(tmp_path: Path, services: Services) -> Shop:
    """Run the shop's own tests in a copy of it; the plugin is named, so that it need not be installed."""
    folder = tmp_path / "shop"
    shutil.copytree(ROOT / "examples" / "shop", folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}

    def run(*arguments: str, code: int = 0, database_url: str = services.database_url) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "orchestrator.pytest_plugin", *arguments],
            cwd=folder,
            env={**environment, "ROWRACE_DATABASE_URL": database_url},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout

    return run


def test_races_are_found_and_fixes_proven(shop: Shop, tmp_path: Path) -> None:
    """Every planted race is found, every fix is clean in a complete search, and what was found is replayed again."""
    assert f"{RACES} passed, {RACES} xfailed" in shop()
    kept = json.loads((tmp_path / "shop" / ".rowrace-found.json").read_text())["tests"]
    assert RACES == len(kept)
    assert f"{RACES} passed, {RACES} xfailed" in shop()
    assert kept == json.loads((tmp_path / "shop" / ".rowrace-found.json").read_text())["tests"]


def test_a_server_is_embedded_where_none_is_named(shop: Shop) -> None:
    """PostgreSQL's part needs no service but what pip installs."""
    assert "1 passed, 12 deselected, 1 xfailed" in shop("-k", "both_ways", database_url="")


def test_a_server_that_does_not_answer_is_one_sentence(shop: Shop) -> None:
    """A test that asks for a database where none can be had fails with the reason, and without a traceback."""
    said = shop("-k", "both_ways and fixed", database_url="postgresql://u:p@127.0.0.1:1/d", code=1)
    assert "rowrace: PostgreSQL at 127.0.0.1:1 can't be used: nothing listens there" in said
    assert "Traceback" not in said


def test_the_first_example_prints_what_the_guide_says(tmp_path: Path) -> None:
    """The first example of docs/explore.md runs as it stands there, and prints the listing that stands there."""
    guide = (ROOT / "docs" / "explore.md").read_text(encoding="utf-8")
    program, printed = (re.search(rf"^```{kind}\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL) for kind in KINDS)
    assert program is not None
    assert printed is not None
    done = subprocess.run(
        [sys.executable, "-c", program[1]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (0, printed[1]) == (done.returncode, done.stdout), done.stderr


def test_what_is_found_is_shown_and_replays(shop: Shop) -> None:
    """The listing names both tasks' statements; the command that it gives finds the same again."""
    said = shop("--runxfail", "-k", "sold_once and sqlite and planted", code=1)
    assert "1 sold" not in said.partition("FOUND")[0]
    assert "2 sold and 0 left of a stock of 1" in said
    assert "UPDATE items" in said
    command = re.search(r"Replay: pytest (.*) --rowrace-replay (\S+)", said)
    assert command is not None
    again = shop("--runxfail", command[1].strip("'"), "--rowrace-replay", command[2], code=1)
    assert "2 sold and 0 left of a stock of 1" in again
