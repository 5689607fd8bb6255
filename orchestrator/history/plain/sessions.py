"""Sessions: an unknown transaction ends its session, since nobody knows when it ended itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from orchestrator.history.transactions import UNKNOWN

if TYPE_CHECKING:
    import numpy.typing as npt

    from orchestrator.history.transactions import Int8s, Int32s


def ended(session: Int32s, status: Int8s) -> Int32s:
    """Give what goes on after an unknown transaction a session of its own."""
    unknown = np.flatnonzero((status == UNKNOWN) & (session >= 0))
    if not len(unknown):
        return session
    count = int(session.max()) + 1
    inside = np.flatnonzero(session >= 0)
    last = np.zeros(count, dtype=np.int64)
    last[session[inside]] = inside  # of several that go to one place the last one stays
    broken = np.zeros(count, dtype=np.bool_)
    broken[session[unknown[last[session[unknown]] > unknown]]] = True
    concerned = inside[broken[session[inside]]]
    if not len(concerned):
        return session
    order = concerned[np.argsort(_short(session[concerned], count), kind="stable")]
    ends = np.cumsum(status[order] == UNKNOWN) - (status[order] == UNKNOWN)
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = (session[order][1:] != session[order][:-1]) | (ends[1:] != ends[:-1])
    renumbered = session.copy()
    renumbered[order] = count - 1 + np.cumsum(begins)
    return renumbered


def _short(session: Int32s, count: int) -> npt.NDArray[np.signedinteger]:
    """Sessions in few bits, where they fit: those are sorted several times as fast."""
    return session.astype(np.int16) if count <= np.iinfo(np.int16).max else session
