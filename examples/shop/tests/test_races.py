"""The shop's tasks under every interleaving: each race is found, and each fix has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from shop import fixed, tasks
from shop.database import Session, connect
from shop.models import Courier, Item, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from orchestrator.pytest_plugin import Rowrace
    from rowrace import Outcome

#: `pytest --runxfail` shows what is found.
_planted: Final = pytest.mark.xfail(strict=True, raises=pytest.fail.Exception, reason="a planted race, which is found")

both: Final = pytest.mark.parametrize(
    "shop", [pytest.param(tasks, marks=_planted, id="planted"), pytest.param(fixed, id="fixed")]
)


@pytest.fixture
def sqlite(rowrace: Rowrace) -> Iterator[Engine]:
    """The shop on an empty SQLite database."""
    engine = connect(f"sqlite:///{rowrace.sqlite_path}")
    yield engine
    engine.dispose()


@pytest.fixture
def postgres(rowrace: Rowrace) -> Iterator[Engine]:
    """The shop on an empty PostgreSQL database."""
    engine = connect(rowrace.postgres_for_sqlalchemy)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """The shop on either."""
    found: Engine = request.getfixturevalue(request.param)
    return found


def rows(*objects: object) -> Callable[[], None]:
    """Make a set-up that adds rows."""

    def add() -> None:
        with Session.begin() as session:
            session.add_all(objects)

    return add


def not_oversold(outcome: Outcome) -> None:
    """What was sold is gone from the stock, which was one piece."""
    sold, left = len(outcome.rows["sales"]), outcome.rows["items"][0]["stock"]
    assert sold + left == 1, f"{sold} sold and {left} left of a stock of 1"


def redeemed_once(outcome: Outcome) -> None:
    """One customer was told that the coupon is good."""
    assert outcome.results.count("redeemed") == 1, "the coupon was redeemed twice"


def somebody_is_on_shift(outcome: Outcome) -> None:
    """A courier is there."""
    assert any(courier["on_shift"] for courier in outcome.rows["couriers"]), "nobody is on shift"


@both
def test_the_last_piece_is_sold_once(rowrace: Rowrace, engine: Engine, shop: Any) -> None:  # noqa: ANN401 - a module
    """Two customers want the last piece; reading, deciding and writing in steps sells it twice."""
    rowrace.explore(
        shop.sell.s(1), shop.sell.s(1), engine=engine, setup=rows(Item(id=1, stock=1)), invariant=not_oversold
    )


@both
def test_a_coupon_is_used_once(rowrace: Rowrace, engine: Engine, shop: Any) -> None:  # noqa: ANN401 - as above
    """Two customers use one coupon; looking first and inserting then lets both."""
    rowrace.explore(shop.redeem.s("SPRING", 1), shop.redeem.s("SPRING", 2), engine=engine, invariant=redeemed_once)


@both
def test_boxes_move_both_ways(rowrace: Rowrace, postgres: Engine, shop: Any) -> None:  # noqa: ANN401 - as above
    """A box goes from shelf 1 to 2 and one from 2 to 1; locks in two orders are a deadlock that nobody catches."""
    shelves = rows(Shelf(id=1, boxes=5), Shelf(id=2, boxes=5))
    rowrace.explore(shop.move.s(1, 2), shop.move.s(2, 1), engine=postgres, setup=shelves)


@both
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_somebody_stays(rowrace: Rowrace, postgres: Engine, shop: Any, isolation: str) -> None:  # noqa: ANN401 - as above
    """Both couriers leave, for each still saw the other: write skew, which REPEATABLE READ does not prevent."""
    rowrace.explore(
        shop.leave.s(1),
        shop.leave.s(2),
        engine=postgres,
        isolation=isolation,
        setup=rows(Courier(id=1, on_shift=True), Courier(id=2, on_shift=True)),
        invariant=somebody_is_on_shift,
    )
