"""Worker hosts are cut off from database and broker in every way: nothing is lost, or each loss is named."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.verifier import verify
from tests.hosting import needs_hosts, race

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.history.model import History
    from orchestrator.verifier.verdict import Check

pytestmark = [needs_hosts, pytest.mark.timeout(300)]

#: Each worker host from the database, from the broker and from both; packets to it, from it and both ways.
CUTS = [
    (hosts, way)
    for worker, hosts, way in product(
        ("worker2", "worker1"),
        ("{0}-database", "{0}-broker", "{0}-database:{0}-broker"),
        ("to", "from", "both"),
    )
    for hosts in [hosts.format(worker)]
]

#: Two hosts with two slots each do at most forty operations a second, so that a race outlasts its plan.
PACE = ("--think-min-ms", "90", "--think-max-ms", "110", "--rows", "40", "--visibility-timeout", "5")
MOST = 40


def plan(every: float, lasts: float, waiting: float, way: str = "both") -> tuple[str, ...]:
    """Every cut, one after another, healed before the next.

    Meanwhile, at first, a cut loses the message that the broker hands over to a host which waits for one, for it lasts
    until the host has given the connection up.
    """
    first = f"partition:worker1-broker:at=0s:for={waiting:g}s:when=pop:way={way}"
    cuts = (
        f"partition:{hosts}:at={1000 + round(every * 1000) * number}ms:for={round(lasts * 1000)}ms:way={each}"
        for number, (hosts, each) in enumerate(CUTS)
    )
    return (first, *cuts)


def _raced(folder: Path, seconds: float, faults: tuple[str, ...], *more: str, code: int) -> tuple[Any, History]:
    """Race for at least so long; every fault has struck, and was healed."""
    operations = str(round(seconds * MOST))
    row, history = race(folder, "--operations", operations, *PACE, "--faults", ",".join(faults), *more, code=code)
    assert faults == history.meta.faults
    assert () == history.meta.gaps
    struck = history.faults.to_pylist()
    assert len(faults) == len(struck)
    assert all(each["healed_us"] for each in struck)
    return row, history


def _nothing_lost(row: Any) -> None:  # noqa: ANN401 - a report's row, as JSON has it
    assert "VALID" == row["verdict"]
    assert (row["operations"], 0, 0) == (row["ok"] + row["fail"], row["info"], row["lost"])
    assert row["republished"] >= 1


def _each_loss_named(row: Any, history: History) -> None:  # noqa: ANN401 - as above
    assert ("INVALID", 0) == (row["verdict"], row["info"])
    check: Check
    (check,) = (each for each in verify(history).checks if each.name == "lost operations")
    lost = row["operations"] - row["ok"] - row["fail"]
    assert lost >= 1
    assert lost == row["lost"] == check.found == len(check.named)
    assert {("partition",)} == {each.faults for each in check.named}


def test_every_cut_of_both_hosts_is_planned() -> None:
    """Two hosts, three kinds of partners, three ways."""
    assert 18 == len(set(CUTS))


def test_hosts_that_are_cut_lose_nothing(tmp_path: Path) -> None:
    """Cut in every way and healed, and a message lost with a connection: published again, nothing is missing."""
    row, _ = _raced(tmp_path, 20, plan(1.0, 0.8, 9.0), "--republish", code=0)
    _nothing_lost(row)


def test_a_loss_is_named_with_its_fault(tmp_path: Path) -> None:
    """Without publishing again the message that was lost with a connection is named, and nothing else is missing."""
    faults = (plan(1, 1, 9)[0], "partition:worker2-database:at=3s:for=1s", "partition:worker2-broker:at=5s:for=1s")
    row, history = _raced(tmp_path, 8, faults, code=1)
    _each_loss_named(row, history)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_hosts_that_are_cut_for_long_lose_nothing(tmp_path: Path) -> None:
    """Cuts that outlast patience: connections are given up, and nodes that fall silent come back."""
    row, _ = _raced(tmp_path, 65, plan(3.5, 3.0, 25.0), "--republish", code=0)
    _nothing_lost(row)


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", ["to", "from", "both"])
def test_every_loss_is_named_with_its_fault(tmp_path: Path, way: str) -> None:
    """Cut in every way, for long, without publishing again: whatever is lost is named."""
    row, history = _raced(tmp_path, 65, plan(3.5, 3.0, 25.0, way), code=1)
    _each_loss_named(row, history)
