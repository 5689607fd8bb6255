"""Whole judgements of small histories, word for word as they were reviewed, in golden.json.

After a change of words, `python -m tests.unit.test_verifier_golden` writes the file anew; read the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.verifier.dependencies import judge
from tests.unit.test_verifier_examples import EXAMPLES
from tests.unit.tiny import history

FILE = Path(__file__).with_name("golden.json")

HISTORIES = {
    **EXAMPLES,
    "several duplicates": "a: wx1 wy1 | b: wx1 wy1 | c: wx1 | d: rx1 wx2",
    "appends that nobody read": "a: rx0 | b: ry0 | a -rw:x-> b | b -ww:y-> a",
    "reads of forks": "a: wx? | b: rx? | a -wr:x-> b | b -ww:x-> a",
    "predicates": "a: rx0 | b: ry0 | a -predicate-rw:x-> b | b -predicate-rw:y-> a",
    "predicates, read skew": "a: rx0 wy1 | b: ry1 wx1 | b -predicate-rw:z-> a",
    "unknown and seen": "a?[0,]: wx1 | b[1,2]: rx1 | c[3,4]: rx0",
    "in sessions": "a@s: wx1 wy1 | b@s: rx0 ry0 wx2 | c@t: rx2 | d@t: rx1 wz1 | e@u: rz1 wz2 rz1",
    "in time": "a[0,1]: wx1 | b[2,3]: rx0 wy1 | c[4,5]: ry0 | d[4,]: wx2",
    "twenty garbage reads": " | ".join(f"t{i}: rx{i + 50}" for i in range(20)),
    "three lost updates": "a: rx0 wx1 | b: rx0 wx2 | c: rx0 wx3 | d: rx3 wx4",
    "gaps between": "a: wx1 | b!: wx2 | c: rx1 wx4 | d: rx4 wx7",
    "serial": "a@s[0,1]: rx0 wx1 | b@t[2,3]: rx1 wx2 | c@s[4,5]: rx2",
    "nothing": "a!: wx1",
}


def judged(name: str) -> Any:  # noqa: ANN401 - JSON
    """The whole judgement as JSON."""
    return msgspec.json.decode(msgspec.json.encode(judge(history(HISTORIES[name]))))


@pytest.mark.parametrize("name", HISTORIES)
def test_a_judgement_is_as_it_was_reviewed(name: str) -> None:
    """Counts, models, sentences, steps and smallest histories, all of them."""
    assert msgspec.json.decode(FILE.read_bytes())[name] == judged(name)


if __name__ == "__main__":
    text = msgspec.json.format(msgspec.json.encode({name: judged(name) for name in HISTORIES}), indent=1)
    FILE.write_bytes(text + b"\n")
