"""What `rowrace hosts` refuses before anything is laid out, each in one sentence."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from orchestrator.config import Config
from orchestrator.errors import UsageError
from orchestrator.faults import KNOWN
from orchestrator.faults.plan import parse
from orchestrator.hosts import racing
from orchestrator.hosts.compose import services
from orchestrator.hosts.faults import check_hosts, known, pairs
from orchestrator.hosts.layout import planned, require
from orchestrator.hosts.racing import Wanted, _check, _make
from orchestrator.interrupt import Interrupt
from orchestrator.profile import Mode, Profile, Settings, Workers
from orchestrator.run import check_faults

_COMPOSE = Path(__file__).resolve().parents[2] / "docker-compose.yml"


def test_another_system_has_no_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system is not Linux there are no namespaces."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="only Linux has"):
        require()


def test_hosts_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user is told to be root."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="Hosts need root"):
        require()


def test_hosts_need_ip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without iproute2 its package is named."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _name, path: path and None)
    with pytest.raises(UsageError, match="install the package iproute2"):
        require()


def test_addresses_differ_and_are_private() -> None:
    """Each host has an address of its own on each network that it is on, for as many worker hosts as there may be."""
    plugs = [each for plugs in planned(64).values() for each in plugs]
    assert len(plugs) == len({each.address for each in plugs}) == len({each.port for each in plugs})
    assert {"10.77.1", "10.77.2"} == {each.address.rpartition(".")[0] for each in plugs}
    assert [] == [each for each in plugs if int(each.address.rpartition(".")[2]) > 254 or len(each.port) > 15]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("partition", "partition must be told where"),
        ("partition:worker1", "worker1 names no two hosts"),
        ("partition:worker1-database-broker", "names no two hosts"),
        ("partition:worker1-database:how=axe", "how=axe is none of silent, link, route"),
        ("partition:worker1-database:way=up", "way=up is none of both, to, from"),
        ("partition:worker1-database:how=link:way=from", "a link is down both ways"),
        ("partition:worker1-database:when=pop", "when=pop is for one pair, of a worker host and the broker"),
        ("partition:orchestrator-broker:when=pop", "when=pop is for one pair, of a worker host and the broker"),
        ("partition:worker1-broker:worker2-broker:when=pop", "when=pop is for one pair"),
        ("partition:worker1-broker:when=noon", "when=noon is none of any, pop"),
        ("partition:worker3-database", "There is no host worker3: the hosts are orchestrator, database, broker"),
        ("partition:database-broker", "on no common network"),
        ("partition:worker1-worker1", "on no common network"),
    ],
)
def test_a_cut_that_makes_no_sense_is_refused(entry: str, said: str) -> None:
    """A partition of hosts that can't be is refused in a sentence that names it."""
    with pytest.raises(UsageError, match=said) as refused:
        check_hosts(parse([entry], known(Path("socket"))), planned(2))
    assert entry.partition(":")[0] in str(refused.value)


def test_targets_are_pairs_of_hosts() -> None:
    """Several pairs may be cut at once."""
    (cut,) = parse(["partition:worker1-database:worker1-broker:how=route"], known(Path("socket")))
    assert (("worker1", "database"), ("worker1", "broker")) == pairs(cut)


def test_a_run_elsewhere_knows_no_cuts_between_hosts() -> None:
    """Only a run on hosts has their partitions."""
    assert KNOWN is known(None)


def test_workers_of_hosts_are_told_what_the_profile_says(tmp_path: Path) -> None:
    """Somebody else's workers can't be set by a profile, those that were laid out for it can."""
    asked = Profile(workers=Workers.EXTERNAL, worker=Settings(recovery=False))
    check_faults(asked, Config(state_dir=tmp_path, wires=tmp_path), Mode.DISTRIBUTED)
    with pytest.raises(UsageError, match="reaches spawned workers only"):
        check_faults(asked, Config(state_dir=tmp_path), Mode.DISTRIBUTED)


def test_a_compose_file_that_declares_nothing_is_refused(tmp_path: Path) -> None:
    """A file without services is told to be none of Compose's."""
    file = tmp_path / "compose.yml"
    file.write_text("a list: [1, 2]\n", encoding="utf-8")
    with pytest.raises(UsageError, match="declares no services"):
        services({}, file)


@pytest.mark.parametrize("entry", ["kill-child:node1", "latency:node1-db:delay=5ms", "restart-database", "kill-in-pop"])
def test_faults_that_need_own_nodes_or_servers_are_refused(entry: str, tmp_path: Path) -> None:
    """Before anything is laid out."""
    wanted = Wanted(profile=Profile(faults=(entry,)), workers=2, file=_COMPOSE, runs_dir=tmp_path)
    with pytest.raises(UsageError, match=r"are not the run's own to stop|there is no fault"):
        _check(wanted)


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile(scenarios=("nosuch",)), "Unknown scenario nosuch"),
        (Profile(strategies=("nosuch",)), "Unknown strategy nosuch"),
        (Profile(mistakes=("nosuch",)), "Unknown mistake nosuch"),
    ],
)
def test_names_that_nobody_knows_are_refused(
    profile: Profile, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is laid out, and before that is announced."""
    monkeypatch.setattr(racing, "require", lambda: None)
    told: list[str] = []
    with pytest.raises(UsageError, match=said):
        racing.race(Wanted(profile=profile, workers=2, file=_COMPOSE, runs_dir=tmp_path), Interrupt(), told.append)
    assert [] == told


def test_logs_that_can_not_be_made_are_one_sentence() -> None:
    """With the flag to change."""
    with pytest.raises(UsageError, match=r"can't be made for the logs: .* \(--logs\)"):
        _make(Path("/proc/nope"))
