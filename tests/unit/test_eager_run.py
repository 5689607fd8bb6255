"""Eager mode: what it catches, what it leaves, and that a seed decides all of it."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.eager import RUNG, run_group
from orchestrator.errors import UsageError
from orchestrator.explorer.random_walk import RandomWalk
from orchestrator.explorer.replay import Replay
from orchestrator.groups import Group
from orchestrator.history.model import TABLES
from orchestrator.profile import Gates, Profile, Think
from orchestrator.verifier import verify
from orchestrator.verifier.verdict import Value
from worker import runtime
from worker.contract import Isolation, Jitter, Retry, Via

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.explorer.scheduler import Scheduler, Step
    from orchestrator.history.model import History
    from orchestrator.progress import Counts

_SMALL = Profile(operations=40, rows=2, seed=1)


class Keeping:
    """Follows another policy and keeps its choices."""

    def __init__(self, policy: Scheduler) -> None:
        self.policy = policy
        self.choices: list[int] = []

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Note the choice."""
        self.choices.append(self.policy.choose(ready, step))
        return self.choices[-1]


class Broken:
    """A policy that fails after some steps."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def choose(self, ready: Sequence[int], step: Step) -> int:
        """Take turns, then fail."""
        if step.number == 60:
            raise self.error
        return ready[step.number % len(ready)]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give temporary folders a place of their own, so that what is left there is seen."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def _group(strategy: str, scenario: str = "credits", isolation: Isolation = Isolation.READ_COMMITTED) -> Group:
    return Group(number=1, scenario=scenario, strategy=strategy, isolation=isolation, expected=Value.VALID)


def _race(folder: Path, strategy: str = "naive", profile: Profile = _SMALL, scenario: str = "credits") -> History:
    return run_group(profile, _group(strategy, scenario), folder / "group")


def _changed(**changes: Any) -> Profile:  # noqa: ANN401 - a profile's fields
    return Profile(**{"operations": 40, "rows": 2, "seed": 1, **changes})


def _tables(history: History) -> dict[str, Any]:
    return {table: getattr(history, table).to_pylist() for table in TABLES}


@pytest.mark.parametrize("seed", range(20))
def test_naive_is_caught(tmp_path: Path, seed: int) -> None:
    """Whatever the seed, naive loses updates and the verdict says so."""
    verdict = verify(_race(tmp_path, profile=_changed(seed=seed)))
    assert (verdict.value, any(w.anomaly == "lost-update" for c in verdict.checks for w in c.witnesses)) == (
        Value.INVALID,
        True,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scenario", ["credits", "config"])
@pytest.mark.parametrize("strategy", ["optimistic", "atomic"])
def test_sound_strategies_are_valid(tmp_path: Path, strategy: str, scenario: str, seed: int) -> None:
    """Strategies that hold earn VALID, with real overlaps."""
    verdict = verify(_race(tmp_path, strategy, _changed(seed=seed), scenario))
    assert [(check.name, check.value) for check in verdict.checks if check.value is not Value.VALID] == []


@pytest.mark.parametrize("isolation", [Isolation.REPEATABLE_READ, Isolation.SERIALIZABLE])
def test_snapshots_save_naive(tmp_path: Path, isolation: Isolation) -> None:
    """Above READ COMMITTED a stale write is aborted and retried, so nothing is lost."""
    history = run_group(_SMALL, _group("naive", isolation=isolation), tmp_path / "group")
    aborted = history.attempts["reason"].to_pylist().count("serialization")
    assert (verify(history).value, aborted > 0) == (Value.VALID, True)


@pytest.mark.parametrize("via", list(Via))
def test_same_seed_same_history(tmp_path: Path, via: Via) -> None:
    """Two runs of one profile are equal, to the nanosecond of their virtual clock."""
    profile = _changed(retry=Retry(via=via))
    one, two = (_race(tmp_path / each, "optimistic", profile) for each in "ab")
    assert _tables(one) == _tables(two)


def test_other_seed_other_history(tmp_path: Path) -> None:
    """The seed decides the schedule as well as the plan."""
    one, two = (_race(tmp_path / str(seed), profile=_changed(seed=seed)) for seed in (1, 2))
    assert _tables(one)["attempts"] != _tables(two)["attempts"]


def test_recorded_choices_replay(tmp_path: Path) -> None:
    """The choices of one run make the same history again, under any policy that repeats them."""
    first = Keeping(RandomWalk(5))
    one = run_group(_SMALL, _group("naive"), tmp_path / "a", scheduler=first)
    two = run_group(_SMALL, _group("naive"), tmp_path / "b", scheduler=Replay(first.choices))
    assert _tables(one) == _tables(two)


def test_logical_workers_are_slots_of_one_process(tmp_path: Path) -> None:
    """Nodes times concurrency logical workers take part, each as a slot."""
    history = _race(tmp_path, profile=_changed(nodes=3, concurrency=2))
    attempts = history.attempts
    assert (set(attempts["process"].to_pylist()), set(attempts["slot"].to_pylist())) == ({1}, set(range(6)))


def test_meta_names_the_rung(tmp_path: Path) -> None:
    """A history says where it was made, and what that can't show."""
    meta = _race(tmp_path).meta
    assert (meta.mode, meta.rung, meta.drained, meta.interrupted, meta.min_overlaps) == ("eager", RUNG, True, False, 1)


