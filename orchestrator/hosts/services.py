"""Starts on each host the very command that docker-compose.yml declares for its service."""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.errors import ServiceError
from orchestrator.hosts import compose, image
from orchestrator.hosts.host import PATH
from orchestrator.hosts.layout import BROKER, DATABASE, ORCHESTRATOR
from orchestrator.services import boot, launch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.hosts.host import Host, Program
    from orchestrator.hosts.layout import Layout
    from orchestrator.services.postgres import Postgres

#: How long a service may take to become healthy, seconds, and the pause between two looks.
_PATIENCE: Final = 60.0
_TICK: Final = 0.05

#: Least time from one start of a service to the next, seconds.
_PAUSE: Final = 1.0

#: Where the image keeps what is to last; each host has a folder of its own in its place.
_KEPT: Final = "/var/lib/rowrace"


class _Running(NamedTuple):
    """A service that was started."""

    program: Program
    argv: Sequence[str]
    env: Mapping[str, str]
    #: Not None: it is started again when it ends.
    restart: str | None
    since: float


class Fleet:
    """The services of a layout: started one after another, ended by their hosts' end."""

    def __init__(self, layout: Layout, file: Path, concurrency: int, logs: Path) -> None:
        self._layout = layout
        self._logs = logs
        self._running: dict[str, _Running] = {}
        password = secrets.token_urlsafe(24)
        self._server, database_password = image.database(layout.folder / DATABASE, logs / f"{DATABASE}.log")
        variables = {
            "ROWRACE_POSTGRES_PASSWORD": database_password,
            "ROWRACE_REDIS_PASSWORD": password,
            "ROWRACE_FLOWER_AUTH": f"watcher:{secrets.token_urlsafe(24)}",
            "ROWRACE_WORKERS": str(len(layout.workers)),
            "ROWRACE_CONCURRENCY": str(concurrency),
        }
        self.declared = compose.services(variables, file)

    def start(self, told: Mapping[str, str], more: Sequence[str]) -> None:
        """Start everything but the orchestrator; workers get `told` in their environment and `more` as arguments."""
        self._start_broker()
        self._start_database()
        self._await_healthy("orchestrator", [ORCHESTRATOR], (DATABASE, BROKER))
        for name in self._layout.workers:
            service = self.declared["worker"]
            argv = [*image.program(compose.argv(service)), *more]
            self._start(name, argv, {**self.environment("worker", name), **told}, service.get("restart"))
        self._await_healthy("worker", self._layout.workers, self._layout.workers)

    def environment(self, service: str, name: str) -> dict[str, str]:
        """A service's environment on a host, as its container would see it."""
        home = str(self._layout.folder / name)
        declared = {key: value.replace(_KEPT, home) for key, value in self.declared[service]["environment"].items()}
        base = {
            "PATH": PATH,
            "HOME": home,
            "TMPDIR": home,
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": image.SOURCES,
            "HOSTNAME": name,
        }
        return {**base, **declared}

    def mend(self) -> list[str]:
        """Say which services have ended, and what their last words were; start those again that are declared so."""
        told = []
        for name, each in list(self._running.items()):
            if each.program.lives() or (each.restart and time.monotonic() - each.since < _PAUSE):
                continue
            told.append(self._end(name))
            del self._running[name]
            if each.restart:
                self._start(name, each.argv, each.env, each.restart)
        return told

    def _start_broker(self) -> None:
        service = self.declared["redis"]
        programs = image.broker(self._layout.folder / BROKER)
        self._start(BROKER, compose.argv(service), {"PATH": f"{programs}:{PATH}", **service["environment"]})

    def _start_database(self) -> None:
        service = self.declared["postgres"]
        with (self._server.data / "pg_hba.conf").open("a") as rules:  # as the image's set-up does
            rules.write("host all all all scram-sha-256\n")
        order = image.database_order(self._server, service, "-c", "listen_addresses=*")
        account = order.account
        become = launch.Order(
            rights=account.rights,
            uid=account.uid,
            gid=account.gid,
            parent=0,
            signal=0,
            detach=False,
            argv=list(order.argv),
        )
        program = self._start(DATABASE, launch.command(become), {"PATH": PATH, "LC_ALL": "C", "TZ": "UTC"})
        ready = self._server.program().ready
        self._until(lambda: ready(5432), DATABASE, [program])
        self._create_database(self._layout.hosts[DATABASE], self._server, service["environment"])

    def _create_database(self, host: Host, server: Postgres, said: Mapping[str, str]) -> None:
        """Make the database that the image's set-up would make."""
        argv = (str(server.binaries.bin / "createdb"), "--host=127.0.0.1", f"--username={said['POSTGRES_USER']}")
        code, words = host.ask(*argv, said["POSTGRES_DB"], env={"PGPASSWORD": said["POSTGRES_PASSWORD"]})
        if code:
            raise ServiceError(f"The database {said['POSTGRES_DB']} can't be made: {' '.join(words.split())}")

    def _start(self, name: str, argv: Sequence[str], env: Mapping[str, str], restart: str | None = None) -> Program:
        with (self._logs / f"{name}.log").open("ab") as log:
            program = self._layout.hosts[name].start(argv, env, self._layout.folder / name, log.fileno())
        again = restart in ("always", "unless-stopped", "on-failure")
        self._running[name] = _Running(program, argv, env, restart if again else None, time.monotonic())
        return program

    def _await_healthy(self, service: str, names: Sequence[str], needed: Sequence[str]) -> None:
        """Wait until the service's declared check holds on each of the hosts."""
        for name in names:
            self._until(partial(self._healthy, service, name), name, [self._running[each].program for each in needed])

    def _healthy(self, service: str, name: str) -> bool:
        kind, *words = self.declared[service]["healthcheck"]["test"]
        env = self.environment(service, name)
        if kind == "CMD-SHELL":
            words = words[0].replace("$HOSTNAME", name).split()
        code, _ = self._layout.hosts[name].ask(*image.program(words), env=env)
        return code == 0

    def _until(self, holds: Callable[[], bool], name: str, needed: Sequence[Program]) -> None:
        """Wait for a condition; a service that ends meanwhile is told with its last words."""
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            for program in needed:
                if not program.lives():
                    raise ServiceError(self._end(program.host.name))
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"The service on host {name} was not ready within {_PATIENCE:.0f} s: {self._words(name)}"
                )
            time.sleep(_TICK)

    def _end(self, name: str) -> str:
        return f"The service on host {name} ended ({self._running[name].program.wait(0)}): {self._words(name)}"

    def _words(self, name: str) -> str:
        log = self._logs / f"{name}.log"
        return boot.last_words(log) if log.exists() else "it said nothing"
