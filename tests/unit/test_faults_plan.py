"""Fault plans: what is written is what is planned, and what can't be meant is refused in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from orchestrator.errors import UsageError
from orchestrator.faults import KNOWN, clock, worker
from orchestrator.faults.failpoints import unstruck
from orchestrator.faults.model import Kind, Planned
from orchestrator.faults.plan import failpoints, parse
from worker import config
from worker.contract import Action, Failpoint, Where

if TYPE_CHECKING:
    from orchestrator.faults.model import Fault, Reach


def _never(_planned: Planned, _reach: Reach) -> Fault:
    raise AssertionError


#: Families apart, so that the grammar's tests don't depend on what faults there are.
SOME = {
    "hit": Kind(build=_never, targets="[node...]", help="", options={"how": "hard"}),
    "cut": Kind(build=_never, default_duration=1.0, targets="a-b", help=""),
    "carried": Kind(build=None, help="", options={"far": "(no)"}),
}


@pytest.mark.parametrize(
    ("text", "planned"),
    [
        ("hit", {"name": "hit"}),
        ("hit:node1:node2", {"name": "hit", "targets": ("node1", "node2")}),
        ("hit:every=2s", {"name": "hit", "every": 2.0}),
        ("hit:every=1.5s:count=3", {"name": "hit", "every": 1.5, "count": 3}),
        ("hit:count=1", {"name": "hit", "count": 1}),
        ("hit:node1:at=0s:how=hard", {"name": "hit", "targets": ("node1",), "at": 0.0, "options": {"how": "hard"}}),
        ("cut:a-b:at=300ms:for=2m", {"name": "cut", "targets": ("a-b",), "at": 0.3, "duration": 120.0}),
        ("carried:far=a=b", {"name": "carried", "options": {"far": "a=b"}}),
    ],
)
def test_an_entry_is_read_as_it_is_written(text: str, planned: dict[str, object]) -> None:
    """Name, targets, times, and options of the fault's own."""
    assert (msgspec.convert({"text": text, **planned}, Planned),) == parse([text], SOME)


def test_entries_may_stand_in_one_text_or_in_several() -> None:
    """The flag has commas between them, the profile a list."""
    assert parse(["hit, cut:a-b", "carried"], SOME) == parse(["hit", "cut:a-b", "carried"], SOME)