def test_bounds_that_are_asked_for_are_judged(tmp_path: Path) -> None:
    """Some operation needs a second attempt."""
    gates = Gates(max_attempts=1, max_settle_s=60)
    verdict = verify(_race(tmp_path, "optimistic", _changed(gates=gates)))
    (found,) = (each for each in verdict.checks if each.name == "progress")
    assert (Value.INVALID, {"retry-storm"}) == (found.value, {each.anomaly for each in found.witnesses})


def test_pauses_cost_no_wall_time(tmp_path: Path) -> None:
    """An hour's think time passes on the virtual clock alone."""
    history = _race(tmp_path, "optimistic", _changed(think=Think(min_ms=60_000, max_ms=60_000), operations=60))
    attempts = history.attempts.to_pylist()
    thought = [each["end_ns"] - each["start_ns"] >= 60_000_000_000 for each in attempts if each["outcome"] == "ok"]
    assert (all(thought), max(each["end_ns"] for each in attempts) > 3_600_000_000_000 / 2) == (True, True)


def test_retries_via_celery_are_new_messages(tmp_path: Path) -> None:
    """A retry through Celery comes back by the queue, after its countdown, to whoever takes it."""
    wait = Retry(via=Via.CELERY, jitter=Jitter.NONE, base_ms=50, cap_ms=50)
    attempts = _race(tmp_path, "optimistic", _changed(retry=wait)).attempts.to_pylist()
    first = {(each["operation"], each["attempt"]): each for each in attempts}
    again = [(first[operation, number - 1], each) for (operation, number), each in first.items() if number > 1]
    moved = any(before["slot"] != after["slot"] for before, after in again)
    waited = all(after["start_ns"] - before["end_ns"] >= 50_000_000 for before, after in again)
    assert (moved, waited) == (True, True)


def test_retries_in_place_stay_with_their_worker(tmp_path: Path) -> None:
    """An inline retry is the same worker's."""
    attempts = _race(tmp_path, "optimistic").attempts.to_pylist()
    slots = {(each["operation"], each["slot"]) for each in attempts}
    assert (len(slots), len(attempts) > len(slots)) == (40, True)


@pytest.mark.parametrize("size", [7, 40, 100])
def test_several_operations_a_message(tmp_path: Path, size: int) -> None:
    """However many operations a message holds, each is done once."""
    history = _race(tmp_path, "atomic", _changed(per_message=size))
    final = [each["operation"] for each in history.attempts.to_pylist() if each["final"]]
    assert sorted(final) == list(range(40))


