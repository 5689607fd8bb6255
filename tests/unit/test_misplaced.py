"""Mistakes, failpoints and their places: one that a run has no place for is refused, or told of the groups without."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.gallery import FAILURES
from orchestrator.gallery.model import changed
from orchestrator.groups import groups
from orchestrator.misplaced import PLACES, REFUSABLE, check, notes
from orchestrator.plan import plan
from orchestrator.profile import Profile
from worker.contract import Where
from worker.errors import Refused
from worker.mistakes import Mistake
from worker.scenarios import SCENARIOS

LEVEL = {"isolation": ["repeatable read"]}
TRANSFERS = {"kinds": ["transfer"]}
RAISE = {"faults": ["failpoint:after-commit:action=raise:operation=5"]}


def _profile(mistake: str, strategy: str, keys: dict[str, Any]) -> Profile:
    return changed(Profile(), {"strategies": [strategy], "mistakes": [mistake], **keys})


@pytest.mark.parametrize(
    ("mistake", "strategy", "keys", "named"),
    [
        ("unchecked-rowcount", "atomic", {}, "by the strategy optimistic at read committed alone"),
        ("unchecked-rowcount", "optimistic", LEVEL, "by the strategy optimistic at read committed alone"),
        ("silent-give-up", "pessimistic", {}, "by the strategies optimistic, atomic, serializable"),
        ("swallowed-error", "optimistic", {}, "by the strategy serializable, or by any at repeatable read"),
        ("unordered-keys", "atomic", {}, "by every strategy but atomic, with transfers"),
        ("unordered-keys", "pessimistic", {"kinds": ["grant"]}, "with transfers"),
        ("unordered-keys", "pessimistic", {"rows": 1}, "with transfers"),
        ("unordered-keys", "pessimistic", {"scenarios": ["config"]}, "with transfers"),
        ("no-deadlock-retry", "pessimistic", {}, "by every strategy but atomic with unordered-keys"),
        ("no-backoff", "naive", {}, "by the strategies optimistic, atomic, serializable"),
        ("no-backoff", "optimistic", {"retry": {"attempts": 1}}, "retry.attempts must be above 1"),
        ("retry-after-commit", "optimistic", {}, "where an error follows COMMIT"),
        ("retry-after-commit", "optimistic", {"faults": ["failpoint:after-read:action=raise:operation=5"]}, "COMMIT"),
        ("trusting-task", "optimistic", {}, "with a request"),
    ],
)
def test_a_mistake_without_a_place_is_refused(mistake: str, strategy: str, keys: dict[str, Any], named: str) -> None:
    """One sentence that says where it is made."""
    profile = _profile(mistake, strategy, keys)
    with pytest.raises(UsageError, match=rf"\Amistakes has {mistake}, which [^\n]+\Z") as refused:
        check(profile, groups(profile))
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("mistake", "strategy", "keys"),
    [
        ("unchecked-rowcount", "optimistic", {}),
        ("silent-give-up", "atomic", {}),
        ("silent-give-up", "naive", LEVEL),
        ("silent-give-up", "naive", {"lock_timeout_ms": 5}),
        ("swallowed-error", "serializable", {}),
        ("swallowed-error", "naive", {"faults": ["terminate-backends"]}),
        ("unordered-keys", "pessimistic", {}),
        ("unordered-keys", "advisory", TRANSFERS),
        ("no-deadlock-retry", "pessimistic", {"mistakes": ["unordered-keys", "no-deadlock-retry"]}),
        ("no-backoff", "optimistic", {}),
        ("retry-after-commit", "naive", RAISE),
        ("retry-after-commit", "naive", {"faults": ["kill-child,failpoint:before-ack:action=raise:operation=1"]}),
        ("blind-retry", "naive", {}),
        ("blind-publish", "naive", {}),
        ("trusting-task", "optimistic", {"scenarios": ["credits", "requests"]}),
    ],
)
def test_a_mistake_with_a_place_is_made(mistake: str, strategy: str, keys: dict[str, Any]) -> None:
    """In one group at least."""
    profile = _profile(mistake, strategy, keys)
    check(profile, groups(profile))


READ = "failpoint:after-read:action=kill"


@pytest.mark.parametrize(
    ("faults", "keys"),
    [
        (f"{READ}:operation=9", {"kinds": ["grant"]}),
        (f"{READ}:probability=0.5", {"kinds": ["grant"]}),
        (f"{READ}:probability=0.5", {"kinds": ["grant", "transfer"], "rows": 1}),
        (f"{READ}:operation=9:always=yes", {"scenarios": ["config", "requests"]}),
        (f"kill-child,{READ}:probability=0.1", {"scenarios": ["requests"]}),
        ("poison:operation=9", {"scenarios": ["config"], **LEVEL}),
        ("poison:operation=GRANTS", {}),
    ],
)
def test_a_failpoint_that_can_t_strike_is_refused(faults: str, keys: dict[str, Any]) -> None:
    """An atomic statement of a kind that no rule refuses is all that its operation does."""
    entry = faults.replace("GRANTS", "+".join(map(str, _numbers("grant"))))
    profile = changed(Profile(), {"strategies": ["atomic"], "faults": [entry], **keys})
    with pytest.raises(UsageError, match=r"\AFault «[^»]*» would strike nothing in this run: [^\n]+\Z"):
        check(profile, groups(profile))


@pytest.mark.parametrize(
    ("faults", "keys"),
    [
        (f"{READ}:operation=DEDUCTS", {}),
        (f"{READ}:operation=TRANSFERS", {}),
        ("poison:operation=GRANTS+DEDUCTS", {}),
        (f"{READ}:probability=0.5", {}),
        (f"{READ}:probability=0.5:operation=GRANTS", {}),
        (f"{READ}:operation=9", {"strategies": ["atomic", "naive"], "kinds": ["grant"]}),
        (f"{READ}:operation=9", {"strategies": ["optimistic"], "scenarios": ["config"]}),
        *(
            (f"failpoint:{where}:action=kill:operation=9", {"kinds": ["grant"]})
            for where in Where
            if "read" not in where
        ),
    ],
)
def test_a_failpoint_that_may_strike_is_let_through(faults: str, keys: dict[str, Any]) -> None:
    """What a rule may refuse is read then, and every other point lies on every strategy's path."""
    for kind in ("grant", "deduct", "transfer"):
        faults = faults.replace(f"{kind.upper()}S", "+".join(map(str, _numbers(kind))))
    profile = changed(Profile(), {"strategies": ["atomic"], "faults": [faults], **keys})
    check(profile, groups(profile))


