"""Every `rowrace` command in the documentation runs as it stands there."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.documents import ROOT, commands

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.services import Services
    from tests.documents import Command

#: Seconds within which a documented command must end.
PATIENCE = 150

#: These serve until they are stopped; test_flower.py and test_services_kept.py run them.
SERVING = {"flower", "services"}


def runnable() -> list[Command]:
    """Documented `rowrace` commands that end by themselves and need no fleet, each once."""
    found = {
        (command.argv, command.exit): command
        for command in commands()
        if command.argv[0] == "rowrace" and command.argv[1] not in SERVING
    }
    return list(found.values())


@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize("command", runnable(), ids=str)
def test_it_ends_as_documented(command: Command, services: Services, tmp_path: Path) -> None:
    """The command ends with the exit code that the document gives, without a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *command.argv[1:]],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "ROWRACE_DATABASE_URL": services.database_url,
            "ROWRACE_BROKER_URL": services.broker_url,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert command.exit == done.returncode, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
