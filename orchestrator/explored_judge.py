"""The project's own verifier as a judge of schedules: each different history is judged once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.explored_story import State, history_of, key_of
from orchestrator.explorer.judging import Anomaly, JudgeError
from orchestrator.verifier import CONSISTENT, Value, verify
from orchestrator.verifier.facts import READS_OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from orchestrator.explored import ScenarioArena
    from orchestrator.explored_story import Story
    from orchestrator.explorer.model import Execution
    from orchestrator.verifier import Check, Verdict, Witness

#: Verdicts that are remembered; more different histories than that begin anew.
_MOST: Final = 100_000


class ScenarioJudge:
    """Judges the executions of one arena."""

    def __init__(self, arena: ScenarioArena) -> None:
        self._meta = arena.meta
        self._outside = arena.meta.strategy == READS_OUTSIDE
        self._known: dict[Hashable, tuple[Anomaly, ...]] = {}
        #: Histories that had to be judged.
        self.judged = 0

    def __call__(self, execution: Execution) -> Sequence[Anomaly]:
        """Give what is wrong with a schedule; one that was cut short has no end to judge."""
        if execution.cut:
            return ()
        state = execution.state
        if not isinstance(state, State):
            raise JudgeError("The schedule is not one of a scenario: it has no history.")
        key = key_of(state.story, reads_outside=self._outside)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[key] = anomalies(self.verdict(state.story))
        return found

    def verdict(self, story: Story) -> Verdict:
        """Judge a schedule's history in full."""
        self.judged += 1
        return verify(history_of(story, self._meta))


def anomalies(verdict: Verdict) -> tuple[Anomaly, ...]:
    """Give what makes a verdict INVALID, or breaks the isolation level; each anomaly of the same attempts once."""
    found: dict[tuple[str, str], Anomaly] = {}
    for check in (*verdict.checks, verdict.isolation):
        if check.value is Value.INVALID:
            for each in _of(check):
                found.setdefault((each.name, each.witness), each)
        elif check.value is Value.UNKNOWN and check.name in CONSISTENT and check.summary.startswith(_CRASHED):
            raise JudgeError(f"The check {check.name} could not judge the schedule: {check.summary}")
    return tuple(found.values())


#: How the verifier tells of a check that crashed.
_CRASHED: Final = "the check crashed"


def _of(check: Check) -> Iterator[Anomaly]:
    if not check.witnesses:
        yield Anomaly(check.name, check.summary)
    for witness in check.witnesses:
        yield Anomaly(witness.anomaly, witness.sentence, _who(witness))


def _who(witness: Witness) -> str:
    """Name a witness by row and operations, which are the same in every schedule that shows it."""
    operations = ", ".join(map(str, sorted(set(witness.operations))))
    return " ".join(filter(None, [witness.row, operations and f"operations {operations}"]))
