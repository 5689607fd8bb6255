"""From an arena and a judge to what was found: searched, shrunk, told and given a token."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from itertools import islice, permutations
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Final

from orchestrator.errors import UsageError
from orchestrator.explore_found import Failure, Found
from orchestrator.explore_judge import afresh
from orchestrator.explorer.bounded import Bounded
from orchestrator.explorer.dpor import Dpor
from orchestrator.explorer.exhaustive import Exhaustive
from orchestrator.explorer.judging import InOrder, JudgeError
from orchestrator.explorer.listing import lay_out, render
from orchestrator.explorer.names import listed, name_of
from orchestrator.explorer.partial_order_sampling import PartialOrderSampling
from orchestrator.explorer.pct import Pct
from orchestrator.explorer.portfolio import portfolio
from orchestrator.explorer.random_walk import RandomWalks
from orchestrator.explorer.replay import Replay
from orchestrator.explorer.scheduler import Divergence, ExplorerError
from orchestrator.explorer.search import Budget, search
from orchestrator.explorer.shrink import Variant, keeps, shrink, switches
from orchestrator.explorer.stories import tell as tell_story
from orchestrator.explorer.token import TokenError, check, decode, mismatch, renumbered, taking_part, token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.explorer.judging import Anomaly, Judge
    from orchestrator.explorer.model import Execution
    from orchestrator.explorer.scheduler import Policy
    from orchestrator.explorer.search import Arena, Findings
    from orchestrator.explorer.search import Failure as Group
    from orchestrator.explorer.token import Token

    #: Hears of policy, schedules, distinct outcomes and seconds.
    Tell = Callable[[str, int, int, float], None]

POLICIES: Final = ("portfolio", "dpor", "exhaustive", "bounded", "pct", "pos", "random")
#: Failures that are shrunk; what comes after them is told as it was found.
_SHRUNK: Final = 12
#: Columns of a listing: where there is no terminal, and at least and at most where there is one.
_USUAL, _NARROW, _WIDE = 100, 40, 140
#: Workers that a conflict needs.
_FEWEST: Final = 2
#: Serial orders that are tried before a part is taken for one in which nothing goes wrong by itself.
_ORDERS: Final = 24
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
    #: The judge tells of histories at length; a listing is better told from its own schedule.
    judged_by_histories: bool = False
    #: Makes schedules more alike, where rows' order matters or `anyway`; says whether that is new.
    harden: Callable[..., bool] = lambda **_: False
    #: Names the workers of which no statement was seen in any schedule.
    unseen: Callable[[], tuple[int, ...]] = tuple
    #: Columns of a listing's text.
    width: int = field(default_factory=lambda: max(_NARROW, min(_WIDE, get_terminal_size((_USUAL, 24)).columns)))
    #: Gives the arena of some of the workers, and its judge, which calls them by these names.
    take: Callable[[tuple[int, ...], tuple[str, ...]], tuple[Arena, Judge]]
    #: Which workers of the whole these are.
    kept: tuple[int, ...]

    def part(self, kept: tuple[int, ...]) -> Subject:
        """Give the subject without some of its workers; the others keep their names."""
        if kept == self.kept:
            return self
        names = tuple(name_of(worker, self.names) for worker in kept)
        arena, judge = self.take(kept, names)
        titles = tuple(self.titles[worker] for worker in kept) if self.titles else ()
        return replace(self, arena=arena, judge=judge, names=names, titles=titles, kept=kept)


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
    findings = _search(subject, bounds, tell)
    if subject.harden(anyway=bool(findings.unstable)):
        findings = _search(subject, bounds, tell)
    unseen = subject.unseen()
    if len(unseen) == subject.arena.workers:
        raise UsageError(
            "There was no statement to switch at: nothing that the bodies did came by a connection that is controlled."
            " They must use psycopg 3 or sqlite3, and the database that `engine` leads to."
        )
    failures = _told(subject, findings)
    first = failures[0] if failures else None
    return Found(
        found=bool(failures),
        anomalies=findings.named,
        schedules=findings.schedules,
        complete=findings.complete and not unseen,
        seconds=findings.seconds,
        token=first.token if first else None,
        listing=first.listing if first else None,
        policy=findings.policy,
        remark=_remark(findings, tuple(name_of(worker, subject.names) for worker in unseen)),
        failures=failures,
        outcomes=findings.distinct,
        interrupted=findings.interrupted,
    )


def _search(subject: Subject, bounds: Bounds, tell: Tell | None) -> Findings:
    policy = policy_of(bounds, subject.isolation)
    heard = None if tell is None else lambda done, spent, distinct: tell(policy.name, done, distinct, spent)
    budget = Budget(bounds.schedules, bounds.budget)
    return search(subject.arena, policy, subject.judge, budget, keep_going=bounds.keep_going, tell=heard)


def still_failing(subject: Subject, tokens: Sequence[str]) -> Found | None:
    """Replay tokens until one still fails; those that no longer fit are passed over."""
    for text in tokens:
        try:
            found = replayed(subject, text)
        except (ExplorerError, UsageError):
            continue
        if found.found:
            return found
    return None


def replayed(subject: Subject, text: str) -> Found:
    """Run the one schedule that a token names; raises UsageError for a token of something else, Divergence."""
    try:
        token = decode(text)
        token.choices(subject.arena.workers)
    except TokenError as error:
        raise UsageError(str(error)) from error
    if other := mismatch(token, subject.backend, subject.isolation, subject.scenario):
        raise UsageError(other)
    kept = taking_part(token)
    part, inner = subject.part(kept), renumbered(token, {worker: number for number, worker in enumerate(kept)})
    began = time.perf_counter()
    execution = _followed(part, inner)
    anomalies = tuple(part.judge(execution))
    listing = _listing(part, execution, anomalies)
    failures = tuple(
        Failure(name=each.name, sentence=each.sentence, token=text, listing=listing, count=1) for each in anomalies
    )
    return Found(
        found=bool(failures),
        anomalies=dict.fromkeys((each.name for each in failures), 1),
        schedules=1,
        complete=False,
        seconds=time.perf_counter() - began,
        token=text,
        listing=listing,
        policy="replay",
        failures=failures,
        outcomes=1,
    )


def _followed(part: Subject, token: Token) -> Execution:
    """Run a token's schedule; raises Divergence where the bodies no longer follow it."""
    try:
        execution = part.arena.run(Replay(token.choices(part.arena.workers)))
        parting = check(token, execution)
    except Divergence as error:
        parting = str(error)
    if parting:
        raise Divergence(f"the bodies no longer follow this schedule, so their code or rows have changed: {parting}")
    return execution


