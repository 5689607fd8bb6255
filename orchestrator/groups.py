"""Groups: a profile's scenarios, strategies and isolation levels, multiplied out, each with its expected verdict."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

import msgspec

from orchestrator.errors import UsageError
from orchestrator.plan import SCENARIOS
from orchestrator.profile import Expect, Mode
from orchestrator.verifier.verdict import Value
from worker.contract import Isolation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchestrator.profile import Profile

#: Levels at which a strategy loses updates; every other cell is expected to be VALID.
LOSES: Final[dict[str, frozenset[Isolation]]] = {
    # At the higher levels the server aborts the second write (40001), so nothing is lost.
    "naive": frozenset({Isolation.READ_COMMITTED}),
    # The read is outside the transaction, so no level sees that it went stale.
    "naive-autocommit": frozenset(Isolation),
    "optimistic": frozenset(),
    "pessimistic": frozenset(),
    "atomic": frozenset(),
    "advisory": frozenset(),
    "serializable": frozenset(),
}

#: Scenarios that need a producer beside the workers, which eager mode has not.
PRODUCED: Final = ("requests",)

#: What SQLite can express: it has no row locks, no advisory locks and one level per database.
EAGER_STRATEGIES: Final = ("naive", "optimistic", "atomic")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario under one strategy at one isolation level."""

    #: From 1, in the order in which groups run.
    number: int
    scenario: str
    strategy: str
    isolation: Isolation
    expected: Value

    @property
    def name(self) -> str:
        """Its folder's name: "1-credits-naive-read-committed"."""
        return f"{self.number}-{self.scenario}-{self.strategy}-{self.isolation.value.replace(' ', '-')}"


def groups(profile: Profile, *, eager: bool = False, sqlite: bool = True) -> tuple[Group, ...]:
    """Multiply the profile out; `serializable` stands once, at the one level that it trusts.

    Where eager mode is on SQLite, what that can't express is refused.
    """
    cells = list(_cells(profile, eager=eager, sqlite=eager and sqlite))
    return tuple(
        Group(
            number=number,
            scenario=scenario,
            strategy=strategy,
            isolation=isolation,
            expected=expected(profile.expect, strategy, isolation),
        )
        for number, (scenario, strategy, isolation) in enumerate(cells, start=1)
    )


def _cells(profile: Profile, *, eager: bool, sqlite: bool) -> Iterator[tuple[str, str, Isolation]]:
    levels = _sqlite_levels(profile) if sqlite else dict.fromkeys(profile.isolation)
    scenarios = _known("scenario", profile.scenarios, SCENARIOS)
    if eager and (produced := [each for each in scenarios if each in PRODUCED]):
        raise UsageError(
            f"Scenario {produced[0]} is not on this rung: it needs a producer beside the workers, so eager mode has"
            " no such race; use --mode distributed."
        )
    for scenario in scenarios:
        for strategy in _strategies(profile, sqlite=sqlite):
            own = [Isolation.SERIALIZABLE] if strategy == "serializable" else levels
            for isolation in own:
                yield scenario, strategy, isolation


def _strategies(profile: Profile, *, sqlite: bool) -> list[str]:
    if "all" in profile.strategies:
        return list(EAGER_STRATEGIES if sqlite else LOSES)
    named = _known("strategy", profile.strategies, LOSES)
    beyond = [each for each in named if sqlite and each not in EAGER_STRATEGIES]
    if beyond:
        raise UsageError(
            f"Strategy {beyond[0]} is not on this rung: SQLite has no row locks, no advisory locks and no "
            f"serialization failures between rows, so eager mode can express {', '.join(EAGER_STRATEGIES)} only; "
            "give it a database for the others."
        )
    return named


def _sqlite_levels(profile: Profile) -> list[Isolation]:
    beyond = [each for each in profile.isolation if each != Isolation.READ_COMMITTED]
    if beyond and profile.mode == Mode.EAGER:
        raise UsageError(
            f"Isolation level {beyond[0].value} is not on this rung: SQLite gives read committed's outcomes only, "
            "so eager mode races there alone; give it a database for the others."
        )
    return [Isolation.READ_COMMITTED]


def _known(what: str, names: Collection[str], known: Collection[str]) -> list[str]:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            every = ", ".join(known) + (" and all" if what == "strategy" else "")
            raise UsageError(f"Unknown {what} {name}: {hint}the known ones are {every}.")
    return list(dict.fromkeys(names))


def expected(expect: Expect, strategy: str, isolation: Isolation) -> Value:
    """Say which verdict a cell should get, by the table or by what the profile asks for."""
    if expect is not Expect.TABLE:
        return Value(expect.value.upper())
    return Value.INVALID if isolation in LOSES.get(strategy, ()) else Value.VALID
