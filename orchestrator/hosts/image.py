"""Stands in for what images bring: their programs, the set-up of their data, their entrypoints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator.hosts import compose
from orchestrator.services import postgres
from orchestrator.services.binaries import wheel_postgres, wheel_valkey
from orchestrator.services.folder import subfolder
from orchestrator.services.postgres import Postgres
from orchestrator.services.rights import Rights, choose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.services.process import Spawn

#: Programs of the project's image, by the modules that they run; None is Python itself.
_MODULES: Final = {"celery": "celery", "rowrace": "orchestrator", "python": None}

#: What the programs import, where it is not installed: the checkout.
SOURCES: Final = str(Path(__file__).resolve().parents[2])


def program(argv: list[str]) -> list[str]:
    """The command line with the image's program found in this environment."""
    module = _MODULES[argv[0]]
    return [sys.executable, *(() if module is None else ("-m", module)), *argv[1:]]


def database(folder: Path, log: Path) -> tuple[Postgres, str]:
    """A PostgreSQL whose data is set up in a new folder, and its password."""
    account = choose()
    binaries = wheel_postgres()
    if account.rights is Rights.DROP:
        binaries = binaries.copy(folder / "programs")  # that account may not reach ours
    server = Postgres(binaries=binaries, folder=subfolder(folder, "postgres", account), log=log, account=account)
    return server, postgres.initialise(server)


def database_order(server: Postgres, service: Mapping[str, Any], *more: str) -> Spawn:
    """The declared command, with the data folder that the image would give."""
    name, *arguments = compose.argv(service)
    return server.order(name, *arguments, "-D", str(server.data), *more)


def broker(folder: Path, *more: str) -> Path:
    """A folder of programs, `docker-entrypoint.sh` and `redis-server`, for the declared script."""
    data, programs = folder / "redis", folder / "bin"
    data.mkdir()
    programs.mkdir()
    _script(programs / "docker-entrypoint.sh", 'exec "$@"')
    _script(programs / "redis-server", f'exec "{wheel_valkey().path}" "$@" --dir "{data}" {" ".join(more)}')
    return programs


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)
