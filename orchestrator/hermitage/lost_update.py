"""P4: two transactions read one version, and both overwrite it.

Definition: Berenson et al., "A Critique of ANSI SQL Isolation Levels", 1995.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.hermitage.case import Case, read, transaction, write

if TYPE_CHECKING:
    from orchestrator.hermitage.case import Connection, Outcome


@transaction
def _adds_1(connection: Connection) -> int:
    seen = read(connection, 1)
    assert seen is not None  # noqa: S101 - nobody deletes the row
    write(connection, 1, seen + 1)
    return seen


def lost(outcome: Outcome) -> bool:
    """P4 is an update written over by a transaction that had read the row before it: both read one version."""
    return outcome.all_committed and outcome.values[0] == outcome.values[1]


CASES = (Case("P4", "P4", "lost update", (_adds_1, _adds_1), lost),)
