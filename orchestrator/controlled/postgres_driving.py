"""Driving psycopg's generators: a worker whose statement waits for another one's lock lets the others run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from orchestrator.controlled.database import Uncontrolled
from orchestrator.controlled.postgres_waits import cancelled, waiting
from orchestrator.explorer.model import NOTHING

if TYPE_CHECKING:
    from psycopg.waiting import Ready, Wait

    from orchestrator.controlled.postgres_hook import Driven
    from orchestrator.controlled.postgres_sessions import Session, Sessions
    from orchestrator.controlled.postgres_waits import Monitor
    from orchestrator.explorer.hub import Hub
    from orchestrator.explorer.model import Footprint

#: How long an answer may take before the server is asked whether the statement waits for a lock, seconds.
_PATIENCE_S: Final = 0.002
_LONGEST_S: Final = 0.05
#: Where a wait is expected, it is asked at once, and again after this: so long may a statement need to get to the lock.
_SHORTEST_S: Final = 0.00005

#: How long somebody outside of the exploration may hold a lock that a worker waits for, seconds.
_FOREIGN_S: Final = 10.0

_COPYING: Final = frozenset({ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH})


class Driver:
    """Drives with the server's word on who blocks whom."""

    def __init__(self, monitor: Monitor, sessions: Sessions) -> None:
        self._monitor, self._sessions = monitor, sessions

    def drive(self, hub: Hub, session: Session, generator: Driven, wanted: Footprint) -> Any:  # noqa: ANN401 - whatever the generator gives
        """Drive a generator to its end; where a lock that it wants is held, the server is asked without patience."""
        held = wanted is not NOTHING and self._sessions.predict(wanted, session.worker)
        patience = 0.0 if held else _PATIENCE_S
        try:
            state = next(generator)
            while True:
                ready = session.ready(state, patience) or self._held_up(hub, session, state, patience / 2)
                state = generator.send(ready)
        except StopIteration as end:
            if session.cancelled:
                raise _retold(session) from None
            return end.value
        except psycopg.errors.QueryCanceled as error:
            if session.cancelled:
                raise _retold(session) from error
            raise
        except psycopg.Error:
            raise
        except BaseException:
            self._give_up(session, generator)
            raise

    def _held_up(self, hub: Hub, session: Session, state: Wait, patience: float) -> Ready:
        """Wait until a socket is ready, as a blocked worker where the server says that another one blocks it."""
        foreign_since = 0.0
        while True:
            # What was cancelled is about to be told so; until then it seems to wait as before.
            wait = None if session.cancelled else waiting(self._monitor, self._sessions, session, state)
            if wait is not None and wait.by():
                hub.block(wait)
                patience, foreign_since = _PATIENCE_S, 0.0
            elif wait is not None:
                foreign_since = foreign_since or time.monotonic()
                if time.monotonic() - foreign_since > _FOREIGN_S:
                    raise Uncontrolled(self._foreign(session))
            if ready := session.ready(state, patience):
                return ready
            patience = min(2 * patience, _LONGEST_S) or _SHORTEST_S

    def _foreign(self, session: Session) -> str:
        who = ", ".join(self._monitor.describe(pid) for pid in self._monitor.blockers(session.pid))
        return f"A worker has waited for {_FOREIGN_S:.0f} s for a lock that no worker holds, but {who}: end that first."

    def _give_up(self, session: Session, generator: Driven) -> None:
        """Get a connection out of a statement whose worker is to end."""
        pgconn = session.pgconn
        generator.close()
        if pgconn is not None and pgconn.transaction_status == TransactionStatus.ACTIVE:
            self._monitor.cancel(session.pid)
            while (result := pgconn.get_result()) is not None:
                if result.status in _COPYING:
                    pgconn.finish()
                    return


def _retold(session: Session) -> psycopg.Error:
    why, session.cancelled = session.cancelled, ""
    return cancelled(why)
