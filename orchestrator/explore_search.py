"""From an arena and a judge to what was found: searched, shrunk, told and given a token."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.explore_found import Failure, Found
from orchestrator.explorer.bounded import Bounded
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.exhaustive import Exhaustive
from orchestrator.explorer.listing import lay_out, render
from orchestrator.explorer.partial_order_sampling import PartialOrderSampling
from orchestrator.explorer.pct import Pct
from orchestrator.explorer.portfolio import portfolio
from orchestrator.explorer.random_walk import RandomWalks
from orchestrator.explorer.replay import Replay
from orchestrator.explorer.scheduler import Divergence
from orchestrator.explorer.search import Budget, search
from orchestrator.explorer.shrink import keeps, shrink
from orchestrator.explorer.token import TokenError, check, decode, encode, mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orchestrator.explorer.judging import Anomaly, Judge
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Policy
    from orchestrator.explorer.search import Arena, Findings
    from orchestrator.explorer.search import Failure as Group

    #: Hears of policy, schedules, distinct outcomes and seconds.
    Tell = Callable[[str, int, int, float], None]

POLICIES: Final = ("portfolio", "dpor", "exhaustive", "bounded", "pct", "pos", "random")
#: Failures that are shrunk; what comes after them is told as it was found.
_SHRUNK: Final = 12
#: Preemptions that the policy `bounded` allows, unless told.
_PREEMPTIONS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far to search, and by what policy."""

    policy: str = "portfolio"
    #: Seconds.
    budget: float | None = 10.0
    schedules: int | None = None
    preemptions: int | None = None
    keep_going: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is searched."""

    arena: Arena
    judge: Judge
    backend: str
    #: A level's name, "sqlite" for SQLite's own.
    isolation: str
    #: Eight hexadecimal digits.
    scenario: str
    names: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    #: The listing says, beside what the judge says, what happened.
    tells: bool = True
    #: Columns of a listing's text.
    width: int = 100


def policy_of(bounds: Bounds, isolation: str) -> Policy:
    """Make the policy; raises UsageError for one that there isn't."""
    if bounds.policy not in POLICIES:
        raise UsageError(f"There is no policy {bounds.policy!r}: use one of {', '.join(POLICIES)}.")
    if bounds.preemptions is not None and bounds.policy != "bounded":
        raise UsageError("preemptions bounds the policy 'bounded': give policy='bounded' too.")
    made: dict[str, Callable[[], Policy]] = {
        "portfolio": lambda: portfolio(isolation, bounds.seed, schedules=bounds.schedules, seconds=bounds.budget),
        "dpor": lambda: Dpor(isolation),
        "exhaustive": Exhaustive,
        "bounded": lambda: Bounded(
            Dpor(isolation, within_bounds=True), _PREEMPTIONS if bounds.preemptions is None else bounds.preemptions
        ),
        "pct": lambda: Pct(bounds.seed),
        "pos": lambda: PartialOrderSampling(bounds.seed, isolation),
        "random": lambda: RandomWalks(bounds.seed),
    }
    return made[bounds.policy]()


def searched(subject: Subject, bounds: Bounds, tell: Tell | None = None) -> Found:
    """Search, and tell each failure by the smallest schedule that shows it."""
    policy = policy_of(bounds, subject.isolation)
    heard = None if tell is None else lambda done, spent, distinct: tell(policy.name, done, distinct, spent)
    findings = search(
        subject.arena,
        policy,
        subject.judge,
        Budget(bounds.schedules, bounds.budget),
        keep_going=bounds.keep_going,
        tell=heard,
    )
    failures = tuple(_failure(subject, each, at < _SHRUNK) for at, each in enumerate(findings.failures))
    first = failures[0] if failures else None
    return Found(
        found=bool(failures),
        anomalies=_by_name(failures),
        schedules=findings.schedules,
        complete=findings.complete,
        seconds=findings.seconds,
        token=first.token if first else None,
        listing=first.listing if first else None,
        policy=findings.policy,
        remark=_remark(findings),
        failures=failures,
        outcomes=findings.distinct,
        interrupted=findings.interrupted,
    )


def replayed(subject: Subject, text: str) -> Found:
    """Run the one schedule that a token names; raises UsageError for a token of something else, Divergence."""
    try:
        token = decode(text)
        choices = token.choices(subject.arena.workers)
    except TokenError as error:
        raise UsageError(str(error)) from error
    if other := mismatch(token, subject.backend, subject.isolation, subject.scenario):
        raise UsageError(other)
    began = time.perf_counter()
    execution = subject.arena.run(Replay(choices))
    if parting := check(token, execution):
        raise Divergence(parting)
    anomalies = tuple(subject.judge(execution))
    listing = _listing(subject, execution, anomalies)
    failures = tuple(
        Failure(name=each.name, sentence=each.sentence, token=text, listing=listing, count=1) for each in anomalies
    )
    return Found(
        found=bool(failures),
        anomalies=_by_name(failures),
        schedules=1,
        complete=False,
        seconds=time.perf_counter() - began,
        token=text,
        listing=listing,
        policy="replay",
        failures=failures,
        outcomes=1,
    )


def _failure(subject: Subject, group: Group, shrinks: bool) -> Failure:  # noqa: FBT001 - one caller
    """Shrink a failure's first schedule and tell it."""
    execution, arena = group.execution, subject.arena
    if shrinks:
        small = shrink(arena, execution, keeps(subject.judge, group.anomaly))
        execution = small.execution
    found = [each for each in subject.judge(execution) if _alike(each, group.anomaly)] or [group.anomaly]
    return Failure(
        name=group.anomaly.name,
        sentence=found[0].sentence,
        token=_token(subject, execution),
        listing=_listing(subject, execution, found),
        count=group.times,
    )


def _alike(one: Anomaly, other: Anomaly) -> bool:
    return (one.name, one.witness) == (other.name, other.witness)


def _token(subject: Subject, execution: Execution) -> str | None:
    try:
        return encode(execution, subject.backend, subject.isolation, subject.scenario)
    except TokenError:
        return None


def _listing(subject: Subject, execution: Execution, anomalies: Sequence[Anomaly]) -> str:
    story = None if subject.tells else ()
    laid = lay_out(execution, subject.names, anomalies, story=story, titles=subject.titles)
    return render(laid, width=subject.width)


def _by_name(failures: Iterable[Failure]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for failure in failures:
        counts[failure.name] += failure.count
    return dict(counts)


def _remark(findings: Findings) -> str | None:
    said = [each for each in (findings.unstable, findings.unforeseen) if each]
    if findings.interrupted:
        said.append("interrupted before its time")
    if findings.bounded:
        said.append("complete within its bound: what needs more preemptions was not looked at")
    if findings.cut:
        said.append(f"{findings.cut} schedules were ended at the limit of steps")
    return "; ".join(said) or None
