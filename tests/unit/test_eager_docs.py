"""The commands in docs/eager.md, run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_COMMANDS: Final = re.findall(r"^\$ rowrace ([^#\n]+)", (_ROOT / "docs" / "eager.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", _COMMANDS)
def test_command_does_what_the_page_says(command: str, tmp_path: Path) -> None:
    """Each command exits as its page says, without a traceback."""
    program = [sys.executable, "-c", "import sys; from orchestrator.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*program, *shlex.split(command)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    expected = 2 if "pessimistic" in command else 0
    assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (expected, False), done.stderr
