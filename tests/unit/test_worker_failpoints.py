"""Which failpoints strike which attempts; the strikes themselves are integration tests' matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from worker.contract import (
    Action,
    EndLine,
    Failpoint,
    FaultLine,
    Isolation,
    Line,
    Outcome,
    Retry,
    Settings,
    Where,
)
from worker.failpoints import Injected, Trap, armed, due

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.sql.expression import ClauseElement

    from worker.link import Answer, Begin


def _failpoint(**changes: Any) -> Failpoint:  # noqa: ANN401 - fields of several types
    return Failpoint(**{"where": Where.BEFORE_COMMIT, "action": Action.RAISE, **changes})


def _settings(*failpoints: Failpoint) -> Settings:
    return Settings(
        run="abcd",
        schema="rowrace_abcd_1",
        scenario="credits",
        strategy="naive",
        isolation=Isolation.READ_COMMITTED,
        retry=Retry(),
        think_ms=(0, 0),
        lock_timeout_ms=0,
        recording=True,
        seed=1,
        failpoints=failpoints,
    )


@pytest.mark.parametrize(
    ("failpoint", "first", "expected"),
    [
        (_failpoint(operations=(3, 4)), True, True),
        (_failpoint(operations=(4,)), True, False),
        (_failpoint(), True, False),
        (_failpoint(probability=0.01), True, True),
        (_failpoint(operations=(3,)), False, False),
        (_failpoint(operations=(3,), always=True), False, True),
    ],
)
def test_a_failpoint_is_armed_for_the_deliveries_it_may_strike(
    failpoint: Failpoint, *, first: bool, expected: bool
) -> None:
    """Named operations and any probability arm it; a later delivery only where it always strikes."""
    assert ([failpoint] if expected else []) == armed(_settings(failpoint), 3, first=first)


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_chance_strikes_about_as_often_as_it_says(probability: float) -> None:
    """Over many attempts the share is the probability, and the same seed draws the same attempts."""
    failpoint = _failpoint(probability=probability)
    struck = [due(failpoint, 3, 7, token) for token in range(2_000)]
    assert abs(sum(struck) / 2_000 - probability) < 0.05
    assert struck == [due(failpoint, 3, 7, token) for token in range(2_000)]


def test_another_seed_or_point_draws_other_attempts() -> None:
    """Neither the token alone nor the seed alone decides."""
    failpoint = _failpoint(probability=0.5)
    elsewhere = _failpoint(probability=0.5, where=Where.AFTER_COMMIT)
    draws = [
        tuple(due(each, 3, seed, token) for token in range(64))
        for each, seed in ((failpoint, 1), (failpoint, 2), (elsewhere, 1))
    ]
    assert len(draws) == len(set(draws))


class _Link:
    """A link, a journal and a process that only tell."""

    dialect = "postgresql"
    backend = (0, 0)
    sent_ns = 0

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin(self, begin: Begin) -> None:
        """Never be asked."""
        raise AssertionError(begin)

    def execute(self, statement: ClauseElement, params: Mapping[str, Any]) -> Answer:
        """Never be asked."""
        raise AssertionError(statement, params)

    def commit(self, sent: Callable[[], None] | None = None) -> None:
        """Never be asked."""
        raise AssertionError(sent)

    def rollback(self) -> None:
        """Never be asked."""
        raise AssertionError

    def close(self) -> None:
        """Never be asked."""
        raise AssertionError

    def disconnect(self) -> None:
        """Tell."""
        self.told.append("disconnect")

    def write(self, line: Line) -> None:
        """Tell."""
        self.told.append(line.name if isinstance(line, FaultLine) else type(line).__name__)

    def now(self) -> int:
        """Stand still."""
        return 5

    def pause(self, seconds: float) -> None:
        """Tell."""
        self.told.append(seconds)


def _trap(link: _Link, *failpoints: Failpoint) -> Trap:
    return Trap(list(failpoints), 3, 1, link, link)


def test_a_failpoint_strikes_a_delivery_once() -> None:
    """The attempt after it passes the point, and the strike is announced first."""
    link = _Link()
    trap = _trap(link, _failpoint(action=Action.DISCONNECT, operations=(3,)))
    for token in (8, 9):
        trap.reach(Where.AFTER_READ, token, link)
        trap.reach(Where.BEFORE_COMMIT, token, link)
    assert ["before-commit:disconnect", "disconnect"] == link.told


def test_one_that_always_strikes_strikes_every_attempt() -> None:
    """Nothing gets past it."""
    link = _Link()
    trap = _trap(link, _failpoint(action=Action.DELAY, operations=(3,), delay_ms=20, always=True))
    for token in (8, 9):
        trap.reach(Where.BEFORE_COMMIT, token, link)
    assert ["before-commit:delay", 0.02] * 2 == link.told


def test_what_it_raises_is_no_error_that_bodies_know() -> None:
    """The exception is a class of its own."""
    link = _Link()
    with pytest.raises(Injected, match="before-commit"):
        _trap(link, _failpoint(operations=(3,))).reach(Where.BEFORE_COMMIT, 8, link)


@pytest.mark.parametrize(("action", "raised"), [(Action.RAISE, True), (Action.DISCONNECT, False)])
def test_an_end_is_written_whatever_strikes_before_it(action: Action, *, raised: bool) -> None:
    """Who survives the strike says how the attempt ended."""
    link = _Link()
    end = EndLine(8, Outcome.OK, None, True, 1, [])  # noqa: FBT003 - final
    trap = _trap(link, _failpoint(where=Where.WHILE_LOGGING, action=action, operations=(3,)))
    assert raised == trap.log(end, link)
    assert ["while-logging", "EndLine"] == [link.told[0].partition(":")[0], link.told[-1]]


def test_old_messages_have_neither_failpoints_nor_mistakes() -> None:
    """A message without the fields is one that asks for none."""
    old = msgspec.to_builtins(_settings())
    del old["failpoints"], old["mistakes"]
    assert _settings() == msgspec.convert(old, Settings)


@pytest.mark.parametrize("changes", [{"probability": 1.5}, {"delay_ms": -1}, {"where": "elsewhere"}, {"often": 1}])
def test_a_failpoint_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    """A message with one can't be run."""
    built = {**msgspec.to_builtins(_failpoint()), **changes}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(built, Failpoint)


def test_a_fault_line_is_an_array_that_names_itself() -> None:
    """Tag, name, token, time, detail."""
    line = FaultLine("before-ack:kill", 9, 5, "operation 3")
    assert b'["fault","before-ack:kill",9,5,"operation 3"]' == msgspec.json.encode(line)
    assert line == msgspec.json.decode(msgspec.json.encode(line), type=Line)
