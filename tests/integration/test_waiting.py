"""A killed run's embedded services end whole, wait for the run to be resumed, and come up again with all their data."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil
import psycopg
import pytest
import redis

from orchestrator import clean, state
from orchestrator.base import Base, base, reopened
from orchestrator.config import Config
from orchestrator.errors import ServiceError, UsageError
from orchestrator.holding import held
from orchestrator.profile import Mode
from orchestrator.services import Origin, open_services
from orchestrator.services import folder as folders
from orchestrator.services.process import Birth
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.services import Services

_ORCHESTRATOR = """\
import signal, sys
from pathlib import Path
import psycopg, redis
from orchestrator import state
from orchestrator.base import base
from orchestrator.profile import Mode
from orchestrator.services import launch, open_services
from orchestrator.watchdog import Watched, watchdog

run, how = Path(sys.argv[1]), sys.argv[2:]
real = launch.command
if "signalled" in how:  # as where nobody watches: the kernel is quicker than the watchdog
    launch.command = lambda order: real({**order, "signal": order["signal"] or signal.SIGTERM})
with (
    watchdog(run / "logs" / "watchdog.log") as watching,
    open_services(log_dir=run / "logs", watched=Watched(watching)) as services,
    psycopg.connect(services.database_url) as connection,
    redis.Redis.from_url(services.broker_url) as client,
):
    found = base(services, run / state.STATE_FILE)
    state.write(state.State(run=run.name, mode=Mode.DISTRIBUTED, base=found), run)
    connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 10000) AS number")
    connection.commit()
    client.lpush("kept", *range(1000))
    connection.execute("INSERT INTO kept VALUES (0)")
    if "restarted" in how:
        services.servers.restart_database("fast")
    if "paused" in how:
        services.servers.pause_database()
        services.servers.pause_broker()
    print("up", flush=True)
    signal.pause()
"""


@dataclass
class Killed:
    """A run whose orchestrator was killed, and all that was started has ended."""

    folder: Path
    #: Seconds from the kill to the last process's end.
    seconds: float
    #: Ports that its processes listened on.
    ports: list[int]

    @property
    def state(self) -> state.State:
        """What it left written."""
        found = state.read(self.folder)
        assert found is not None
        return found

    @property
    def base(self) -> Base:
        """Where it says that its services are."""
        assert self.state.base is not None
        return self.state.base

    @property
    def data(self) -> Path:
        """Folder of its embedded services' data."""
        return Path(self.base.folder or "none")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data folders are made below the test's own."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.fixture
def kill(tmp_path: Path, temporary: Path) -> Iterator[Callable[..., Killed]]:
    """Start a run, bring it where it is wanted, and kill its orchestrator."""
    with contextlib.ExitStack() as stack:

        def killed(*how: str) -> Killed:
            folder = tmp_path / "runs" / "260101000000abcdef"
            (folder / "logs").mkdir(parents=True)
            (folder / "profile.toml").touch()
            environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])}
            command = [sys.executable, "-c", _ORCHESTRATOR, str(folder), *how]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            assert b"up\n" == process.stdout.readline()
            children = psutil.Process(process.pid).children(recursive=True)
            births = [birth for child in children if (birth := Birth.of(child.pid))]
            stack.callback(_kill, births)
            ports = [each.laddr.port for child in children for each in child.net_connections() if _listens(each)]
            began = time.monotonic()
            process.kill()
            wait_until(lambda: not any(birth.lives() for birth in births))
            return Killed(folder, time.monotonic() - began, ports)

        yield killed


@pytest.mark.parametrize("children", [2, 3, 4])
def test_a_kill_while_services_start_leaves_no_process(tmp_path: Path, temporary: Path, children: int) -> None:
    """Whatever has just been started ends; the folder, for which no run waits, goes with the next start."""
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _ORCHESTRATOR, str(tmp_path)]
    (tmp_path / "logs").mkdir()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        wait_until(lambda: len(psutil.Process(process.pid).children()) >= children or _entered(temporary) >= children)
        process.kill()
    wait_until(lambda: not _entered(temporary))
    if not (tmp_path / state.STATE_FILE).exists():
        folders.clear_stale()
        assert [] == list(temporary.iterdir())


def _entered(folder: Path) -> int:
    """Count the processes that work below a folder, or name it in their command lines."""
    found = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            below = Path(process.cwd()).is_relative_to(folder)
            found += below or any(str(folder) in word for word in process.cmdline())
    return found


