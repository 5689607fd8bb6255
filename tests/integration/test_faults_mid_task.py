"""Nodes that are struck in mid-task: what each way of ending does to the tasks that run."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from psycopg import sql

from orchestrator import schema
from orchestrator.broker import Broker
from orchestrator.faults.model import Reach
from orchestrator.faults.plan import parse
from orchestrator.faults.striker import Striker
from orchestrator.faults.worker import celery_settings
from orchestrator.fleet import Place, fleet
from orchestrator.profile import Profile
from orchestrator.run import new_run
from tests.stand_ins import wait_until
from worker.contract import TASK, Batch, Isolation, Line, Operation, Retry, Settings, StartLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from orchestrator.fleet import Crew

#: Think time of each task, milliseconds: long enough to be struck in.
_THINK: Final = 1_500


class Tasks:
    """Two long tasks, and what the database knows of them."""

    def __init__(self, database: psycopg.Connection[Any], broker: Broker, name: str) -> None:
        self._database, self._broker, self._name = database, broker, name

    def send(self, run: str) -> None:
        """Publish both, a message each."""
        settings = Settings(
            run=run,
            schema=self._name,
            scenario="credits",
            strategy="optimistic",
            isolation=Isolation.READ_COMMITTED,
            retry=Retry(),
            think_ms=(_THINK, _THINK),
            lock_timeout_ms=0,
            recording=True,
            seed=1,
        )
        for number in range(2):
            operation = Operation(number, "grant", {"user": number, "amount": 1})
            batch = msgspec.to_builtins(Batch(settings=settings, operations=[operation]))
            self._broker.app.send_task(TASK, queue=self._broker.queue, kwargs=batch)

    def effects(self) -> int:
        """Count what took effect."""
        return len(self._all("SELECT FROM {}.effects"))

    def starts(self) -> list[bool]:
        """Every attempt that began, as its message came: redelivered or not."""
        chunks = self._all("SELECT chunk FROM {}.journal")
        lines = [msgspec.json.decode(line, type=Line) for (chunk,) in chunks for line in chunk.splitlines()]
        return sorted(line.redelivered for line in lines if isinstance(line, StartLine))

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        statement: Any = sql.SQL(query)
        return self._database.execute(statement.format(sql.Identifier(self._name))).fetchall()


@pytest.fixture
def run(database: psycopg.Connection[Any]) -> Iterator[str]:
    """A run whose group has a schema."""
    made = new_run()
    schema.create(database, f"rowrace_{made}_1", "credits", 2, idempotency=True, recording=True)
    yield made
    schema.drop(database, f"rowrace_{made}_1")


@pytest.mark.parametrize(
    ("fault", "redelivered"),
    [("warm-shutdown", 0), ("soft-shutdown", 0), ("cold-shutdown", 2), ("kill-node", 2), ("kill-child", 1)],
)
def test_tasks_end_or_come_again(
    database: psycopg.Connection[Any],
    database_url: str,
    broker_url: str,
    run: str,
    tmp_path: Path,
    fault: str,
    redelivered: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A warm or soft shutdown lets them end; a cold one and a kill drop them, and they are delivered again."""
    monkeypatch.setattr("orchestrator.faults.worker._UP", 0.0)  # tasks that run show that their node is up
    broker = Broker(broker_url, run)
    tasks = Tasks(database, broker, f"rowrace_{run}_1")
    planned = parse([f"{fault}:at=0s:for=10ms" if fault != "kill-child" else f"{fault}:at=0s"])
    place = Place(
        run=run,
        database_url=database_url,
        broker_url=broker_url,
        logs=tmp_path,
        journals=tmp_path / "journals",
        settings=celery_settings(planned, ("node1",)),
    )
    # A child's death is told to the broker at once; a node's own is seen by its silence.
    profile = Profile(nodes=1, visibility_timeout=60 if fault == "kill-child" else 3)
    with fleet(profile, broker, place, threading.Event()) as crew:
        tasks.send(run)
        wait_until(lambda: len(tasks.starts()) == 2)
        striker = Striker(planned, _reach(crew), lambda: 0)
        striker.start()
        wait_until(lambda: striker.quiet() and tasks.effects() == 2)
        striker.stop()
    assert ([], [fault]) == (striker.gaps(), [each.name for each in striker.strikes()])
    assert ([], [False] * 2 + [True] * redelivered) == (crew.save(), tasks.starts())
    broker.remove()
    broker.close()


def _reach(crew: Crew) -> Reach:
    return Reach(
        nodes=crew,
        servers=None,
        database_url="",
        broker_url="",
        schema="",
        table="",
        queue="",
        network=None,
        random=random.Random(1),  # noqa: S311 - a seed's choices, no secret
    )
