"""What the shop's workers do; each task passes its own test, and each races with itself."""

from __future__ import annotations

from celery import Celery
from sqlalchemy import select

from shop.database import Session
from shop.models import Courier, Item, Redemption, Sale, Shelf

app = Celery("shop")


@app.task
def sell(item_id: int) -> str:
    """Sell one piece, if there is one left."""
    with Session() as session:
        item = session.get_one(Item, item_id)
        if item.stock < 1:
            return "sold out"
        item.stock -= 1
        session.add(Sale(item_id=item_id))
        session.commit()
    return "sold"


@app.task
def redeem(coupon: str, customer: int) -> str:
    """Let a customer use a coupon, which can be used once."""
    with Session() as session:
        used = session.scalar(select(Redemption).where(Redemption.coupon == coupon))
        if used is not None:
            return "used already"
        session.add(Redemption(coupon=coupon, customer=customer))
        session.commit()
    return "redeemed"


@app.task
def move(source: int, target: int) -> None:
    """Move a box from one shelf to another."""
    with Session.begin() as session:
        session.get_one(Shelf, source, with_for_update=True).boxes -= 1
        session.flush()
        session.get_one(Shelf, target, with_for_update=True).boxes += 1


@app.task
def leave(courier_id: int) -> str:
    """Let a courier go home, if another one stays."""
    with Session.begin() as session:
        on_shift = session.scalars(select(Courier).where(Courier.on_shift)).all()
        if len(on_shift) < 2:  # noqa: PLR2004 - the one who leaves, and one who stays
            return "stays"
        session.get_one(Courier, courier_id).on_shift = False
    return "left"
