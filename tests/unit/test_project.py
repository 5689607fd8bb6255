"""House rules: the checkout's shape, and what no file in it may contain."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.documents import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TOP_LEVEL = [
    ".ci/run",
    ".github/workflows/ci.yml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks/README.md",
    "docker-compose.yml",
    "docs/architecture.md",
    "orchestrator/__init__.py",
    "pyproject.toml",
    "requirements.lock",
    "rowrace.py",
    "tests/unit",
    "tests/integration",
    "tests/acceptance",
    "worker/__init__.py",
]

LONGEST = 400

#: Written in pieces, so that this file passes its own test.
_HOSTS = "|".join(name + r"\." + end for name, end in [("pypi", "org"), ("pythonhosted", "org"), ("files", "pypi")])
FORBIDDEN = {
    "a folder of somebody's machine": re.compile(
        r"(?<![\w.~}-])/(?:work|root|(?:home|Users)(?!/some(?:body|one)\b))/\w"
    ),
    "a package registry": re.compile(_HOSTS),
    "a pickle": re.compile(r"\b(?:import|from) " + "pickle|pickle" + r"\.(?:load|dump)|[\"']pickle[\"']"),
    "a private key": re.compile("BEGIN [A-Z ]*PRIVATE" + " KEY"),
}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that git would hand to somebody: tracked, or new and not ignored."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return tuple(path for path in paths if path.is_file())


def project() -> dict[str, Any]:
    """The `[project]` table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def test_the_top_level_is_as_promised() -> None:
    """Everything that a reader is told to find is there."""
    assert [] == [name for name in TOP_LEVEL if not (ROOT / name).exists()]


def test_files_stay_short() -> None:
    """No source file is longer than the ceiling."""
    sources = [path for path in tracked() if path.suffix in {".py", ".sql", ".sh"}]
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in sources
    }
    assert {} == {name: lines for name, lines in lengths.items() if lines > LONGEST}


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_contains(what: str) -> None:
    """No file names a machine's folders or a download address, or holds what it mustn't."""
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # no text
        found += [f"{path.relative_to(ROOT)}: {each[0]}" for each in FORBIDDEN[what].finditer(text)]
    assert [] == found


def test_the_changelog_begins_with_this_version() -> None:
    """The newest heading of the changelog names the project's version."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [project()["version"]] == re.findall(r"^## (\S+)", changelog, re.MULTILINE)[:1]


def test_the_lock_pins_every_requirement() -> None:
    """requirements.lock holds exact versions only, sorted, and one for each thing that the project asks for."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    form = re.compile(r"[a-z0-9-]+==[\w.+!]+( ; [^;]+)?")
    assert [] == [pin for pin in pins if not form.fullmatch(pin)]
    names = [pin.partition("==")[0] for pin in pins]
    assert sorted(names) == names
    meta = project()
    asked = [re.split(r"[\[<>=;]", line)[0] for line in (*meta["dependencies"], *meta["optional-dependencies"]["dev"])]
    assert set() == {_normal(name) for name in asked} - set(names)


def test_the_command_is_declared() -> None:
    """Installing the project gives the command `rowrace`."""
    assert {"rowrace": "orchestrator.cli:main"} == project()["scripts"]


def test_import_rules_hold() -> None:
    """import-linter finds every contract kept."""
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert 0 == done.returncode, done.stdout


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