def _told(subject: Subject, findings: Findings) -> tuple[Failure, ...]:
    """Tell each failure, several by one schedule where that shows them all."""
    shown: list[tuple[Subject, Execution]] = []
    failures = []
    for at, group in enumerate(findings.failures):
        same = next((each for each in shown if _shows(*each, group.anomaly)), None)
        if same is None:
            same = _shrunk(subject, group) if at < _SHRUNK else (subject, group.execution)
            shown.append(same)
        failures.append(_failure(*same, group))
    return tuple(failures)


def _shows(part: Subject, execution: Execution, anomaly: Anomaly) -> bool:
    return any(_alike(each, anomaly) for each in afresh(part.judge)(execution))


def _shrunk(subject: Subject, group: Group) -> tuple[Subject, Execution]:
    """Shrink a failure's first schedule, and give the workers that are left with it."""
    same = keeps(afresh(subject.judge), group.anomaly)
    small = shrink(subject.arena, group.execution, same, _smaller(subject, group.anomaly))
    return subject.part(small.kept), small.execution


def _failure(part: Subject, execution: Execution, group: Group) -> Failure:
    """Tell a failure by one schedule."""
    found = [each for each in afresh(part.judge)(execution) if _alike(each, group.anomaly)] or [group.anomaly]
    sentence = _sentence(part, execution, found[0])
    if switches(execution.choices, execution.workers) < execution.workers:
        sentence += " It needs no race: this happens where they run one after another."
    return Failure(
        name=group.anomaly.name,
        sentence=sentence,
        token=_token(part, execution),
        listing=_listing(part, execution, found),
        count=group.times,
    )


def _smaller(subject: Subject, anomaly: Anomaly) -> Callable[[Arena], Iterator[Variant]]:
    """Give what leaves one worker out: only parts in which nothing goes wrong where the others run one by one."""
    made = [(subject.arena, subject.kept)]

    def variants(arena: Arena) -> Iterator[Variant]:
        inner = next(kept for each, kept in made if each is arena)
        for out in inner if len(inner) > _FEWEST else ():
            kept = tuple(worker for worker in inner if worker != out)
            part = subject.part(kept)
            if _is_right_in_order(part):
                made.append((part.arena, kept))
                yield Variant(part.arena, tuple(map(inner.index, kept)), _same_name(part.judge, anomaly))

    return variants


def _is_right_in_order(part: Subject) -> bool:
    """Say whether nothing goes wrong in a part's serial orders; where its judge needs all workers, nobody can say."""
    orders = islice(permutations(range(len(part.kept))), _ORDERS)
    try:
        return not any(part.judge(part.arena.run(InOrder(order))) for order in orders)
    except JudgeError:
        return False


def _same_name(judge: Judge, anomaly: Anomaly) -> Callable[[Execution], bool]:
    """Say that an execution of fewer workers shows an anomaly still: its witness may name who is left out."""
    judge = afresh(judge)
    return lambda execution: any(each.name == anomaly.name for each in judge(execution))


def _sentence(subject: Subject, execution: Execution, anomaly: Anomaly) -> str:
    """Say what went wrong: where a history was judged, in the listing's words, if it tells of the same."""
    if subject.judged_by_histories:
        for told in tell_story(execution, subject.names):
            if told.name.replace(" ", "-") == anomaly.name:
                return told.sentence
    return anomaly.sentence


def _alike(one: Anomaly, other: Anomaly) -> bool:
    return one.name == other.name


def _token(subject: Subject, execution: Execution) -> str | None:
    try:
        token = token_of(execution, subject.backend, subject.isolation, subject.scenario)
    except TokenError:
        return None
    return str(renumbered(token, dict(enumerate(subject.kept))))


def _listing(subject: Subject, execution: Execution, anomalies: Sequence[Anomaly]) -> str:
    story = tell_story(execution, subject.names)
    said = () if subject.judged_by_histories and story else anomalies
    laid = lay_out(execution, subject.names, said, story=story, titles=subject.titles)
    return render(laid, width=subject.width)


def _remark(findings: Findings, unseen: Sequence[str]) -> str | None:
    said = [each for each in (findings.unstable, findings.unforeseen) if each]
    if unseen:
        said.append(f"not complete because no statement of {listed(unseen)} was seen")
    if findings.interrupted:
        said.append("interrupted before its time")
    if findings.bounded:
        said.append("complete within its bound: what needs more preemptions was not looked at")
    if findings.cut:
        ended = "1 schedule was" if findings.cut == 1 else f"{findings.cut:,} schedules were"
        said.append(f"{ended} ended after thousands of steps, for a body asks again and again")
    return "; ".join(said) or None