def _kill(births: list[Birth]) -> None:
    for birth in births:
        if birth.lives():
            os.kill(birth.pid, signal.SIGKILL)


def _listens(connection: object) -> bool:
    return getattr(connection, "status", "") == psutil.CONN_LISTEN


def _refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _content(services: Services) -> tuple[int, int]:
    """Rows and list entries that were kept."""
    with psycopg.connect(services.database_url) as connection, redis.Redis.from_url(services.broker_url) as client:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        entries = client.llen("kept")
    assert isinstance(entries, int)
    return row[0] if row else 0, entries


def _config(tmp_path: Path, database_url: str | None = None, broker_url: str | None = None) -> Config:
    return Config(state_dir=tmp_path / "state", database_url=database_url, broker_url=broker_url)


@pytest.mark.parametrize(
    "how", [(), ("signalled",), ("paused",), ("signalled", "paused"), ("restarted",), ("restarted", "paused")]
)
def test_all_ends_and_the_data_are_whole(kill: Callable[..., Killed], tmp_path: Path, how: tuple[str, ...]) -> None:
    """Within ten seconds, paused or not; what was committed is there again, and nothing else."""
    run = kill(*how)
    assert run.seconds < 10
    assert (2, True) == (len(set(run.ports)), all(map(_refused, run.ports)))
    assert "the orchestrator, is gone" in (run.folder / "logs" / "watchdog.log").read_text()
    with reopened(run.base, _config(tmp_path), tmp_path / "logs") as services:
        assert (10_000, 1_000) == _content(services)
        assert (Origin.EMBEDDED, Origin.EMBEDDED) == (services.database, services.broker)
    assert not run.data.exists()


def test_waiting_data_outlive_other_runs(kill: Callable[..., Killed], temporary: Path) -> None:
    """Each run clears away what killed ones left, but not what still waits."""
    run = kill()
    folders.clear_stale()
    assert run.data.exists()
    state.resolve(run.folder)
    folders.clear_stale()
    assert [] == list(temporary.iterdir())


def test_a_failed_resume_leaves_the_data(kill: Callable[..., Killed], tmp_path: Path) -> None:
    """It can be tried again, and once more killed."""
    run = kill()

    def fail() -> None:
        with reopened(run.base, _config(tmp_path), tmp_path / "logs"):
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    folders.clear_stale()
    with reopened(run.base, _config(tmp_path), tmp_path / "logs") as services:
        assert (10_000, 1_000) == _content(services)


def test_servers_can_be_restarted_again(kill: Callable[..., Killed], tmp_path: Path) -> None:
    """A resumed run's faults need them."""
    with reopened(kill().base, _config(tmp_path), tmp_path / "logs") as services:
        assert services.servers is not None
        services.servers.restart_database("immediate")
        services.servers.stop_broker()
        services.servers.start_broker()
        assert (10_000, 1_000) == _content(services)


def test_cleaning_removes_what_waits(kill: Callable[..., Killed], tmp_path: Path) -> None:
    """It says so before; a living run is left alone."""
    run = kill()
    runs = tmp_path / "runs"
    with held(run.folder):
        assert clean.Leavings() == clean.find_here(runs, folders=True)
    found = clean.find_here(runs, folders=False)
    assert clean.Leavings(waiting=(run.folder,), data=(run.data,)) == found
    clean.remove_here(found)
    assert not found.data[0].exists()
    assert clean.Leavings() == clean.find_here(runs, folders=False)
    assert state.read(run.folder) is None


def test_cleaning_services_finds_what_waits(
    kill: Callable[..., Killed], tmp_path: Path, database_url: str, broker_url: str
) -> None:
    """With other services' URLs, too."""
    run = kill()
    found = clean.find(database_url, broker_url, tmp_path / "runs", folders=False)
    assert ((run.folder,), (run.data,)) == (found.waiting, found.data)
    clean.remove_here(clean.Leavings(waiting=found.waiting, data=found.data))
    assert not found.data[0].exists()


