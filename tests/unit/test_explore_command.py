"""`rowrace explore`: what it prints, what it ends with, and what it refuses; the search itself is a stand-in."""

from __future__ import annotations

import json
import signal
import sys
import types
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchestrator.cli import main
from orchestrator.explorer.scheduler import Divergence, ExplorerError
from orchestrator.explorer.search import Enough
from orchestrator.reports.live_search import line

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Failure:
    """As orchestrator.explore's."""

    name: str = "lost update"
    sentence: str = "A's write is lost."
    token: str | None = "cs1.sqlite.own.1.AB.2"  # noqa: S105 - no secret
    listing: str = "  A      B\n  read   read"
    count: int = 1


class Found(NamedTuple):
    """As orchestrator.explore's."""

    failures: tuple[Failure, ...] = ()
    complete: bool = True
    remark: str | None = None
    schedules: int = 6
    seconds: float = 0.0124
    policy: str = "dpor"
    listing: str | None = None

    @property
    def found(self) -> bool:
        """Whether there is a failure."""
        return bool(self.failures)

    @property
    def anomalies(self) -> dict[str, int]:
        """The failures' names."""
        return {failure.name: failure.count for failure in self.failures}

    def as_json(self) -> dict[str, Any]:
        """A part is enough here."""
        return {"found": self.found, "anomalies": self.anomalies, "complete": self.complete}


