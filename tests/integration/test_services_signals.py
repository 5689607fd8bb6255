"""Servers end with whoever started them, however that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from orchestrator.services import folder as folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OWNER = """\
import signal, sys
from pathlib import Path
from orchestrator.services import open_services

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
with open_services():
    print("up", flush=True)
    signal.pause()
"""

_STARTING = _OWNER.replace("with open_services():", "print('up', flush=True)\nwith open_services():")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The owner's temporary folder."""
    return tmp_path


@pytest.fixture
def owner(temporary: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that has embedded services up."""
    yield from _started(_OWNER, temporary)


@pytest.fixture
def starter(temporary: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is just about to start services."""
    yield from _started(_STARTING, temporary)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_signal_stops_servers_and_removes_folders(
    owner: subprocess.Popen[bytes], temporary: Path, number: signal.Signals, code: int
) -> None:
    """Ctrl-C and SIGTERM leave neither process nor folder."""
    servers = psutil.Process(owner.pid).children(recursive=True)
    assert any(server.name() == "postgres" for server in servers)
    owner.send_signal(number)
    assert owner.wait(60) == code
    assert not any(server.is_running() for server in servers)
    assert not list(temporary.iterdir())


def test_the_terminals_ctrl_c_reaches_the_owner_only(owner: subprocess.Popen[bytes]) -> None:
    """Servers lead sessions of their own, so the owner can wind down while they still answer."""
    servers = psutil.Process(owner.pid).children()
    assert [server.pid for server in servers] == [os.getsid(server.pid) for server in servers]
    assert os.getsid(owner.pid) not in {server.pid for server in servers}


def test_a_signal_while_starting_leaves_nothing(starter: subprocess.Popen[bytes], temporary: Path) -> None:
    """Ctrl-C as soon as the first process is there ends that one, too."""
    _until(lambda: bool(psutil.Process(starter.pid).children()))
    children = psutil.Process(starter.pid).children(recursive=True)
    starter.send_signal(signal.SIGINT)
    assert starter.wait(60) == -signal.SIGINT
    _until(lambda: not any(child.is_running() for child in children))
    assert not list(temporary.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_sigkill_leaves_no_process_and_the_next_start_no_folder(
    owner: subprocess.Popen[bytes], temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel ends the servers; the folder, which nobody could remove then, goes with the next start."""
    servers = psutil.Process(owner.pid).children(recursive=True)
    owner.kill()
    _until(lambda: not any(server.is_running() for server in servers))
    assert list(temporary.iterdir())
    owner.wait(60)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folders.clear_stale()
    assert not list(temporary.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows where a process works")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_services_are_brought_up_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """They would outlive their starter, and no state file would tell of them."""
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "orchestrator", "services", "up"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starter:
        _until(lambda: bool(_working_below(tmp_path)))
        starter.send_signal(number)
        assert starter.wait(60) == 130
    _until(lambda: not _working_below(tmp_path))
    assert [] == list((tmp_path / "rowrace").glob("services-*"))


def _working_below(folder: Path) -> list[int]:
    """List the processes whose working directory lies in a folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process.pid)
    return found


def _started(program: str, temporary: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.01)
