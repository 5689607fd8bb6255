"""Users with credits: deduct, grant, transfer; no balance below zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from worker.contract import Reason
from worker.errors import Refused
from worker.scenarios.model import ONE, Kind, Scenario, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.sql.expression import ClauseElement

type_ = sa.BigInteger()


def _user(params: Mapping[str, Any]) -> tuple[int, ...]:
    return (params["user"],)


def _pair(params: Mapping[str, Any]) -> tuple[int, ...]:
    source, target = params["source"], params["target"]
    if source == target:
        raise ValueError("A transfer needs two different users.")
    return (source, target) if source < target else (target, source)


def _less(credits_: int, amount: int) -> int:
    if credits_ < amount:
        raise Refused(Reason.INSUFFICIENT)
    return credits_ - amount


def _deduct(params: Mapping[str, Any], values: Mapping[int, Any]) -> dict[int, Any]:
    return {params["user"]: _less(values[params["user"]], params["amount"])}


def _grant(params: Mapping[str, Any], values: Mapping[int, Any]) -> dict[int, Any]:
    return {params["user"]: values[params["user"]] + params["amount"]}


def _transfer(params: Mapping[str, Any], values: Mapping[int, Any]) -> dict[int, Any]:
    source, target, amount = params["source"], params["target"], params["amount"]
    return {source: _less(values[source], amount), target: values[target] + amount}


def _one(statement: str) -> Any:  # noqa: ANN401 - a closure with Kind.steps' signature
    def steps(params: Mapping[str, Any], _dialect: str) -> tuple[Step, ...]:
        user = params["user"]
        return (Step(statement, {"key": user, "amount": params["amount"]}, (user,)),)

    return steps


def _transfer_steps(params: Mapping[str, Any], dialect: str) -> tuple[Step, ...]:
    source, target, amount = params["source"], params["target"], params["amount"]
    if dialect == "postgresql":
        both = {"source": source, "target": target, "amount": amount}
        return (Step("transfer", both, _pair(params)),)
    return (  # SQLite has no writable CTE; its one writer at a time makes two statements as good as one
        Step("deduct", {"key": source, "amount": amount}, (source,)),
        Step("grant", {"key": target, "amount": amount}, (target,)),
    )


def _atomic(users: sa.Table, dialect: str) -> Mapping[str, ClauseElement]:
    key, amount = sa.bindparam("key", type_=type_), sa.bindparam("amount", type_=type_)
    statements: dict[str, ClauseElement] = {
        "deduct": _debit(users, key, amount),
        "grant": _credit(users, key, amount),
    }
    if dialect == "postgresql":
        statements["transfer"] = _writable_cte(users)
    return statements


def _debit(users: sa.Table, key: Any, amount: Any) -> sa.Update:  # noqa: ANN401 - bind parameters
    values = {"credits": users.c.credits - amount, "version": users.c.version + ONE}
    return sa.update(users).where(users.c.id == key, users.c.credits >= amount).values(values)


def _credit(users: sa.Table, key: Any, amount: Any) -> sa.Update:  # noqa: ANN401 - bind parameters
    values = {"credits": users.c.credits + amount, "version": users.c.version + ONE}
    return sa.update(users).where(users.c.id == key).values(values)


def _writable_cte(users: sa.Table) -> ClauseElement:
    """Credit only if the debit returned a row; lock both rows in key order first; answer with the rows that changed."""
    source, target = sa.bindparam("source", type_=type_), sa.bindparam("target", type_=type_)
    amount = sa.bindparam("amount", type_=type_)
    both = sa.select(users.c.id).where(users.c.id.in_([source, target])).order_by(users.c.id)
    locked = both.with_for_update().cte("locked")
    # The count is computed before the update looks for its row, so the locks are held in order by then.
    first = sa.select(sa.func.count()).select_from(locked).scalar_subquery() == sa.literal_column("2")
    debit = _debit(users, source, amount).where(first).returning(users.c.id).cte("debit")
    paid = sa.exists(sa.select(debit.c.id))
    credit = _credit(users, target, amount).where(paid).returning(users.c.id).cte("credit")
    return sa.union_all(sa.select(debit.c.id), sa.select(credit.c.id))


CREDITS: Final = Scenario(
    name="credits",
    relation="users",
    column="credits",
    type=type_,
    initial=100,
    kinds={
        "deduct": Kind(keys=_user, change=_deduct, steps=_one("deduct")),
        "grant": Kind(keys=_user, change=_grant, steps=_one("grant")),
        "transfer": Kind(keys=_pair, change=_transfer, steps=_transfer_steps),
    },
    atomic=_atomic,
)
