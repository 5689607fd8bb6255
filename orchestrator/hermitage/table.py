"""The published table: which anomalies each isolation level of PostgreSQL prevents.

Source: Martin Kleppmann, "Hermitage: Testing transaction isolation levels", https://github.com/ept/hermitage, README.md
and postgres.md.  A case that postgres.md plays at one level only is expected elsewhere as its anomaly's column says.
"""

from __future__ import annotations

from typing import Final

from orchestrator.hermitage.case import Level

#: The columns, weakest first.
ANOMALIES: Final = ("G0", "G1a", "G1b", "G1c", "OTV", "PMP", "P4", "G-single", "G2-item", "G2")

#: What a level prevents; the rest can occur.
PREVENTS: Final = {
    Level.READ_COMMITTED: frozenset({"G0", "G1a", "G1b", "G1c", "OTV"}),
    Level.REPEATABLE_READ: frozenset({"G0", "G1a", "G1b", "G1c", "OTV", "PMP", "P4", "G-single"}),
    Level.SERIALIZABLE: frozenset(ANOMALIES),
}
