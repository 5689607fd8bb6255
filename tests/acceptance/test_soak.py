"""Races under a storm of faults: with the guard and publishing again nothing is lost, doubled or left unknown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.config import Config
from orchestrator.history import files
from orchestrator.profile import Gates, Profile, Think
from orchestrator.verifier.verdict import Value
from tests.acceptance.racing import Racing

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.reports.result import Finding

#: A fault about every two seconds, of every family that needs no privileges; nothing that loses data, no poison.
STORM = (
    "kill-child:every=2s:at=4s",
    "kill-node:every=17s:at=7s:for=500ms",
    "pause-node:every=29s:at=11s:for=2s",
    "warm-shutdown:every=37s:at=15s",
    "restart-database:mode=immediate:every=31s:at=9s",
    "terminate-backends:every=13s:at=6s",
    "lock-table:every=41s:at=13s:for=1s",
    "long-transaction:every=43s:at=18s:for=2s:key=3",
    "restart-broker:data=keep:every=37s:at=12s",
    "kill-clients:every=19s:at=8s",
    "partition:node2-db:every=23s:at=10s:for=2s",
    "partition:node1-broker:way=to:every=27s:at=16s:for=2s",
    "reset:*-db:every=29s:at=5s",
    "latency:node1-db:delay=5ms:jitter=5ms:every=31s:at=14s:for=3s",
    "failpoint:after-commit:action=kill:probability=0.0005",
    "failpoint:before-commit:action=kill:probability=0.0005",
    "failpoint:in-commit:action=disconnect:probability=0.0005",
)

#: The same for a short race.
SQUALL = (
    "kill-child:every=2s:at=4s",
    "kill-node:node2:at=5s:for=500ms",
    "restart-database:mode=immediate:at=8s",
    "restart-broker:data=keep:at=6s",
    "partition:node1-db:at=7s:for=1s",
    "kill-clients:at=9s",
    "failpoint:after-commit:action=kill:operation=50+500",
)


def _profile(operations: int, faults: tuple[str, ...], **keys: Any) -> Profile:  # noqa: ANN401 - a profile's keys
    settings: dict[str, Any] = {
        "strategies": ("optimistic",),
        "operations": operations,
        "rows": 200,
        "per_message": 5,
        "think": Think(max_ms=3),
        "visibility_timeout": 5,
        "faults": faults,
        "republish": True,
        "grace": 3.0,
        "gates": Gates(min_overlaps=10),
    }
    return Profile(**{**settings, **keys})


def _soaked(folder: Path, profile: Profile) -> tuple[Finding, Counter[str]]:
    """Race on servers of the run's own; give the finding, and how often each fault struck."""
    racing = Racing(Config(runs_dir=folder / "runs", state_dir=folder / "state"))
    report = racing.race(profile)
    (found,) = report.findings
    struck = files.read(folder / "runs" / report.run / found.row.name).faults["name"].to_pylist()
    return found, Counter(struck)


def _whole(found: Finding) -> None:
    """Nothing lost, doubled or unknown."""
    row = found.row
    assert Value.VALID is found.verdict.value, [c.summary for c in found.verdict.checks if c.value is not Value.VALID]
    assert (row.operations, 0, 0) == (row.ok + row.fail, row.info, row.lost)


@pytest.mark.timeout(240)
def test_a_squall_loses_nothing(tmp_path: Path) -> None:
    """Children, a node, database and broker struck within seconds: every operation is accounted for, once."""
    found, struck = _soaked(tmp_path, _profile(4_000, SQUALL, per_message=2, think=Think(min_ms=4, max_ms=10)))
    _whole(found)
    assert {"kill-child", "kill-node", "restart-database", "restart-broker", "partition", "kill-clients"} <= set(struck)


@pytest.mark.timeout(240)
def test_without_the_guard_duplicates_are_named(tmp_path: Path) -> None:
    """The same squall without idempotency: INVALID, and every operation that was applied twice is named."""
    faults = (*SQUALL, "failpoint:after-commit:action=kill:operation=1000+1500")
    profile = _profile(
        4_000,
        faults,
        idempotency=False,
        republish=False,
        per_message=2,
        think=Think(min_ms=4, max_ms=10),
        kinds=("grant",),
    )
    found, _ = _soaked(tmp_path, profile)
    assert Value.INVALID is found.verdict.value
    (once,) = (check for check in found.verdict.checks if check.name == "applied once")
    named = {each.operation for each in once.named}
    assert once.found == len(named)
    assert named & {50, 500, 1000, 1500}


@pytest.mark.prove
@pytest.mark.timeout(7200)
def test_a_storm_loses_nothing(tmp_path: Path) -> None:
    """200,000 operations, a fault about every two seconds: all accounted for, none lost, doubled or unknown."""
    found, struck = _soaked(tmp_path, _profile(200_000, STORM))
    _whole(found)
    least = {"kill-child": 50, "kill-node": 10, "restart-database": 5, "restart-broker": 5, "partition": 10}
    assert {} == {name: struck[name] for name, count in least.items() if struck[name] < count}


@pytest.mark.prove
@pytest.mark.timeout(7200)
def test_a_storm_without_publishing_again_names_each_loss(tmp_path: Path) -> None:
    """Each operation that was lost is named, with the faults that fell into its window."""
    found, _ = _soaked(tmp_path, _profile(200_000, STORM, republish=False))
    (lost,) = (check for check in found.verdict.checks if check.name == "lost operations")
    assert found.row.lost == lost.found == len(lost.named)
    assert all(each.faults for each in lost.named)


@pytest.mark.prove
@pytest.mark.timeout(7200)
def test_a_storm_without_the_guard_names_each_duplicate(tmp_path: Path) -> None:
    """INVALID, and every operation that was applied twice is named."""
    found, _ = _soaked(tmp_path, _profile(200_000, STORM, republish=False, idempotency=False, kinds=("grant",)))
    assert Value.INVALID is found.verdict.value
    (once,) = (check for check in found.verdict.checks if check.name == "applied once")
    assert 0 < once.found == len(once.named)