def test_no_plan_is_no_faults() -> None:
    """Most runs have none."""
    assert () == parse([])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "An entry of the fault plan is empty"),
        ("hit,", "An entry of the fault plan is empty"),
        ("hitt", "Fault «hitt»: there is no fault 'hitt'; did you mean hit?"),
        ("zzzzzz", "the faults are carried, cut, hit."),
        ("hit:", "nothing between two colons, or after the last one"),
        ("carried:node1", "carried takes no target; leave 'node1' away"),
        ("cut:at=1s", "cut must be told where: write cut:a-b"),
        ("hit:hov=1", "hit has no option 'hov'; did you mean how?"),
        ("carried:at=1s", "carried has no option 'at'; it takes far."),
        ("hit:zzz=1", "it takes at, count, every, for, how."),
        ("hit:how=", "write how=value, with something on both sides"),
        ("hit:=1", "write key=1, with something on both sides"),
        ("hit:at=1s:at=2s", "at is given twice"),
        ("hit:at=1", "at=1 is no duration; write 300ms, 2s, 1.5s or 2m"),
        ("hit:at=1h", "at=1h is no duration"),
        ("hit:at=-1s", "at=-1s is negative"),
        ("hit:at=99999999m", "at=99999999m is longer than a week"),
        ("hit:every=0s", "every=0s would strike without a pause; write 1ms or longer"),
        ("hit:every=0.001ms", "every=0.001ms would strike without a pause; write 1ms or longer"),
        ("hit:every=1s:count=0", "count=0 is no whole number from 1"),
        ("hit:every=1s:count=many", "count=many is no whole number from 1"),
        ("hit:count=2", "count=2 needs a pause between the strikes; add every="),
        ("hit:for=1s", "hit leaves nothing behind that could be healed; leave for= away"),
    ],
)
def test_what_can_not_be_meant_is_refused(text: str, sentence: str) -> None:
    """One sentence names the entry and what to write."""
    with pytest.raises(UsageError) as refused:
        parse([text], SOME)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "failpoint"),
    [
        (
            "failpoint:after-commit:action=kill:operation=5",
            Failpoint(where=Where.AFTER_COMMIT, action=Action.KILL, operations=(5,)),
        ),
        (
            "failpoint:before-commit:action=delay:delay=200ms:probability=0.01",
            Failpoint(where=Where.BEFORE_COMMIT, action=Action.DELAY, delay_ms=200.0, probability=0.01),
        ),
        (
            "failpoint:in-commit:action=disconnect:operation=5+17:always=yes",
            Failpoint(where=Where.IN_COMMIT, action=Action.DISCONNECT, operations=(5, 17), always=True),
        ),
        (
            "poison:operation=7",
            Failpoint(where=Where.AFTER_READ, action=Action.KILL, operations=(7,), always=True),
        ),
    ],
)
def test_failpoints_travel_in_the_settings(text: str, failpoint: Failpoint) -> None:
    """As written, and nothing else of the plan does."""
    assert (failpoint,) == failpoints(parse(["kill-child", text, "clock-skew:node1:skew=1s"]))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("failpoint:action=kill:operation=1", "failpoint must be told where"),
        ("failpoint:after-read:in-commit:action=kill:operation=1", "a failpoint lies at one point"),
        ("failpoint:somewhere:action=kill:operation=1", "point somewhere must be one of after-read, before-commit"),
        ("failpoint:after-read:operation=1", "action is missing: it must be one of kill, stop"),
        ("failpoint:after-read:action=kick:operation=1", "action kick must be one of kill, stop"),
        ("failpoint:after-read:action=kill", "say what it strikes: operation=5, or probability=0.01"),
        ("failpoint:after-read:action=kill:operation=x", "operation=x names no operation"),
        ("failpoint:after-read:action=kill:probability=2", "probability=2 is no number from 0 to 1"),
        ("failpoint:after-read:action=kill:probability=nan", "probability=nan is no number from 0 to 1"),
        ("failpoint:after-read:action=kill:probability=1.1", "probability=1.1 is no number from 0 to 1"),
        ("failpoint:after-read:action=kill:operation=1:always=on", "always on must be one of yes, no"),
        ("failpoint:after-read:action=delay:operation=1", "delay= belongs to action=delay"),
        ("failpoint:after-read:action=kill:operation=1:delay=1s", "delay= belongs to action=delay"),
        ("failpoint:after-read:action=kill:operation=1:at=1s", "failpoint has no option 'at'"),
        ("poison", "say which operation is poison"),
        ("clock-skew:node1", "say how wrong the clock is"),
        ("clock-skew:skew=1s", "clock-skew must be told where"),
        ("clock-skew:node1:skew=1", "skew=1 is no duration"),
        ("clock-skew:node1:drift=50", "drift=50 is no drift"),
        ("clock-skew:node1:skew=-1441m", "a clock may be off by 1440m and run away by 100000ppm at most"),
        ("clock-skew:node1:drift=-100001ppm", "a clock may be off by 1440m and run away by 100000ppm at most"),
        ("failpoint:after-read:action=delay:operation=1:delay=61m", "delay=61m is longer than an hour"),
    ],
)
def test_what_workers_could_not_do_is_refused_before_they_start(text: str, sentence: str) -> None:
    """They would find out in the midst of a race."""
    with pytest.raises(UsageError) as refused:
        parse([text])
    assert sentence in str(refused.value)


def test_clocks_that_are_off_are_told_to_their_nodes() -> None:
    """Each node has variables of its own; a clock may be behind."""
    planned = parse(["clock-skew:node2:skew=200ms:drift=50ppm", "clock-skew:node1:node3:skew=-1.5s", "kill-child"])
    behind = {"ROWRACE_CLOCK_SKEW_MS": "-1500", "ROWRACE_CLOCK_DRIFT_PPM": "0"}
    ahead = {"ROWRACE_CLOCK_SKEW_MS": "200", "ROWRACE_CLOCK_DRIFT_PPM": "50"}
    assert {"node1": behind, "node2": ahead, "node3": behind} == clock.environment(planned)


