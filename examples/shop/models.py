"""The shop's tables."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Every table of the shop."""


class Item(Base):
    """Something that is sold, and how many of it are left."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    stock: Mapped[int]


class Sale(Base):
    """One piece of an item that was sold."""

    __tablename__ = "sales"

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))


class Redemption(Base):
    """A coupon that a customer has used."""

    __tablename__ = "redemptions"

    id: Mapped[int] = mapped_column(primary_key=True)
    coupon: Mapped[str]
    customer: Mapped[int]


class Shelf(Base):
    """A place in the warehouse, and how many boxes lie there."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    boxes: Mapped[int]


class Courier(Base):
    """Somebody who brings parcels; one must always be on shift."""

    __tablename__ = "couriers"

    id: Mapped[int] = mapped_column(primary_key=True)
    on_shift: Mapped[bool]