def test_one_worker_earns_nothing(tmp_path: Path) -> None:
    """Where nothing overlaps, naive isn't caught and nothing is VALID."""
    assert verify(_race(tmp_path, profile=_changed(nodes=1, concurrency=1))).value is Value.UNKNOWN


def test_no_operations_earn_nothing(tmp_path: Path) -> None:
    """An empty run is UNKNOWN."""
    assert verify(_race(tmp_path, profile=_changed(operations=0))).value is Value.UNKNOWN


def test_unrecorded_run_is_unknown(tmp_path: Path) -> None:
    """A benchmark's run proves nothing."""
    assert verify(_race(tmp_path, profile=_changed(recording=False))).value is Value.UNKNOWN


def test_without_guard_the_run_goes_on(tmp_path: Path) -> None:
    """Idempotency off needs no guard to be VALID where nothing comes twice."""
    assert verify(_race(tmp_path, "atomic", _changed(idempotency=False))).value is Value.VALID


def test_progress_is_told(tmp_path: Path) -> None:
    """The end of a run is told at least: all published, all settled."""
    heard: list[tuple[int, Counts]] = []
    run_group(
        _SMALL,
        _group("atomic"),
        tmp_path / "group",
        tell=lambda published, counts, _: heard.append((published, counts)),
    )
    assert (heard[-1][0], heard[-1][1].settled) == (40, 40)


@pytest.mark.parametrize("how", ["asked", "raised"])
def test_interrupted_run_keeps_what_it_has(tmp_path: Path, temporary: Path, how: str) -> None:
    """A run that is stopped in the middle is written as far as it came, says so, and leaves nothing behind."""
    looks = iter(range(100))
    group, folder = _group("atomic"), tmp_path / "group"
    if how == "asked":
        history = run_group(_SMALL, group, folder, stopped=lambda: next(looks) >= 90)
    else:
        history = run_group(_SMALL, group, folder, scheduler=Broken(KeyboardInterrupt()))
    effects, ended = history.effects.num_rows, history.attempts["end_ns"].null_count
    assert (history.meta.interrupted, history.meta.drained, effects > 0, ended > 0) == (True, False, True, True)
    assert (verify(history).value, list(temporary.iterdir())) == (Value.UNKNOWN, [])


def test_interrupted_attempts_are_surely_without_effect(tmp_path: Path) -> None:
    """What was open when the run stopped was rolled back: its connection is closed, so it failed."""
    history = run_group(_SMALL, _group("atomic"), tmp_path / "group", scheduler=Broken(KeyboardInterrupt()))
    cut = [each for each in history.attempts.to_pylist() if each["end_ns"] is None]
    written = set(history.effects["writer"].to_pylist())
    assert ({each["backend_ended"] for each in cut}, {each["token"] for each in cut} & written) == ({True}, set())


def test_timed_out_run_says_so(tmp_path: Path) -> None:
    """A run that takes too long ends and is not VALID."""
    history = _race(tmp_path, "atomic", _changed(operations=20_000, timeout=0.01))
    assert (history.meta.timed_out, verify(history).value) == (True, Value.UNKNOWN)


def test_error_surfaces_and_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    """An error of ours is raised, with the runtime, the task and the disk as they were."""
    with pytest.raises(KeyError, match="ours"):
        run_group(_SMALL, _group("naive"), tmp_path / "group", scheduler=Broken(KeyError("ours")))
    assert (list(temporary.iterdir()), runtime._installed) == ([], None)


@pytest.mark.parametrize(
    ("strategy", "why"),
    [
        ("pessimistic", "no row locks"),
        ("advisory", "no advisory locks"),
        ("serializable", "not the SERIALIZABLE"),
        ("naive-autocommit", "naive once more"),
    ],
)
def test_strategies_beyond_sqlite_are_refused_by_name(tmp_path: Path, strategy: str, why: str) -> None:
    """What SQLite can't express is a usage error that says why."""
    with pytest.raises(UsageError, match=f"{strategy} can't run in eager mode, since .*{why}"):
        _race(tmp_path, strategy)