def test_cleaning_services_leaves_what_waits_on_others(tmp_path: Path, database_url: str, broker_url: str) -> None:
    """It is told of, and stays whole, its folder too; it goes where it is named."""
    folder = tmp_path / "runs" / "260101000000abcdef"
    folder.mkdir(parents=True)
    (folder / "profile.toml").touch()
    gone = Base(
        database=Origin.GIVEN, broker=Origin.GIVEN, database_url="postgresql://gone/d", broker_url="redis://gone/0"
    )
    waits = state.State(run=folder.name, mode=Mode.DISTRIBUTED, base=gone)
    state.write(waits, folder)
    found = clean.find(database_url, broker_url, folder.parent, folders=True)
    assert ((), (), [folder]) == (found.waiting, found.folders, [each.folder for each in found.elsewhere])
    clean.remove_here(clean.Leavings(elsewhere=found.elsewhere))
    assert waits == state.read(folder)
    clean.remove_here(clean.find_named([folder.name], folder.parent, folders=True))
    assert not folder.exists()


def test_cleaning_finds_the_data_of_an_unreadable_state(kill: Callable[..., Killed], tmp_path: Path) -> None:
    """The data's own mark leads to the state file, whatever stands in that."""
    run = kill()
    data = run.data
    (run.folder / state.STATE_FILE).write_bytes(b'{"run": "2601')
    found = clean.find_here(tmp_path / "runs", folders=False)
    assert ((run.folder,), (data,)) == (found.waiting, found.data)
    clean.remove_here(found)
    assert not data.exists()


def test_cleaning_touches_no_folder_that_is_another_s(kill: Callable[..., Killed], tmp_path: Path) -> None:
    """A state file may name anything."""
    run = kill()
    precious = tmp_path / "rowrace-services-precious"
    precious.mkdir()
    lying = msgspec.structs.replace(run.base, folder=str(precious))
    state.write(msgspec.structs.replace(run.state, base=lying), run.folder)
    assert () == clean.find_here(tmp_path / "runs", folders=False).data


def test_gone_data_are_one_sentence(kill: Callable[..., Killed], tmp_path: Path) -> None:
    """Somebody emptied the temporary folder."""
    run = kill()
    folders.remove(run.data)
    with (
        pytest.raises(ServiceError, match=r"\AThe data of the run's embedded services are gone: [^\n]+\Z"),
        reopened(run.base, _config(tmp_path), tmp_path / "logs"),
    ):
        pytest.fail("it must not start")


def test_other_services_than_the_run_s_are_refused(tmp_path: Path, database_url: str, broker_url: str) -> None:
    """They hold other data; the message names those that are wanted, without a password."""
    with open_services(database_url, broker_url) as services:
        noted = base(services, tmp_path / state.STATE_FILE)
    with reopened(noted, _config(tmp_path, database_url, broker_url), tmp_path) as again:
        assert services.rung == again.rung
    with pytest.raises(
        UsageError, match=r"The run stands on postgresql://rowrace:\*\*\*@127\.0\.0\.1:\d+/postgres: give"
    ):
        reopened(noted, _config(tmp_path, broker_url=broker_url), tmp_path)
    other = broker_url.removesuffix("0") + "1"
    with pytest.raises(UsageError, match=r"\(ROWRACE_BROKER_URL\)"):
        reopened(noted, _config(tmp_path, database_url=database_url, broker_url=other), tmp_path)


def test_gone_kept_services_are_one_sentence(tmp_path: Path) -> None:
    """Their data went with them."""
    noted = Base(database=Origin.KEPT, broker=Origin.KEPT, database_url="", broker_url="")
    with pytest.raises(ServiceError, match="The kept services that the run stood on are gone"):
        reopened(noted, _config(tmp_path), tmp_path)


def test_no_idle_session_outlives_a_killed_client(database: psycopg.Connection, database_url: str) -> None:
    """The server sees the socket close and rolls back."""
    script = (
        "import psycopg, signal, sys, os; c = psycopg.connect(os.environ['URL'], application_name=sys.argv[1]); "
        "c.execute('SELECT 1'); print('up', flush=True); signal.pause()"
    )
    name = f"killed {os.getpid()}"
    query = "SELECT state FROM pg_stat_activity WHERE application_name = %s"
    with subprocess.Popen(
        [sys.executable, "-c", script, name], stdout=subprocess.PIPE, env=os.environ | {"URL": database_url}
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert [("idle in transaction",)] == database.execute(query, [name]).fetchall()
        process.kill()
    wait_until(lambda: not database.execute(query, [name]).fetchall())
