"""Faults claim what they did, give back what they took, and touch nobody else."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from orchestrator.faults import worker
from orchestrator.faults.broker import KillClients
from orchestrator.faults.model import Reach
from orchestrator.faults.outages import Outage
from orchestrator.faults.plan import parse
from orchestrator.faults.sessions import Sessions
from orchestrator.faults.strike_log import StrikeLog
from orchestrator.faults.striker import Strike
from orchestrator.fleet import Place
from orchestrator.services.waiting import Secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.faults.model import Fault


class Nodes:
    """One node, which is asked for its number and its pool several times, and answers differently."""

    def __init__(self, pids: list[int | None], children: list[list[int]]) -> None:
        self._pids, self._children = iter(pids), iter(children)

    def names(self) -> tuple[str, ...]:
        """Name it."""
        return ("node1",)

    def forks(self) -> bool:
        """It has a pool."""
        return True

    def pid(self, _node: str) -> int | None:
        """Its number, or none."""
        return next(self._pids)

    def children(self, _node: str) -> list[int]:
        """Its pool's numbers."""
        return next(self._children)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a number which was a child's a moment ago."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def _fault(text: str, nodes: Any) -> Fault:  # noqa: ANN401 - a stand-in for the part of a fleet that is asked
    (planned,) = parse([text])
    build = worker.FAULTS[planned.name].build
    assert build is not None
    return build(
        planned,
        Reach(
            nodes=nodes,
            servers=None,
            database_url="",
            broker_url="",
            schema="",
            table="",
            queue="",
            network=None,
            random=random.Random(1),  # noqa: S311 - a seed's choices, no secret
        ),
    )


@pytest.mark.parametrize("text", ["kill-child", "pause-child"])
def test_a_number_that_is_no_child_s_any_more_is_not_struck(
    stranger: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The child has ended between the look and the strike."""
    signalled: list[int] = []
    for name in ("kill", "suspend"):
        monkeypatch.setattr(psutil.Process, name, lambda process: signalled.append(process.pid))
    monkeypatch.setattr(worker, "_age", lambda _pid: 10.0)
    assert _fault(text, Nodes([os.getpid()], [[stranger.pid], []])).strike() is None
    assert [] == signalled


@pytest.mark.parametrize("text", ["kill-node", "warm-shutdown"])
def test_a_node_that_has_just_ended_was_not_struck(text: str) -> None:
    """It is tried again at the next time."""
    assert _fault(text, Nodes([os.getpid(), None], [])).strike() is None


def test_a_server_that_was_half_taken_is_given_back() -> None:
    """The strike failed, and nobody would heal it."""
    done = []

    def take() -> None:
        done.append("taken")
        raise OSError("the data can't be removed")

    outage = Outage(detail="", runs=lambda: True, take=take, give=lambda: done.append("given"))
    with pytest.raises(OSError, match="can't be removed"):
        outage.strike()
    assert ["taken", "given"] == done


def test_a_strike_after_the_end_is_written_nowhere(tmp_path: Path) -> None:
    """The log's file has been closed, and its number is another file's."""
    with StrikeLog(tmp_path / "strikes") as log:
        pass
    with (tmp_path / "other").open("wb"):
        log.note(Strike("hit", 1, 2, ""))
    assert b"" == (tmp_path / "other").read_bytes()


_SECRET = "hunter2"  # noqa: S105
_URL = f"postgresql://u:{_SECRET}@h/d"
_REACH = Reach(
    nodes=Nodes([], []),  # type: ignore[arg-type]  # asked for nothing
    servers=None,
    database_url=_URL,
    broker_url=_URL,
    schema="",
    table="",
    queue="",
    network=None,
    random=random.Random(1),  # noqa: S311 - as above
)
_CLIENTS = KillClients(text="", url=_URL, queue="", workers="", share=1.0, random=_REACH.random)


@pytest.mark.parametrize(
    "value",
    [
        _REACH,
        _CLIENTS,
        Sessions(text="", url=_URL),
        Secrets(database=_SECRET, broker=_SECRET),
        Place(run="", database_url=_URL, broker_url=_URL, logs=Path(), journals=Path(), common={"URL": _URL}),
    ],
)
def test_what_knows_a_password_does_not_show_it(value: object) -> None:
    """Neither a log nor a failed assertion must hold one."""
    assert _SECRET not in repr(value)