def test_a_clock_is_off_by_one_entry() -> None:
    """Of two entries one would be told and not done."""
    with pytest.raises(UsageError, match="node1's clock is off already; say all of it in one entry"):
        clock.environment(parse(["clock-skew:node1:skew=1s", "clock-skew:node2:node1:drift=50ppm"]))


@pytest.mark.parametrize("text", ["clock-skew:node1:skew=-1440m:drift=100000ppm", "clock-skew:node1:skew=1440m"])
def test_the_worst_clock_is_one_that_a_worker_takes(text: str) -> None:
    """What a plan may ask for, a worker starts with."""
    variables = clock.environment(parse([text]))["node1"]
    assert 86_400_000 == abs(config.read(variables).clock_skew_ms)


def test_the_longest_delay_is_one_that_a_message_may_carry() -> None:
    """Workers would reject every message of a run that asks for more."""
    (made,) = failpoints(parse(["failpoint:after-read:action=delay:operation=1:delay=60m"]))
    assert made == msgspec.convert(msgspec.to_builtins(made), Failpoint)


def test_soft_shutdowns_need_a_setting_of_their_nodes() -> None:
    """SIGQUIT is soft where Celery's setting is there, and cold elsewhere."""
    names = ("node1", "node2")
    soft = ("worker.soft_shutdown_timeout=2",)
    assert {} == worker.celery_settings(parse(["cold-shutdown"]), names)
    assert {"node1": soft, "node2": soft} == worker.celery_settings(parse(["soft-shutdown"]), names)
    both = parse(["soft-shutdown:node1", "cold-shutdown:node2"])
    assert {"node1": soft} == worker.celery_settings(both, names)


@pytest.mark.parametrize("cold", ["cold-shutdown", "cold-shutdown:node1"])
def test_a_node_s_shutdown_is_soft_or_cold(cold: str) -> None:
    """It can't be told both."""
    with pytest.raises(UsageError, match="soft or cold, and node1 is to have both"):
        worker.celery_settings(parse(["soft-shutdown", cold]), ("node1", "node2"))


def test_several_soft_shutdowns_add_up() -> None:
    """Each entry's nodes get the setting."""
    planned = parse(["soft-shutdown:node1", "soft-shutdown:node2"])
    assert {"node1", "node2"} == set(worker.celery_settings(planned, ("node1", "node2")))


def test_every_fault_says_what_it_does() -> None:
    """The names are words with hyphens, as plans are written."""
    assert all(kind.help for kind in KNOWN.values())
    assert all(name.replace("-", "").isalpha() and name.islower() for name in KNOWN)


def test_failpoints_that_struck_none_of_their_operations_are_named() -> None:
    """Of what strikes otherwise, nothing is said."""
    met = (
        "poison:operation=1",
        "failpoint:after-read:action=kill:operation=0+1",
        "failpoint:after-read:action=kill:probability=0.1",
        "clock-skew:node1:skew=1s",
        "kill-child",
    )
    idle = [
        "poison:operation=2",
        "failpoint:after-read:action=kill:operation=0",
        "failpoint:after-read:action=kill:operation=9",
        "failpoint:after-read:action=stop:operation=1",
        "failpoint:in-commit:action=kill:probability=1",
    ]
    assert idle == unstruck(parse((*met, *idle)), {"after-read:kill": np.array([False, True, False])})


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        (("node1", "node2"), "there is no node9 whose clock could be off; the nodes are node1, node2."),
        ((), "there is no node9 whose clock could be off; external workers have clocks of their own."),
    ],
)
def test_a_clock_that_is_nobody_s_is_refused(nodes: tuple[str, ...], sentence: str) -> None:
    """It would be off nowhere."""
    with pytest.raises(UsageError) as caught:
        clock.check_nodes(parse(["clock-skew:node9:skew=1s"]), nodes)
    assert f"Fault «clock-skew:node9:skew=1s»: {sentence}" == str(caught.value)
    clock.check_nodes(parse(["clock-skew:node9:skew=1s", "kill-child:node7"]), (*nodes, "node9"))
