"""The same tasks without their races."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint, select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Mapped, mapped_column

from shop.database import Session
from shop.models import Base, Courier, Item, Sale, Shelf
from shop.tasks import app


class SingleRedemption(Base):
    """A coupon that a customer has used; the database sees to it that this happens once."""

    __tablename__ = "single_redemptions"
    __table_args__ = (UniqueConstraint("coupon"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    coupon: Mapped[str]
    customer: Mapped[int]


@app.task
def sell(item_id: int) -> str:
    """Test and take in one statement, so that nobody can come between."""
    with Session() as session:
        take = update(Item).where(Item.id == item_id, Item.stock > 0).values(stock=Item.stock - 1)
        if session.scalar(take.returning(Item.stock)) is None:
            return "sold out"
        session.add(Sale(item_id=item_id))
        session.commit()
    return "sold"


@app.task
def redeem(coupon: str, customer: int) -> str:
    """Insert, and let the unique constraint say whether it was the first."""
    with Session() as session:
        session.add(SingleRedemption(coupon=coupon, customer=customer))
        try:
            session.commit()
        except IntegrityError:
            return "used already"
    return "redeemed"


@app.task
def move(source: int, target: int) -> None:
    """Lock both shelves first, in the order of their keys, whichever way the box goes."""
    with Session.begin() as session:
        both = select(Shelf).where(Shelf.id.in_([source, target])).order_by(Shelf.id).with_for_update()
        shelves = {shelf.id: shelf for shelf in session.scalars(both)}
        shelves[source].boxes -= 1
        shelves[target].boxes += 1


@app.task(autoretry_for=(OperationalError,), default_retry_delay=1)
def leave(courier_id: int) -> str:
    """Lock everybody who is on shift; at REPEATABLE READ the second one is refused and tries again."""
    with Session.begin() as session:
        locked = select(Courier).where(Courier.on_shift).order_by(Courier.id).with_for_update()
        on_shift = {courier.id: courier for courier in session.scalars(locked)}
        if len(on_shift) < 2:  # noqa: PLR2004 - the one who leaves, and one who stays
            return "stays"
        on_shift[courier_id].on_shift = False
    return "left"
