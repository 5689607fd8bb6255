"""A run's fault plan: what of it did not come about is told."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import UsageError
from orchestrator.faults.model import Kind, Reach
from orchestrator.faults.plan import parse
from orchestrator.faults.striker import Strike, Striker
from orchestrator.profile import Pool, Profile, Workers
from orchestrator.services import Origin
from orchestrator.striking import check, check_servers, unmet

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.faults.model import Fault, Planned, Struck


class _Never:
    def strike(self) -> Struck | None:
        """Find nothing to strike."""
        return None


def _idle(_planned: Planned, _reach: Reach) -> Fault:
    return _Never()


KINDS = {name: Kind(build=_idle, help="") for name in ("cut", "hit")}


def _striker(planned: tuple[Planned, ...]) -> Striker:
    reach = Reach(
        nodes=None,  # type: ignore[arg-type] # nothing is struck
        servers=None,
        database_url="",
        broker_url="",
        schema="",
        table="",
        queue="",
        network=None,
        random=random.Random(1),  # noqa: S311 - no secret
    )
    return Striker(planned, reach, lambda: 0, known=KINDS)


@pytest.mark.parametrize(
    ("entries", "earlier", "told"),
    [
        ("cut,hit", "", ["cut", "hit"]),
        ("cut,hit", "hit", ["cut"]),
        ("hit,hit:at=9s", "hit", ["hit", "hit:at=9s"]),
    ],
    ids=["never", "before the kill", "one of two, and nobody knows which"],
)
def test_entries_that_never_struck_are_told(entries: str, earlier: str, told: list[str]) -> None:
    """What struck before the run was resumed has struck."""
    planned = parse([entries], KINDS)
    before = [Strike(name, 1, 2, "") for name in earlier.split()]
    found = unmet(planned, _striker(planned), {}, before)
    assert [f"fault {text} never struck: nothing was there, or the race was over" for text in told] == list(found)


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile(faults=("kill-node:node9",)), "there is no node9; the nodes are node1, node2"),
        (Profile(faults=("kill-in-pop:node9",)), "there is no node9"),
        (Profile(faults=("clock-skew:node9:skew=1s",)), "node9"),
        (Profile(faults=("partition:node9-db",)), "node9"),
        (Profile(faults=("kill-child",), pool=Pool.THREADS), "no processes of its own"),
        (Profile(faults=("soft-shutdown", "cold-shutdown")), "soft or cold"),
        (Profile(faults=("poison:operation=400",)), "no operation 400 to strike: they are 0 to 399"),
    ],
)
def test_what_the_run_will_not_have_is_refused_before_anything_starts(profile: Profile, said: str) -> None:
    """Nodes, pools and operations are known from the profile."""
    with pytest.raises(UsageError, match=said):
        check(profile)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("kill-node", "external workers are not ours to strike"),
        ("kill-child:node1", "external workers are not ours to strike"),
        ("kill-in-pop", "external workers are not ours to strike"),
        ("warm-shutdown:node2", "external workers are not ours to strike"),
        ("latency:node1-db", "external workers are not ours to strike"),
        ("partition:orchestrator-db:*-broker", "external workers are not ours to strike"),
        ("clock-skew:node1:skew=1s", "external workers have clocks of their own"),
    ],
)
def test_external_nodes_are_not_struck(entry: str, said: str) -> None:
    """Before anything is opened."""
    with pytest.raises(UsageError, match=rf"\AFault «{re.escape(entry)}»: [^\n]*{said}[^\n]*\Z"):
        check(Profile(faults=("kill-clients", entry), workers=Workers.EXTERNAL))


@pytest.mark.parametrize(
    "entry", ["kill-clients", "terminate-backends", "latency:orchestrator-db", "poison:operation=1", "restart-database"]
)
def test_what_touches_no_external_node_s_process_or_way_is_let_through(entry: str) -> None:
    """Services, the orchestrator's own ways and failpoints are within reach."""
    check(Profile(faults=(entry,), workers=Workers.EXTERNAL))


def test_cuts_between_hosts_are_let_through(tmp_path: Path) -> None:
    """Workers on hosts are external, and their ways are real."""
    check(Profile(faults=("partition:worker1-database",), workers=Workers.EXTERNAL), tmp_path / "wires")


@pytest.mark.parametrize(
    ("entry", "database", "broker", "said"),
    [
        ("stop-database", Origin.GIVEN, Origin.EMBEDDED, "a database of the run's own, and ROWRACE_DATABASE_URL names"),
        ("pause-broker", Origin.EMBEDDED, Origin.GIVEN, "a broker of the run's own, and ROWRACE_BROKER_URL names"),
        ("restart-broker", Origin.KEPT, Origin.KEPT, "end these with `rowrace services down`, or leave"),
        ("exhaust-connections", Origin.GIVEN, Origin.GIVEN, "leave that away, say connections=, or leave the fault"),
    ],
)
def test_servers_that_are_not_the_run_s_own_are_not_taken_away(
    entry: str, database: Origin, broker: Origin, said: str
) -> None:
    """Where they would come from is known before anything is started."""
    with pytest.raises(UsageError, match=rf"\AFault «{entry}» needs [^\n]+\Z") as refused:
        check_servers(Profile(faults=("kill-node", entry)), database, broker)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "entry", ["stop-database", "pause-database", "exhaust-connections:connections=5", "lock-table"]
)
def test_what_needs_no_given_server_for_itself_is_let_through(entry: str) -> None:
    """The broker may be another's where only the database is stopped, and locks harm no server."""
    check_servers(Profile(faults=(entry,)), Origin.EMBEDDED, Origin.GIVEN)
