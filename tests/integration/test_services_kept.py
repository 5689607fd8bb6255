"""Kept services: up once, found again, down without a trace."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest

from orchestrator.errors import ServiceError
from orchestrator.services import Embedding, Origin, PostgresSettings, kept, open_services
from orchestrator.services.process import Birth, all_ended
from orchestrator.services.rights import Rights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.services import Services


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose services are down afterwards."""
    folder = tmp_path / "state"
    yield folder
    kept.down(folder)


def test_up_is_found_by_a_run_and_outlives_it(state_dir: Path) -> None:
    """A run uses the kept pair, and leaves it up."""
    up = kept.up(state_dir)
    with open_services(state_dir=state_dir) as opened:
        assert (opened.database_url, opened.broker_url) == (up.database_url, up.broker_url)
        assert (opened.database, opened.broker) == (Origin.KEPT, Origin.KEPT)
    assert up.lives()


def test_kept_services_are_nobodys_children(state_dir: Path) -> None:
    """They are not ours, lead sessions of their own, and so don't end with their starter."""
    pids = [server.birth.pid for server in kept.up(state_dir).servers]
    assert not {child.pid for child in psutil.Process().children(recursive=True)} & set(pids)
    assert pids == [os.getsid(pid) for pid in pids]


def test_up_twice_is_harmless(state_dir: Path) -> None:
    """The second finds what the first started."""
    assert kept.up(state_dir) == kept.up(state_dir) == kept.status(state_dir)


def test_down_ends_the_processes_and_removes_the_folder(state_dir: Path) -> None:
    """Nothing but an empty lock stays; a second time there is nothing to do."""
    up = kept.up(state_dir)
    assert kept.down(state_dir)
    assert not up.lives()
    assert [path.name for path in state_dir.iterdir()] == ["services.lock"]
    assert not kept.down(state_dir)
    assert kept.status(state_dir) is None


def test_what_is_written_down_is_private(state_dir: Path) -> None:
    """The state file holds passwords: nobody else reads it, or enters the folders."""
    up = kept.up(state_dir)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (state_dir, Path(up.folder))}
    assert modes == {0o700}
    assert stat.S_IMODE((state_dir / "services.json").stat().st_mode) == 0o600
    assert "***" in repr(up)


def test_half_dead_services_are_started_afresh(state_dir: Path) -> None:
    """Where one server died, the other is stopped, and a new pair comes up."""
    first = kept.up(state_dir)
    os.kill(first.servers[0].birth.pid, signal.SIGKILL)
    assert all_ended(first.servers[:1], patience=60)
    assert kept.status(state_dir) is None
    second = kept.up(state_dir)
    assert not any(server.lives() for server in first.servers)
    assert not Path(first.folder).exists()
    assert second.lives()


def test_down_spares_a_process_that_took_the_number(state_dir: Path) -> None:
    """A state file from before a reboot may name numbers that others have now: this test's own, say."""
    up = kept.up(state_dir)
    mine = msgspec.structs.replace(up.servers[0], birth=Birth(os.getpid(), "before the reboot"))
    stale = msgspec.structs.replace(up, servers=(mine,))
    (state_dir / "services.json").write_bytes(msgspec.json.encode(stale))
    try:
        assert not kept.down(state_dir)
    finally:
        (state_dir / "services.json").write_bytes(msgspec.json.encode(up))


@pytest.mark.parametrize("content", [b"", b"{", b'{"pids": []}'])
def test_an_unreadable_state_file_is_no_obstacle(state_dir: Path, content: bytes) -> None:
    """It tells of nothing that could be verified, so nothing is kept up, and down removes it."""
    state_dir.mkdir()
    (state_dir / "services.json").write_bytes(content)
    assert kept.status(state_dir) is None
    assert not kept.down(state_dir)
    assert not (state_dir / "services.json").exists()


def test_a_failed_start_leaves_nothing(state_dir: Path) -> None:
    """One sentence, no process, no state."""
    with pytest.raises(ServiceError, match=r"\APostgreSQL failed to start: [^\n]+\Z"):
        kept.up(state_dir, Embedding(settings=PostgresSettings(shared_buffers_mb=0)))
    assert [path.name for path in state_dir.iterdir()] == ["services.lock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_accounts_services_are_kept_where_it_reaches_them(state_dir: Path) -> None:
    """Root's state folder may lie where nobody else gets, so the data doesn't."""
    up = kept.up(state_dir, Embedding(rights=Rights.DROP))
    assert state_dir not in Path(up.folder).parents
    kept.down(state_dir)
    assert not Path(up.folder).exists()


def test_one_url_given_takes_the_other_from_the_kept(state_dir: Path, services: Services) -> None:
    """What is given is used; what isn't comes from the kept pair."""
    up = kept.up(state_dir)
    with open_services(database_url=services.database_url, state_dir=state_dir) as opened:
        assert (opened.database_url, opened.broker_url) == (services.database_url, up.broker_url)
        assert (opened.database, opened.broker) == (Origin.GIVEN, Origin.KEPT)
