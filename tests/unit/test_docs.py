"""Commands in the documentation name things that exist; CONTRIBUTING.md says how each kind is checked."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import click
import pytest

from orchestrator import toml
from orchestrator.cli import rowrace
from tests.compose_file import services
from tests.documents import ROOT, commands, documents, scripts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.documents import Command

KINDS = {"rowrace", "make", "docker", "cp"}

COMPOSE = {
    "ROWRACE_POSTGRES_PASSWORD": "x",
    "ROWRACE_REDIS_PASSWORD": "x",
    "ROWRACE_FLOWER_AUTH": "x:y",
}


def of(kind: str) -> list[Command]:
    """The documented commands whose first word is `kind`."""
    return [command for command in commands() if command.argv[0] == kind]


def test_every_command_is_of_a_kind_that_is_checked() -> None:
    """No documented command is of a kind that the tests would pass over."""
    assert [] == [str(command) for command in commands() if command.argv[0] not in KINDS]


@pytest.mark.parametrize("command", of("make"), ids=str)
def test_make_targets_exist(command: Command) -> None:
    """A documented target is in the Makefile with a line of help, and make accepts it."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set() == set(command.argv[1:]) - set(re.findall(r"^(\w+):.*## \w", makefile, re.MULTILINE))
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    done = subprocess.run(
        [make, "--dry-run", *command.argv[1:]], cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    assert (0, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize("command", of("docker"), ids=str)
def test_compose_services_exist(command: Command) -> None:
    """`docker compose` is asked for a verb that it has, and for services that the file declares."""
    names = set(services(COMPOSE))
    assert "compose" == command.argv[1]
    assert command.argv[2] in {"up", "down", "run", "logs", "ps", "build"}
    scaled = [after.partition("=")[0] for word, after in pairwise(command.argv) if word == "--scale"]
    from_exit = [after for word, after in pairwise(command.argv) if word == "--exit-code-from"]
    assert set() == {*scaled, *from_exit, *_plain(command)} - names
    inner = command.argv[command.argv.index("rowrace") :] if "rowrace" in command.argv else ()
    assert [] == _unknown_flags(list(inner))


@pytest.mark.parametrize("command", of("cp"), ids=str)
def test_copied_files_exist(command: Command) -> None:
    """What a document says to copy is there."""
    assert (ROOT / command.argv[1]).is_file()


@pytest.mark.parametrize("command", of("rowrace"), ids=str)
def test_flags_exist(command: Command) -> None:
    """Each flag of a documented `rowrace` command is one that the command has."""
    assert [] == _unknown_flags(list(command.argv))


@pytest.mark.parametrize(("document", "script"), scripts())
def test_scripts_are_shell(document: str, script: str) -> None:
    """A block of `sh` parses, and the flags of `rowrace` in it exist."""
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("no POSIX shell")
    assert 0 == subprocess.run([shell, "-n"], input=script.encode(), check=False, timeout=10).returncode, document
    lines = script.replace("\\\n", " ").splitlines()
    calls = [line.split() for line in lines if line.startswith("rowrace ")]
    assert [] == [flag for call in calls for flag in _unknown_flags(call)]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link of a document leads to a file or folder of the checkout."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [] == [target for target in targets if not (path.parent / target).exists()]


def test_every_key_of_a_profile_is_documented() -> None:
    """docs/profile.md has a row for each key, with its flag, and no row for anything else."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| (?:\(arguments\)|`(--[\w-]+)`)", (ROOT / "docs" / "profile.md").read_text(), re.MULTILINE
    )
    keys = {key.name: "" if key.name == "scenarios" else key.flag for key in toml.known()}
    assert keys == dict(rows)


def test_no_command_escapes() -> None:
    """A `rowrace` command in an indented block would be run by no test: it belongs into a `console` block."""
    found = [
        f"{path.name}: {line}"
        for path in documents()
        for line in re.findall(r"^ {4}(?:\$ )?((?:rowrace|make) .*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert [] == found


def _plain(command: Command) -> list[str]:
    """Services that a `docker compose up` or `run` names: of `run`, only the first word is one."""
    takes_value = {"--scale", "--exit-code-from"}
    words = [word for before, word in pairwise(command.argv[2:]) if before not in takes_value and word[0] != "-"]
    return words[:1] if command.argv[2] == "run" else words


def _unknown_flags(argv: list[str]) -> list[str]:
    """Flags of a `rowrace` command line that click doesn't know."""
    command: click.Command = rowrace
    rest = argv[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            return [rest[0]]
        command, rest = found, rest[1:]
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
    return [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known]
