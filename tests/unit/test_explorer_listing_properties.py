"""Whatever happened, it can be told, listed, and made a token of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.explorer.listing import lay_out, render
from orchestrator.explorer.listing_text import size
from orchestrator.explorer.model import EVERY, Ending, Footprint, Place
from orchestrator.explorer.token import check, decode, token_of
from tests.unit.executions import Draft

if TYPE_CHECKING:
    from orchestrator.explorer.model import Execution

places = st.frozensets(st.builds(Place, st.sampled_from(["a", "b", EVERY]), st.sampled_from([1, (1, 2), "x", EVERY])))
rows = st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3)), max_size=3)
statements = st.sampled_from(
    [
        "SELECT k, v FROM a WHERE k = %s",
        "SELECT * FROM a",
        "UPDATE a SET v = %s",
        "UPDATE a SET v = v + 1 RETURNING k, v",
        "INSERT INTO a (k, v) VALUES (%s, 1) ON CONFLICT DO NOTHING",
        "DELETE FROM b",
        "",
    ]
)
steps = st.fixed_dictionaries(
    {
        "worker": st.integers(0, 2),
        "kind": st.sampled_from(["statement"] * 5 + ["commit", "rollback", "dequeue", "acknowledge", "else"]),
        "crash": st.sampled_from([False] * 9 + [True]),
        "wait": st.integers(0, 3),
        "rows": st.none() | rows,
        "count": st.integers(-1, 2),
        "error": st.sampled_from([""] * 5 + ["DeadlockDetected: deadlock detected", "UniqueViolation"]),
    }
)
points = st.fixed_dictionaries(
    {
        "statement": statements,
        "parameters": st.none() | st.tuples(st.integers(0, 2)),
        "footprint": st.builds(Footprint, places, places, places, places),
        "session": st.integers(0, 1),
        "alone": st.booleans(),
    }
)
endings = st.lists(st.sampled_from([Ending(), Ending(1), Ending(error=ValueError("no"))]), min_size=3, max_size=3)


@st.composite
def executions(draw: st.DrawFn) -> Execution:
    """Draw any steps, which no database would ever give together."""
    draft = Draft(3)
    drawn: list[tuple[dict[str, Any], dict[str, Any]]] = draw(st.lists(st.tuples(steps, points), max_size=12))
    for step, point in drawn:
        record = draft.step(step["worker"], step["kind"], **(point if step["kind"] == "statement" else {}))
        record.choice += 3 * step["crash"]
        record.rows, record.count, record.error = step["rows"], step["count"], step["error"]
        record.blocked, record.answered = step["wait"] > 0, min(record.number + step["wait"], len(drawn) - 1)
    draft.endings = draw(endings)
    return draft.done()


@settings(max_examples=50, deadline=None, suppress_health_check=(HealthCheck.too_slow,))  # many draws for one example
@given(executions(), st.integers(20, 140))
def test_anything_can_be_listed(execution: Execution, width: int) -> None:
    """Each step has its line, and no line is wider than the terminal."""
    listing = lay_out(execution)
    text = render(listing, width)
    numbered = [line.step for line in listing.lines if line.step is not None]
    too_wide = [line for line in text.split("\n") if size(line) > max(width, 24)]
    assert (list(range(1, len(execution.records) + 1)), []) == (numbered, too_wide)


@settings(max_examples=50, deadline=None, suppress_health_check=(HealthCheck.too_slow,))  # many draws for one example
@given(executions())
def test_any_execution_is_its_own_replay(execution: Execution) -> None:
    """A token of an execution finds no divergence in it."""
    assert check(decode(str(token_of(execution, "postgres", "serializable", "00000000"))), execution) is None