class Explorer:
    """Runs the command over a stand-in that gives, or raises, what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.outcome: Found | BaseException = Found()
        #: What happens while it searches, and whether it was told to stop.
        self.before: Callable[[], None] = lambda: None
        self.stopped = False
        #: What the search was asked for.
        self.asked: dict[str, Any] = {}
        module = types.ModuleType("orchestrator.explore")
        module.explore_scenario = self._explore  # type: ignore[attr-defined]  # a module made here
        monkeypatch.setitem(sys.modules, "orchestrator.explore", module)
        monkeypatch.delenv("ROWRACE_DATABASE_URL", raising=False)

    def _explore(self, scenario: str, *, tell: Callable[..., None], **settings: Any) -> Found:  # noqa: ANN401 - anything
        self.asked = {"scenario": scenario, **settings}
        self.before()
        try:
            tell("dpor", 1, 1, 0.1)
        except Enough:
            self.stopped = True
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Give the command's exit code, and what it wrote to stdout and stderr."""
        self._monkeypatch.setattr(sys, "argv", ["rowrace", "explore", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Explorer:
    """The command over a stand-in."""
    return Explorer(monkeypatch, capsys)


def test_a_complete_search_without_a_finding(explorer: Explorer) -> None:
    """It ends with 0, and says what is proven and for what."""
    code, said, progress = explorer.run("credits", "--strategy", "optimistic")
    assert (0, "") == (code, progress)
    assert [
        "CLEAN: no schedule shows an anomaly, proven for these bodies, rows and bounds.",
        "Complete search: 6 schedules in 12 ms, policy dpor; no other schedule can end differently.",
    ] == said.splitlines()


def test_flags_that_are_not_given_are_not_passed(explorer: Explorer) -> None:
    """What the function takes where nothing is said is the function's to know."""
    explorer.run("credits")
    assert {"scenario": "credits"} == explorer.asked


def test_flags_reach_the_search(explorer: Explorer) -> None:
    """Each flag is an argument of the search."""
    explorer.run(
        *("config", "--strategy", "atomic", "--isolation", "serializable", "--operations", "3", "--workers", "4"),
        *("--backend", "postgres", "--policy", "bounded", "--preemptions", "2", "--budget", "1.5m", "--schedules", "9"),
        *("--crashes", "1", "--all", "--seed", "7", "--replay", " cs1.x\n", "--accept-sample"),
    )
    assert {
        "scenario": "config",
        "strategy": "atomic",
        "isolation": "serializable",
        "operations": 3,
        "workers": 4,
        "backend": "postgres",
        "policy": "bounded",
        "budget": 90.0,
        "schedules": 9,
        "preemptions": 2,
        "crashes": 1,
        "keep_going": True,
        "replay": "cs1.x",
        "seed": 7,
    } == explorer.asked


def test_a_finding(explorer: Explorer) -> None:
    """It ends with 1, and shows the sentence, the listing, the token and the command that replays it."""
    explorer.outcome = Found(failures=(Failure(),), complete=False, remark="not replayable because of the weather")
    code, said, _ = explorer.run("credits", "--operations", "3", "--budget", "1s", "--seed", "5")
    assert 1 == code
    assert [
        "FOUND: lost update",
        "Search ended before it was complete: 6 schedules in 12 ms, policy dpor.",
        "Not replayable because of the weather.",
        "",
        "A's write is lost.",
        "  A      B",
        "  read   read",
        "Token: cs1.sqlite.own.1.AB.2",
        "Replay: rowrace explore credits --operations 3 --seed 5 --replay cs1.sqlite.own.1.AB.2",
    ] == said.splitlines()


STUCK = Failure("stuck", "B waited.", "cs1.sqlite.own.1.BA.3", "  A      B\n  waits", 1200)
UNFIT = Failure("unfit effect", "A's write is not what it should be.", count=1)


def test_several_findings(explorer: Explorer) -> None:
    """Each is named in the first line; those of one schedule share its listing, the others are told and not shown."""
    explorer.outcome = Found(failures=(Failure(), UNFIT, STUCK), schedules=1300)
    code, said, _ = explorer.run("credits")
    assert 1 == code
    assert [
        "FOUND: lost update, unfit effect, stuck",
        "Complete search: 1,300 schedules in 12 ms, policy dpor; no other schedule can end differently.",
        "",
        "lost update, in 1 schedule:",
        "A's write is lost.",
        "  A      B",
        "  read   read",
        "This schedule also shows:",
        "unfit effect, in 1 schedule: A's write is not what it should be.",
        "Token: cs1.sqlite.own.1.AB.2",
        "Replay: rowrace explore credits --replay cs1.sqlite.own.1.AB.2",
        "",
        "stuck, in 1,200 schedules: B waited.",
        "Token: cs1.sqlite.own.1.BA.3",
        "Replay: rowrace explore credits --replay cs1.sqlite.own.1.BA.3",
    ] == said.splitlines()


def test_all_findings_are_shown(explorer: Explorer) -> None:
    """Who asks for all gets a listing for each schedule."""
    explorer.outcome = Found(failures=(Failure(), STUCK))
    assert "  A      B\n  waits\nToken: cs1.sqlite.own.1.BA.3\n" in explorer.run("credits", "--all")[1]


def test_a_replay(explorer: Explorer) -> None:
    """It shows the schedule's listing, and ends with 1 where the anomaly is there, with 0 where it isn't."""
    explorer.outcome = Found(policy="replay", complete=False, listing="  A      B")
    code, said, _ = explorer.run("credits", "--replay", "cs1.x")
    assert 0 == code
    assert [
        "NOT FOUND: this schedule shows no anomaly.",
        "The one schedule of the token, which did what it did before.",
        "",
        "  A      B",
    ] == said.splitlines()
    explorer.outcome = Found(policy="replay", complete=False, failures=(Failure(),))
    assert 1 == explorer.run("credits", "--replay", "cs1.x")[0]


def test_the_sentence_is_not_said_twice(explorer: Explorer) -> None:
    """What the listing says need not stand above it, however it is wrapped there."""
    failure = Failure(
        sentence="A's write is lost. The sum is wrong.", listing="read  read\nLost update: A's write\n  is lost."
    )
    explorer.outcome = Found(failures=(failure,))
    said = explorer.run("credits")[1].splitlines()
    assert ["The sum is wrong.", "read  read", "Lost update: A's write", "  is lost."] == said[3:7]


def test_a_sample_is_no_proof(explorer: Explorer) -> None:
    """A search that was not complete and found nothing ends with 3, or with 0 where that is accepted."""
    explorer.outcome = Found(complete=False)
    code, said, _ = explorer.run("credits")
    assert 3 == code
    assert "NOT FOUND: no schedule of this sample shows an anomaly" in said
    assert 0 == explorer.run("credits", "--accept-sample")[0]


def test_json(explorer: Explorer) -> None:
    """One object, with the exit code, and nothing else on stdout."""
    explorer.outcome = Found(failures=(Failure(),))
    code, said, _ = explorer.run("credits", "--json")
    assert 1 == code
    assert {"found": True, "anomalies": {"lost update": 1}, "complete": True, "exit_code": 1} == json.loads(said)


def test_a_replay_that_diverges(explorer: Explorer) -> None:
    """It ends with 3, for nothing is known of the anomaly."""
    explorer.outcome = Divergence("step 3 asks for worker 1, which has ended")
    code, said, told = explorer.run("credits", "--replay", "cs1.x")
    assert (3, "") == (code, said)
    assert "rowrace: the replay diverged: step 3 asks for worker 1, which has ended\n" == told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument 'SCENARIO'"),
        (("credits", "--budget", "soon"), "--budget is 'soon': write a duration above 0, such as 300ms, 10s or 2m."),
        (("credits", "--budget", "0s"), "--budget is '0s'"),
        (("credits", "--policy", "hope"), "'hope' is not one of 'portfolio'"),
        (("credits", "--workers", "0"), "0 is not in the range x>=1"),
        (("credits", "--preemptions", "2"), "give --policy bounded too"),
        (("credits", "--isolation", "serializable"), "SQLite has one isolation of its own"),
        (("credits", "--database-url", "postgresql://h/d"), "give --backend postgres too"),
        (("credits", "--backend", "postgres", "--database-url", "h"), "--database-url must look like postgresql://"),
        (("hermitage", "--all"), "--all is for a scenario's search"),
        (("hermitage", "--schedules", "3"), "--schedules is for a scenario's search"),
    ],
)
def test_wrong_usage(explorer: Explorer, arguments: tuple[str, ...], said: str) -> None:
    """What can't be meant is refused in one sentence, before anything is searched."""
    code, printed, told = explorer.run(*arguments)
    assert (2, "", {}) == (code, printed, explorer.asked)
    assert said in told
    assert 1 == len(told.splitlines())


