"""The embedded servers' handle: whatever is done to them, they come back the same, and nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import psutil
import psycopg
import pytest
import redis

from orchestrator.errors import ServiceError
from orchestrator.services import folder as folders
from orchestrator.services import open_services
from orchestrator.services.folder import Marker
from tests.compose_file import ROOT
from tests.stand_ins import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.services import Services
    from orchestrator.services.servers import EmbeddedServers, Mode

#: Has servers up, restarts them from a thread that ends, does what is asked, and says so.
_OWNER = """\
import signal, sys, threading
from orchestrator.services import open_services

with open_services() as opened:
    def strike():
        opened.servers.restart_database("immediate")
        opened.servers.stop_broker()
        opened.servers.start_broker()
    thread = threading.Thread(target=strike)
    thread.start()
    thread.join()
    if sys.argv[1] == "paused":
        opened.servers.pause_database()
        opened.servers.pause_broker()
    print("up", flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def own() -> Iterator[Services]:
    """A pair that others don't use, so that it may be struck."""
    with open_services() as opened:
        yield opened


@pytest.fixture
def servers(own: Services) -> EmbeddedServers:
    """The pair's handle, all running."""
    return _handle(own)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_restarted_has_its_port_and_its_data(own: Services, servers: EmbeddedServers, mode: Mode) -> None:
    """What was committed is there again, after a crash's recovery too; sessions are not."""
    with psycopg.connect(own.database_url, autocommit=True) as session:
        session.execute("CREATE TABLE kept AS SELECT 7 AS value")
        servers.restart_database(mode)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with psycopg.connect(own.database_url, autocommit=True) as session:
        assert session.execute("SELECT value FROM kept").fetchone() == (7,)
        session.execute("DROP TABLE kept")


def test_a_stopped_database_refuses_connections(own: Services, servers: EmbeddedServers) -> None:
    """Until it is started again; stopping a stopped one, and starting a running one, changes nothing."""
    servers.stop_database("fast")
    servers.stop_database("fast")
    assert not servers.database_runs()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(own.database_url)
    servers.start_database()
    servers.start_database()
    assert servers.database_runs()
    psycopg.connect(own.database_url).close()


@pytest.mark.parametrize(("keep", "expected"), [(True, 2000), (False, 0)])
def test_the_brokers_data_is_kept_or_lost_as_asked(
    own: Services, servers: EmbeddedServers, *, keep: bool, expected: int
) -> None:
    """Kept, up to the last write before the stop."""
    with redis.Redis.from_url(own.broker_url) as client:
        client.flushall()
        for _ in range(2):
            client.rpush("kept", *range(1000))
    servers.stop_broker(keep_data=keep)
    assert not servers.broker_runs()
    servers.start_broker()
    with redis.Redis.from_url(own.broker_url) as client:
        assert client.llen("kept") == expected


def test_old_servers_come_back_too(old_services: Services) -> None:
    """PostgreSQL 15 and Redis are stopped and started the same way."""
    servers = _handle(old_services)
    with redis.Redis.from_url(old_services.broker_url) as client:
        client.set("kept", 1)
        servers.stop_broker()
        servers.start_broker()
        assert client.getdel("kept") == b"1"
    servers.restart_database("immediate")
    psycopg.connect(old_services.database_url).close()


def test_a_paused_database_answers_nobody_and_goes_on(own: Services, servers: EmbeddedServers) -> None:
    """Every process stands still, those of sessions too; afterwards a statement gets its answer."""
    with psycopg.connect(own.database_url, autocommit=True) as session:
        main = psutil.Process(_pid(servers, "PostgreSQL"))
        servers.pause_database()
        family = [main, *main.children(recursive=True)]
        wait_until(lambda: all(process.status() == psutil.STATUS_STOPPED for process in family))
        assert not servers.database_runs()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(own.database_url, connect_timeout=2)
        servers.resume_database()
        assert servers.database_runs()
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_paused_broker_answers_nobody_and_goes_on(own: Services, servers: EmbeddedServers) -> None:
    """It neither refuses nor answers."""
    servers.pause_broker()
    assert not servers.broker_runs()
    with redis.Redis.from_url(own.broker_url, socket_timeout=0.2, retry=None) as client:
        with pytest.raises(redis.TimeoutError):
            client.ping()
        servers.resume_broker()
        assert client.ping()


@pytest.mark.parametrize("name", ["database", "broker"])
def test_a_paused_server_can_be_stopped(servers: EmbeddedServers, name: str) -> None:
    """It is resumed first, for a paused process hears of no orderly stop."""
    for step in ("pause", "stop", "start"):
        getattr(servers, f"{step}_{name}")()
    assert getattr(servers, f"{name}_runs")()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows a process's threads")
def test_servers_outlive_the_thread_that_asked_for_their_restart(own: Services, servers: EmbeddedServers) -> None:
    """The kernel signals a child when the thread that started it has ended: that must not be the asking one."""

    def strike() -> None:
        servers.restart_database("immediate")
        servers.stop_broker()
        servers.start_broker()

    _in_a_thread_that_ends(strike)
    for _ in range(2):  # the second is served after every signal that was there before the first
        psycopg.connect(own.database_url).close()
        redis.Redis.from_url(own.broker_url, retry=None).ping()
    assert servers.database_runs()
    assert servers.broker_runs()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ports are held on Linux only")
def test_a_stopped_servers_port_is_nobody_elses(own: Services, servers: EmbeddedServers) -> None:
    """A client that tries again and again, from a port that the system chose, must not become the server itself."""
    port = urlsplit(own.database_url).port
    servers.stop_database("immediate")
    with pytest.raises(OSError, match="in use"), socket.socket() as taker:
        taker.bind(("127.0.0.1", port))
    servers.start_database()
    psycopg.connect(own.database_url).close()


def test_the_folders_marker_names_the_servers_that_live(own: Services, servers: EmbeddedServers) -> None:
    """Should we be killed, the next start must end the ones that run, not the ones that did."""
    before = {server.birth for server in servers._started}
    servers.restart_database("fast")
    marker = msgspec.json.decode((servers.folder / "owner.json").read_bytes(), type=Marker)
    assert {server.birth for server in servers._started} == set(marker.servers)
    assert 1 == len(before & set(marker.servers))
    psycopg.connect(own.database_url).close()


@pytest.mark.parametrize("deed", ["pause", "stop"])
def test_nothing_stays_however_they_are_left(deed: str) -> None:
    """At the end of the block a paused server is ended, a stopped one stays so, and the folder goes."""
    # The session's own PostgreSQL starts and ends processes below it meanwhile.
    before, threads = set(psutil.Process().children()), threading.active_count()
    with open_services() as opened:
        servers = _handle(opened)
        servers.restart_database("immediate")
        own = set(psutil.Process().children()) - before
        started = own.union(*(each.children(recursive=True) for each in own))
        getattr(servers, f"{deed}_database")()
        getattr(servers, f"{deed}_broker")()
    assert not any(process.is_running() for process in started)
    assert own
    assert (before, threads) == (set(psutil.Process().children()), threading.active_count())
    assert not servers.folder.exists()
    with pytest.raises(ServiceError, match=r"\Athe embedded services have ended: [^\n]+\Z"):
        servers.start_database()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_restarted_servers_die_with_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGKILL nobody else could end them."""
    with _owner(tmp_path, "running") as owner:
        children = psutil.Process(owner.pid).children(recursive=True)
        owner.kill()
        wait_until(lambda: not any(child.is_running() for child in children))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders.clear_stale()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_paused_servers_of_a_killed_owner_are_ended_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hear of their owner's death only when they are resumed."""
    with _owner(tmp_path, "paused") as owner:
        children = psutil.Process(owner.pid).children(recursive=True)
        owner.send_signal(signal.SIGKILL)
        owner.wait(60)
    wait_until(lambda: all(child.status() == psutil.STATUS_STOPPED for child in children))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders.clear_stale()
    wait_until(lambda: not any(child.is_running() for child in children))
    assert [] == list(tmp_path.iterdir())


def test_given_services_are_not_ours_to_stop(services: Services) -> None:
    """Where one of two is given, the handle has the other only."""
    with open_services(services.database_url, services.broker_url) as opened:
        assert opened.servers is None
    with open_services(services.database_url) as opened:
        servers = _handle(opened)
        assert servers.broker_runs()
        with pytest.raises(ServiceError, match="the database is not an embedded one"):
            servers.stop_database("fast")


def _handle(services: Services) -> EmbeddedServers:
    assert services.servers is not None
    return services.servers


def _pid(servers: EmbeddedServers, name: str) -> int:
    return next(server.birth.pid for server in servers._started if server.name == name)


def _in_a_thread_that_ends(action: Callable[[], None]) -> None:
    """Return when the kernel, too, has seen the thread's end."""
    thread = threading.Thread(target=action)
    thread.start()
    number = thread.native_id
    thread.join()
    wait_until(lambda: not Path(f"/proc/self/task/{number}").exists())


@contextlib.contextmanager
def _owner(temporary: Path, state: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, state],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()
