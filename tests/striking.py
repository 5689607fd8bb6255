"""What tests of faults at the services need: a group to strike, its fleet's names, and a look at who is connected."""

from __future__ import annotations

import contextlib
import random
import secrets
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg

from orchestrator import schema
from orchestrator.errors import ServiceError
from orchestrator.faults import KNOWN
from orchestrator.faults.model import Reach
from orchestrator.faults.plan import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.faults.model import Fault, Nodes, Servers, Struck
    from orchestrator.services import Services

#: Keys of the group's table: 0 to 3.
ROWS = 4


class Spawned:
    """A fleet's names; faults at the services ask for nothing else."""

    def names(self) -> tuple[str, ...]:
        """Two nodes."""
        return ("node1", "node2")


class Strangers:
    """External workers."""

    def names(self) -> NoReturn:
        """Refused, as an external fleet does."""
        raise ServiceError("external workers are not ours")


@contextlib.contextmanager
def reach(services: Services, *, external: bool = False, fleet: object | None = None) -> Iterator[Reach]:
    """A group with its schema, for as long as the block runs; `external` hides that the services could be stopped."""
    run = secrets.token_hex(6)
    name = f"rowrace_{run}_1"
    servers: Servers | None = None if external else services.servers
    nodes: Any = fleet or Spawned()
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        schema.create(connection, name, "credits", ROWS, idempotency=True, recording=True)
    try:
        yield Reach(
            nodes=_typed(nodes),
            servers=servers,
            database_url=services.database_url,
            broker_url=services.broker_url,
            schema=name,
            table="users",
            queue=f"rowrace.{run}",
            network=None,
            random=random.Random(7),  # noqa: S311 -- a fault's choice is no secret
        )
    finally:
        with psycopg.connect(services.database_url, autocommit=True) as connection:
            schema.drop(connection, name)


def fault(entry: str, reached: Reach) -> Fault:
    """A fault, made from an entry of a plan as a run does it."""
    (planned,) = parse([entry])
    build = KNOWN[planned.name].build
    assert build is not None
    return build(planned, reached)


def struck(entry: str, reached: Reach) -> Struck:
    """What a fault did when it struck, which it must have done."""
    done = fault(entry, reached).strike()
    assert done is not None
    return done


def heal(done: Struck) -> None:
    """Heal what was struck, which must need it."""
    assert done.heal is not None
    done.heal()


def session(services: Services, name: str) -> psycopg.Connection[Any]:
    """A session with an application_name; whoever asks closes it."""
    return psycopg.connect(services.database_url, autocommit=True, application_name=name)


def sessions(services: Services, name: str) -> int:
    """How many sessions have an application_name."""
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        row = connection.execute(query, (name,)).fetchone()
    return int(row[0]) if row else 0


def _typed(nodes: Any) -> Nodes:  # noqa: ANN401 -- a stand-in for the part of a fleet that is asked
    typed: Nodes = nodes
    return typed