def test_what_the_explorer_refuses(explorer: Explorer) -> None:
    """A token that can't be read, or bodies that can't be controlled, are wrong usage."""
    explorer.outcome = ExplorerError("This is no schedule token.")
    assert (2, "", "rowrace: This is no schedule token.\n") == explorer.run("credits", "--replay", "x")


def test_an_interrupted_search_tells_what_it_has(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the search at its next telling; what was found is printed, and the command ends with 130."""
    monkeypatch.setattr(explorer, "before", lambda: signal.raise_signal(signal.SIGINT))
    explorer.outcome = Found(failures=(Failure(),), complete=False)
    code, said, _ = explorer.run("credits", "--all")
    assert (130, True) == (code, explorer.stopped)
    assert "FOUND: lost update" == said.splitlines()[0]


class Level(Enum):
    """As orchestrator.hermitage.case's."""

    ONE = "one"
    TWO = "two"


class Case(NamedTuple):
    """A part of orchestrator.hermitage.case's."""

    name: str = "P4"
    anomaly: str = "P4"
    title: str = "lost update"


class Cell(NamedTuple):
    """As orchestrator.hermitage.run's result."""

    level: Level
    prevented: bool | None
    published: bool
    case: Case = Case()
    schedules: int = 3
    seconds: float = 0.5

    @property
    def agrees(self) -> bool:
        """Whether the search proves what is published."""
        return self.prevented is self.published


@pytest.mark.parametrize(
    ("second", "code", "agree"),
    [
        (Cell(Level.TWO, prevented=True, published=True), 0, 2),
        (Cell(Level.TWO, prevented=None, published=True), 3, 1),
        (Cell(Level.TWO, prevented=False, published=True), 1, 1),
    ],
)
def test_hermitage(explorer: Explorer, monkeypatch: pytest.MonkeyPatch, second: Cell, code: int, agree: int) -> None:
    """The table is printed, and its end says whether every search agrees with what was published, and decided."""
    _searches(monkeypatch, [Cell(Level.ONE, prevented=False, published=False), second])
    ended, said, _ = explorer.run(*_HERMITAGE)
    assert code == ended
    assert "2 cells" == said.splitlines()[0]
    assert f"{agree} of 2 agree with the published table" in said
    shown = json.loads(explorer.run(*_HERMITAGE, "--json")[1])
    assert (code, False) == (shown["exit_code"], shown["interrupted"])
    assert {"case": "P4", "isolation": "one", "prevented": False, "agrees": True} == {
        key: shown["cases"][0][key] for key in ("case", "isolation", "prevented", "agrees")
    }


@pytest.mark.parametrize(
    ("before", "first", "table"),
    [
        ([], "Search interrupted: 0 of 2 results are there.", ""),
        (
            [Cell(Level.ONE, prevented=False, published=False)],
            "Search interrupted: 1 of 2 results are there. 1 of 1 agree with the published table",
            "1 cells\n\n",
        ),
    ],
)
def test_hermitage_interrupted(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch, before: list[Cell], first: str, table: str
) -> None:
    """Ctrl-C prints the results that are there, ends with 130, and takes what is not there for no result."""
    _searches(monkeypatch, before, lambda: signal.raise_signal(signal.SIGINT))
    code, said, _ = explorer.run(*_HERMITAGE)
    assert 130 == code
    assert said.startswith(f"{table}{first}")
    shown = json.loads(explorer.run(*_HERMITAGE, "--json")[1])
    assert (130, True, len(before)) == (shown["exit_code"], shown["interrupted"], len(shown["cases"]))


def test_hermitage_interrupted_while_its_server_starts(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is heard there too, and nothing is searched."""
    _searches(monkeypatch, [Cell(Level.ONE, prevented=False, published=False)])
    monkeypatch.setattr("orchestrator.services.check.database", lambda _url: signal.raise_signal(signal.SIGINT))
    code, said, _ = explorer.run(*_HERMITAGE)
    assert (130, "Search interrupted: 0 of 2 results are there.\n") == (code, said)


_HERMITAGE = ("hermitage", "--database-url", "postgresql://h/d")


def _searches(monkeypatch: pytest.MonkeyPatch, results: list[Cell], last: Callable[[], object] = lambda: None) -> None:
    """Let the searches be over at once with these results, and something happen after them."""

    def run_all(url: str, tell: Callable[[Cell], None], stop: Callable[[], bool]) -> None:
        assert "postgresql://h/d" == url
        for each in results:
            tell(each)
        assert not stop()
        last()

    for name, value in {"CASES": [Case()], "run_all": run_all, "render": lambda cells: f"{len(cells)} cells"}.items():
        monkeypatch.setattr(f"orchestrator.hermitage.run.{name}", value)
    monkeypatch.setattr("orchestrator.hermitage.case.Level", Level)
    monkeypatch.setattr("orchestrator.services.check.database", lambda _url: "18")


def test_the_live_line() -> None:
    """It says the policy, the rate and how many outcomes there were."""
    assert "dpor: 4,321 schedules, 2,160/s, 12 distinct outcomes, 2 s" == line("dpor", 4321, 12, 2.0)
    assert "dpor: 1 schedule, 10/s, 1 distinct outcome, 0 s" == line("dpor", 1, 1, 0.1)
