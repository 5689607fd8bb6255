"""Flower on the run's broker, never without a password.

Flower speaks plain HTTP: on another address than loopback, put it behind something that speaks TLS.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import urlopen

import msgspec

from orchestrator.errors import ServiceError
from orchestrator.services import check, launch
from orchestrator.services.process import TICK, deferred_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 5555

_PROCESS: Final = Path(launch.__file__).with_name("flower_process.py")
_PATIENCE: Final = 60.0
_STOP_PATIENCE: Final = 10.0


class Flower(msgspec.Struct, frozen=True):
    """A Flower that answers."""

    url: str
    child: subprocess.Popen[bytes]

    def wait(self) -> int:
        """Wait until it ends by itself; its exit code."""
        return self.child.wait()


def random_auth() -> str:
    """A user with a fresh password, as "user:password"."""
    return f"rowrace:{secrets.token_urlsafe(12)}"


def command(broker_url: str, auth: str, address: str = LOOPBACK, port: int = PORT) -> tuple[list[str], dict[str, str]]:
    """Flower's arguments, which hold no secret, and its whole environment, which does."""
    environment = {
        "PATH": os.defpath,
        "CELERY_BROKER_URL": broker_url,
        "FLOWER_BASIC_AUTH": auth,
        "FLOWER_ADDRESS": address,
        "FLOWER_PORT": str(port),
        # Flower executes a flowerconfig.py that lies in its folder, which could take the password away.
        "FLOWER_CONF": os.devnull,
    }
    # -P: a script's own folder is not searched for packages.
    return [sys.executable, "-P", str(_PROCESS)], environment


@contextlib.contextmanager
def serving(
    broker_url: str, auth: str, address: str = LOOPBACK, port: int = PORT, log: int | None = None
) -> Iterator[Flower]:
    """Flower, up and answering within the block; its own output goes to `log`, by default our stderr."""
    check.broker(broker_url)
    _need_port(address, port)
    with deferred_signals():
        child = _start(broker_url, auth, address, port, log)
    try:
        url = f"http://{_host(address)}:{port}"
        _await(child, url)
        yield Flower(url, child)
    finally:
        with deferred_signals():
            _stop(child)


def _start(broker_url: str, auth: str, address: str, port: int, log: int | None) -> subprocess.Popen[bytes]:
    argv, environment = command(broker_url, auth, address, port)
    order: launch.Order = {
        "rights": "same",
        "uid": 0,
        "gid": 0,
        "parent": os.getpid(),
        "signal": signal.SIGTERM,
        "detach": False,
        "argv": argv,
    }
    output = sys.stderr.fileno() if log is None else log
    return subprocess.Popen(
        launch.command(order),
        env=environment,
        cwd=os.sep,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def _await(child: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while child.poll() is None:
        with contextlib.suppress(OSError), urlopen(f"{url}/healthcheck", timeout=5):  # noqa: S310 -- our own http URL
            return
        if time.monotonic() > deadline:
            raise ServiceError(f"Flower did not answer at {url} within {_PATIENCE:.0f} s")
        time.sleep(TICK)
    raise ServiceError(f"Flower ended with code {child.returncode} before it answered: its output says why")


def _need_port(address: str, port: int) -> None:
    """A taken port is told before Flower tells it with a traceback."""
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise ServiceError(f"Flower can't listen on {address}:{port}: {error.strerror}; choose another") from error


def _host(address: str) -> str:
    """Where we reach it ourselves; any address includes loopback."""
    if address in {"", "0.0.0.0", "::"}:  # noqa: S104 -- compared, not bound
        return LOOPBACK
    return f"[{address}]" if ":" in address else address


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
