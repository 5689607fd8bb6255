"""Compiled loops say what the plain ones say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.histories import skewed, valid
from orchestrator.verifier.dependencies import compiled, judge
from orchestrator.verifier.dependencies.kernels.ordering import cover
from tests.unit.tiny import history

if TYPE_CHECKING:
    from orchestrator.history.transactions import Transactions
    from orchestrator.verifier.verdict import Judgement

HISTORIES = {
    "valid": lambda: valid(3_000),
    "write skews and long forks": lambda: skewed(1_000, 20, 10),
    "duplicate, gap, garbage, future": lambda: history("a: rx0 wx1 wx4 | b: rx0 wx1 ry7 rz1 wz1 | c@s: rx4 | d@s: rx0"),
    "internal, intermediate": lambda: history("a: wx1 wx2 | b: rx1 ry0 ry1 | c!: wy1 | d?: wz1 | e: rz1 wz2"),
    "explicit edges": lambda: history("a: rx0 | b: ry0 | a -predicate-rw:x-> b | b -predicate-rw:y-> a"),
    "in time": lambda: history("a[0,1]: wx1 wy2 | b[2,3]: rx0 | c@s[0,9]: wy1 | d@s[9,12]: rx0 ry2"),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_compiled_and_plain_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether loops are compiled changes nothing in a judgement."""
    expected = _judged(HISTORIES[name](), monkeypatch, 2**62)
    assert expected == _judged(HISTORIES[name](), monkeypatch, 0)


def test_without_a_folder_to_keep_it_in_code_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, compiling is done anew."""

    def refusing(*functions: object, cache: bool = False) -> object:
        if cache:
            raise RuntimeError("cannot cache function")
        return functions[0]

    monkeypatch.setattr("numba.njit", refusing)
    assert cover.__code__ is compiled.compiled.__wrapped__(cover).__code__


def _judged(told: Transactions, monkeypatch: pytest.MonkeyPatch, worth: int) -> Judgement:
    monkeypatch.setattr(compiled, "WORTH_COMPILING", worth)
    monkeypatch.setattr(compiled, "WORTH_CALLING", worth)
    return judge(told)
