"""What runs survive: a node killed in mid-run, every node killed; and what `clean` finds afterwards."""

from __future__ import annotations

import secrets
import signal
from typing import TYPE_CHECKING

import psutil

from orchestrator import schema
from orchestrator.reports.result import Exit
from orchestrator.verifier.verdict import Value
from tests.acceptance.racing import Spectator, quick

if TYPE_CHECKING:
    from orchestrator.progress import Counts
    from tests.acceptance.racing import Racing


class Killer:
    """Kills nodes with SIGKILL once a run is under way, main process only: its pool is orphaned."""

    def __init__(self, *names: str) -> None:
        self._names = names
        #: Nodes of fleets that other tests share are children of this process, too.
        self._before = frozenset(psutil.Process().children())
        self._done = False

    def progress(self, _published: int, counts: Counts) -> None:
        """Strike once."""
        if counts.settled > 30 and not self._done:
            self._done = True
            for child in set(psutil.Process().children()) - self._before:
                if any(part.startswith(self._names) for part in _words(child)):
                    child.send_signal(signal.SIGKILL)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended
        return []


def test_a_node_killed_in_mid_run_leaves_nothing_unsaid(racing: Racing) -> None:
    """Its messages come again and its journals are saved; what the broker had handed it at that moment is lost."""
    profile = quick(operations=400, visibility_timeout=2.0)
    row, report = racing.row(profile, Spectator(progress=Killer("node1-").progress))
    expected = Value.INVALID if row.lost else Value.VALID  # a popped message that no worker has written down yet
    assert (expected, 400) == (row.verdict, row.ok + row.fail + row.lost)
    assert [] == racing.left(report.run)


def test_a_run_whose_nodes_are_all_gone_ends(racing: Racing) -> None:
    """Nobody is left to do the rest: UNKNOWN, long before the time limit, and nothing is claimed lost."""
    profile = quick(operations=5_000)
    row, report = racing.row(profile, Spectator(progress=Killer("node1-", "node2-").progress))
    assert (Value.UNKNOWN, 0, Exit.UNKNOWN) == (row.verdict, row.lost, report.exit_code)
    assert [] == racing.left(report.run)


def test_clean_removes_what_an_abandoned_run_left(racing: Racing) -> None:
    """Schemas and queues that no living run holds go; those of a living run stay."""
    abandoned, living = (f"26010112000{number}{secrets.token_hex(3)}" + "0" for number in (1, 2))
    with racing.database() as connection, racing.broker() as client:
        for run in (abandoned, living):
            schema.create(connection, f"rowrace_{run}_1", "credits", 1, idempotency=True, recording=True)
            client.lpush(f"rowrace.{run}", "x")
        schema.hold(connection, living)
        said, error = racing.command("clean").communicate(timeout=60)
        assert "" == error
        assert f"Removed schema rowrace_{abandoned}_1\n" in said
        assert f"Removed queue rowrace.{abandoned}\n" in said
        assert living not in said
        left = (f"rowrace_{living}_1" in schema.schemas(connection), client.exists(f"rowrace.{living}"))
        schema.drop(connection, f"rowrace_{living}_1")
        client.delete(f"rowrace.{living}")
    assert (True, 1) == left
    assert [] == racing.left(abandoned)