@pytest.mark.parametrize("entry", ["poison:operation=9", "failpoint:before-ack:action=kill:operation=9"])
def test_a_failpoint_without_recording_is_refused(entry: str) -> None:
    """Workers arm none then."""
    profile = changed(Profile(), {"faults": ["kill-child", entry], "recording": False})
    with pytest.raises(UsageError, match=rf"\AFault «{entry}» would strike nothing, for recording is off: [^\n]+\Z"):
        check(profile, groups(profile))


def _numbers(kind: str) -> list[int]:
    """Number the operations of a kind in the default plan's beginning."""
    return [each.operation for each in islice(plan(Profile(), "credits"), 30) if each.kind == kind]


def test_kinds_that_a_rule_refuses_are_those_that_an_atomic_statement_may_not_match() -> None:
    """Their change refuses some state of the rows; the other kinds' changes none."""
    refused = set()
    for name in SCENARIOS:
        for operation in islice(plan(Profile(), name), 200):
            change = SCENARIOS[name].change(operation)
            poor = 0 if SCENARIOS[name].column == "credits" else SCENARIOS[name].initial
            try:
                change.new(dict.fromkeys(change.keys, poor))
            except Refused:
                refused.add(operation.kind)
    assert set(REFUSABLE) == refused


@pytest.mark.parametrize("name", FAILURES)
def test_the_gallery_s_mistakes_have_their_places(name: str) -> None:
    """Both races are carried out."""
    for profile in (FAILURES[name].profile, FAILURES[name].prevented_profile):
        check(profile, groups(profile))


def test_groups_without_a_place_are_told() -> None:
    """Their VALID is no immunity."""
    profile = changed(Profile(), {"strategies": ["optimistic", "naive"], "mistakes": ["unchecked-rowcount"]})
    where = "2-credits-naive-read-committed: it is made by the strategy optimistic at read committed alone."
    assert (
        "Mistakes were made on purpose: unchecked-rowcount.",
        f"The mistake unchecked-rowcount has no place in {where}",
    ) == notes(profile, groups(profile))
    assert () == notes(Profile(), groups(Profile()))


def test_every_mistake_has_a_place() -> None:
    """None is left out of the list that says where."""
    assert set(Mistake) == set(PLACES)
