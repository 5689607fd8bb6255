"""Mistakes and their places: one that a run has no place for is refused, or told of the groups without."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.gallery import FAILURES
from orchestrator.gallery.model import changed
from orchestrator.groups import groups
from orchestrator.misplaced import PLACES, check, notes
from orchestrator.profile import Profile
from worker.mistakes import Mistake

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
