"""Small histories that hypothesis makes, as text of the tiny language, so that a failing one can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

#: At most this many transactions.
MOST = 5

_LABELS = "abcde"


@dataclass(frozen=True, kw_only=True)
class Head:
    """A transaction but for its operations."""

    #: "" none.
    session: str
    #: "" committed, "!" aborted, "?" unknown.
    outcome: str
    #: Moments since the session's last end, from begin to end, and by which clocks were unsure.
    pause: int
    length: int
    slack: int
    #: Its end is known.
    ended: bool


@dataclass(frozen=True, kw_only=True)
class Act:
    """An operation in a common order of all: by whom, on which row, how far from the row's last version."""

    who: int
    write: bool
    row: str
    #: Reads: how many versions behind; writes: how many are left out.
    lag: int
    known: bool


HEADS = st.builds(
    Head,
    session=st.sampled_from(("", "", "s", "t")),
    outcome=st.sampled_from(("", "", "", "", "!", "?")),
    pause=st.integers(0, 3),
    length=st.integers(0, 3),
    slack=st.sampled_from((0, 0, 1, 2)),
    ended=st.sampled_from((True, True, True, False)),
)

#: Any operation whatever: duplicates, gaps, garbage, versions of the future.
WILD = st.lists(
    st.sampled_from(
        [f"r{row}{version}" for row in "xy" for version in (0, 1, 1, 2, 2, 3, 4, "?")]
        + [f"w{row}{version}" for row in "xy" for version in (1, 1, 2, 2, 3, 4, "?")]
    ),
    max_size=4,
)

#: Mostly one writer for each version, mostly reads of what there is: many cycles.
ORDERLY = st.lists(
    st.builds(
        Act,
        who=st.integers(0, MOST - 1),
        write=st.booleans(),
        row=st.sampled_from("xy"),
        lag=st.sampled_from((0, 0, 0, 0, 1, 1, 2, -1)),
        known=st.sampled_from((True,) * 15 + (False,)),
    ),
    min_size=6,
    max_size=16,
)

#: A dependency that versions don't show: source, kind, row, target.
EDGE = st.tuples(
    st.integers(0, MOST - 1),
    st.sampled_from(("ww", "wr", "rw", "rw", "predicate-rw")),
    st.sampled_from("xy"),
    st.integers(0, MOST - 1),
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """The text of a history of up to five transactions over two rows."""
    size = draw(st.sampled_from((5, 4, 5, 4, 3, 2, 1)))
    heads = [draw(HEADS) for _ in range(size)]
    mode = draw(st.sampled_from(("wild", "orderly", "orderly", "edges")))
    if mode == "wild":
        operations = [draw(WILD) for _ in heads]
    elif mode == "orderly":
        operations = _in_order(draw(ORDERLY), len(heads))
    else:
        return tell(heads, [["rx0", "ry0"] for _ in heads], draw(st.lists(EDGE, min_size=4, max_size=10)))
    return tell(heads, operations, draw(st.one_of(st.just([]), st.just([]), st.lists(EDGE, max_size=4))))


def tell(
    heads: Sequence[Head], operations: Sequence[Sequence[str]], edges: Sequence[tuple[int, str, str, int]] = ()
) -> str:
    """The text; a session goes on only after its last transaction's end, and ends at an unknown one."""
    items, clocks = [], dict[str, int]()
    for label, head, words in zip(_LABELS, heads, operations, strict=False):
        session = "" if clocks.get(head.session, 0) < 0 else head.session
        begin = clocks.get(session, 0) + head.pause
        end = begin + head.length
        if session:
            clocks[session] = -1 if head.outcome == "?" else end + 1
        place = f"[{begin - head.slack},{end + head.slack if head.ended else ''}]"
        items.append(f"{label}{session and '@' + session}{head.outcome}{place}: {' '.join(words)}")
    size = len(items)
    items += [f"{_LABELS[a % size]} -{kind}:{row}-> {_LABELS[b % size]}" for a, kind, row, b in edges]
    return " | ".join(items)


def _in_order(acts: Sequence[Act], size: int) -> list[list[str]]:
    """Each transaction's operations, of those that all did one after another."""
    last = {"x": 0, "y": 0}
    operations: list[list[str]] = [[] for _ in range(size)]
    for act in acts:
        if act.write:
            last[act.row] += 1 + (act.lag == 2)
            version = last[act.row]
        else:
            version = max(last[act.row] - act.lag, 0)
        operations[act.who % size].append(f"{'w' if act.write else 'r'}{act.row}{version if act.known else '?'}")
    return operations
