"""Runs the services of docker-compose.yml without Docker: each one's own command line, on loopback, on free ports.

What an image brings stands in from the embedded servers: the entrypoint, the data folder, the port.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import redis

from orchestrator.hosts import image
from orchestrator.services import boot
from orchestrator.services.process import stop
from tests import compose_file
from tests.compose_file import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.services.process import Server

#: Seconds that a service may take to become healthy.
PATIENCE = 90.0


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A composed project whose database and broker are up."""

    #: The declared services, variables filled in.
    declared: dict[str, Any]
    folder: Path
    postgres_port: int
    redis_port: int
    #: What was put in place of container addresses and paths.
    replaced: dict[str, str] = field(repr=False)

    def environment(self, name: str) -> dict[str, str]:
        """A service's environment, as its container would see it."""
        declared = {key: self.adapt(value) for key, value in self.declared[name]["environment"].items()}
        base = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT)}
        return {**base, "HOSTNAME": socket.gethostname(), **declared}

    def adapt(self, text: str) -> str:
        """Container addresses and paths become those on this machine."""
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return text

    def command(self, name: str) -> list[str]:
        """A service's command line as it stands, its program from this environment."""
        return image.program([self.adapt(word) for word in compose_file.argv(self.declared[name])])

    def healthy(self, name: str) -> bool:
        """What the service's own health check says."""
        kind, *check = self.declared[name]["healthcheck"]["test"]
        words = [self.adapt(word) for word in check]
        env = self.environment(name)
        if kind == "CMD-SHELL":
            words = words[0].replace("$HOSTNAME", env["HOSTNAME"]).split()
        done = subprocess.run(
            image.program(words), env=env, cwd=self.folder, capture_output=True, check=False, timeout=PATIENCE
        )
        return done.returncode == 0

    @contextlib.contextmanager
    def started(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A service of ours, healthy within the block, ended and reaped after it."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(name),
                env=self.environment(name),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(lambda: process.poll() is not None or self.healthy(name))
            assert process.poll() is None, (self.folder / f"{name}.log").read_text()
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                process.wait()


def wait_until(holds: Callable[[], bool]) -> None:
    """Return when the condition holds; fail when it doesn't in time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


@contextlib.contextmanager
def stack(folder: Path, **variables: str) -> Iterator[Stack]:
    """Database and broker of docker-compose.yml, started by their own command lines."""
    environ = {
        "ROWRACE_REDIS_PASSWORD": secrets.token_hex(12),
        "ROWRACE_POSTGRES_PASSWORD": "replaced",  # the image's set-up would set it; here initdb does
        "ROWRACE_FLOWER_AUTH": f"watcher:{secrets.token_hex(12)}",
        **variables,
    }
    declared = compose_file.services(environ)
    with contextlib.ExitStack() as stacked:
        started: list[Server] = []
        stacked.callback(stop, started)
        password, postgres_port = _postgres(declared["postgres"], folder, started)
        redis_port = stacked.enter_context(_redis(declared["redis"], folder))
        replaced = {
            ":replaced@postgres:5432/rowrace": f":{password}@127.0.0.1:{postgres_port}/postgres",
            "@redis:6379": f"@127.0.0.1:{redis_port}",
            "/var/lib/rowrace": str(folder),
            "0.0.0.0": "127.0.0.1",  # noqa: S104 -- what is replaced
            "5555": str(free_port()),
        }
        yield Stack(
            declared=declared, folder=folder, postgres_port=postgres_port, redis_port=redis_port, replaced=replaced
        )


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _postgres(service: dict[str, Any], folder: Path, started: list[Server]) -> tuple[str, int]:
    """The declared command, with the data folder and port that the image would give."""
    server, password = image.database(folder, folder / "postgres.log")
    usual = server.program()
    declared = boot.Program(
        name="postgres",
        order=lambda port: image.database_order(server, service, "-p", str(port)),
        ready=usual.ready,
        signals=usual.signals,
        log=server.log,
    )
    return password, boot.finish(boot.begin(declared, started), started)


@contextlib.contextmanager
def _redis(service: dict[str, Any], folder: Path) -> Iterator[int]:
    """The declared script, with an entrypoint and a `redis-server` that stand in for the image's."""
    port = free_port()
    programs = image.broker(folder, "--bind 127.0.0.1", f"--port {port}")
    env = {"PATH": f"{programs}:{os.environ['PATH']}", **service["environment"]}
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(
            compose_file.argv(service), env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: process.poll() is not None or _answers(port, env["REDISCLI_AUTH"]))
        assert process.poll() is None, (folder / "redis.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int, password: str) -> bool:
    try:
        with redis.Redis(port=port, password=password, socket_timeout=5) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False
