"""Runs the hand-written Celery app over a plan, on a fleet of the same shape as a race's."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from benchmarks.races import bare_table
from orchestrator.broker import Broker
from orchestrator.plan import plan
from orchestrator.publish import Publisher, messages
from worker.contract import Isolation, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Options
    from orchestrator.profile import Profile
    from orchestrator.services import Services

ROOT = Path(__file__).resolve().parent.parent

#: As often as a race looks whether it is over, seconds.
TICK = 0.05


def rate(services: Services, raced: Profile, asked: Options, task: str) -> float:
    """Operations per second of task "apply" or "noop", from the first publication until nothing waits or is taken."""
    name = f"baseline{secrets.token_hex(4)}"
    broker = Broker(services.broker_url, name)
    try:
        with bare_table(services) as schema, fleet(services, broker, asked, task):
            began = time.perf_counter()
            _publish(broker, schema, raced)
            while broker.waiting() or broker.unacknowledged():
                time.sleep(TICK)
            seconds = time.perf_counter() - began
            if task == "apply":
                _check(services, schema, raced)
            return raced.operations / seconds
    finally:
        broker.remove()
        broker.close()


@contextmanager
def fleet(services: Services, broker: Broker, asked: Options, task: str) -> Iterator[None]:
    """Worker nodes of the baseline, with the flags that a race gives to its own."""
    names = [f"node{number}-{broker.queue}@localhost" for number in range(asked.nodes)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_node(services, broker.queue, (name, task), asked.concurrency))
        deadline = time.monotonic() + 60
        while len(broker.ping(1.0, names)) < len(names):
            if time.monotonic() > deadline:
                raise RuntimeError("the baseline's workers did not answer")
        yield


@contextmanager
def _node(services: Services, queue: str, what: tuple[str, str], concurrency: int) -> Iterator[None]:
    name, task = what
    command = [
        *(sys.executable, "-m", "celery", "-A", "benchmarks.baseline_app", "worker", "-n", name, "-Q", queue),
        *("--pool", "prefork", "--concurrency", str(concurrency), "--loglevel", "ERROR"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "BASELINE_BROKER_URL": services.broker_url,
        "BASELINE_DATABASE_URL": services.database_url,
        "BASELINE_TASK": task,
        "PYTHONWARNINGS": "ignore",  # Celery's advice not to be root would fill the terminal
    }
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def unheard(name: str, raced: Profile, schema: str = "rowrace_nowhere_1") -> Settings:
    """What a race's messages would say, for rivals that take them."""
    return Settings(
        run=name,
        schema=schema,
        scenario="credits",
        strategy="optimistic",
        isolation=Isolation.READ_COMMITTED,
        retry=raced.retry,
        think_ms=(0.0, 0.0),
        lock_timeout_ms=0,
        recording=False,
        seed=raced.seed,
    )


def _publish(broker: Broker, schema: str, raced: Profile) -> None:
    """Publish the messages of a race, as a race does, so that only the workers' side differs."""
    settings = unheard(broker.queue, raced, schema)
    publisher = Publisher(broker, raced.operations, raced.per_message, again=False)
    publisher.settled = raced.operations  # nobody reports; the queue may hold them all
    publisher.run(messages(settings, f"{broker.queue}.1", plan(raced, "credits"), raced.per_message))
    if publisher.published != raced.operations:
        raise RuntimeError("the baseline's messages were not all published")


def _check(services: Services, schema: str, raced: Profile) -> None:
    """A rival that did nothing would be fast: most operations must have changed a row."""
    with psycopg.connect(services.database_url) as connection:
        row = connection.execute(
            sql.SQL("SELECT sum(version) FROM {}").format(sql.Identifier(schema, "users"))
        ).fetchone()
    if row is None or row[0] < raced.operations / 2:
        raise RuntimeError("the baseline did not do its work")
