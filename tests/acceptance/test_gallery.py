"""The gallery: each failure is provoked for real, caught by the right check with a witness, and gone when prevented."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchestrator.gallery import FAILURES
from orchestrator.gallery.showing import show
from orchestrator.interrupt import Interrupt
from orchestrator.verifier.verdict import Value

if TYPE_CHECKING:
    from tests.acceptance.racing import Racing

#: Must-have names: what teams meet.
NAMES = {
    *("lost-early-ack", "lost-child-kill", "poison-loop", "crash-redelivery", "visibility-duplicate"),
    *("connection-loss-duplicate", "retry-not-idempotent", "ambiguous-commit", "ambiguous-publish"),
    *("fork-shared-connection", "pool-exhaustion", "session-poisoned", "publish-before-commit", "ghost-task"),
    *("stuck-lock", "retry-storm", "give-up-unnoticed", "unchecked-rowcount", "deadlock-lock-order", "lost-in-pop"),
}


def test_every_failure_has_its_entry() -> None:
    """Twenty failures, under the names that the command line takes."""
    assert set(FAILURES) == NAMES


#: Those that take long, mostly since Celery or the broker wait for something; `make prove` shows them too.
SLOW = {
    *("lost-child-kill", "lost-in-pop", "visibility-duplicate", "connection-loss-duplicate", "fork-shared-connection"),
    *("poison-loop", "stuck-lock", "deadlock-lock-order"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.prove if name in SLOW else ()) for name in sorted(NAMES)]
)
def test_a_failure_is_provoked_caught_and_prevented(racing: Racing, name: str) -> None:
    """INVALID by the check that the entry names, with a witness; VALID with the prevention on."""
    (shown,) = show([FAILURES[name]], racing.config, Interrupt())
    assert (Value.INVALID, Value.VALID) == (shown.verdict, shown.prevented_verdict), shown.remark
    assert shown.witness is not None
    expected = set(FAILURES[name].caught.values())
    assert expected <= set(shown.anomalies)
    assert shown.as_expected


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_failure_is_never_provoked_by_chance(racing: Racing, name: str) -> None:
    """Twenty times of twenty."""
    for _ in range(20):
        (shown,) = show([FAILURES[name]], racing.config, Interrupt())
        assert shown.as_expected, (shown.verdict, shown.witness, shown.prevented_verdict, shown.remark, shown.folders)


def test_the_command_prints_an_object_a_failure(racing: Racing) -> None:
    """`--json` is a list with what a machine needs, and the exit code says whether all went as it should."""
    process = racing.command("gallery", "unchecked-rowcount", "--json")
    found, said = process.communicate(timeout=200)
    assert 0 == process.returncode, said
    (entry,) = json.loads(found)
    assert ("unchecked-rowcount", "INVALID", "VALID") == (entry["name"], entry["verdict"], entry["prevented_verdict"])
    assert {"name", "provoked", "verdict", "anomalies", "prevented_verdict"} <= set(entry)
    assert entry["anomalies"]["ok-without-effect"] >= 1


def test_an_unknown_failure_is_one_sentence() -> None:
    """With the name that may be meant."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "gallery", "ghost-tsk"], capture_output=True, text=True, check=False
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert (
        "rowrace: Unknown failure ghost-tsk: did you mean ghost-task? `rowrace gallery --list` names them all.\n"
        == (done.stderr)
    )
