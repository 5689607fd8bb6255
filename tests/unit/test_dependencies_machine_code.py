"""Compiling: a kernel with the functions that it calls becomes machine code, which is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orchestrator.verifier.dependencies import compiled

numba = pytest.importorskip("numba")


def _double(number: int) -> int:
    return 2 * number


def _kernel(numbers: np.typing.NDArray[np.int64]) -> int:
    total = 0
    for number in numbers:
        total += _double(number)
    return total


def test_a_kernel_is_compiled_with_the_functions_that_it_calls() -> None:
    """It says what the plain one says, under its own name, and the plain one stays as it is."""
    fast: Any = compiled.compiled(_kernel)
    assert 12 == fast(np.array([1, 2, 3]))
    assert isinstance(fast, numba.core.dispatcher.Dispatcher)
    assert isinstance(fast.py_func.__globals__["_double"], numba.core.dispatcher.Dispatcher)
    assert (_kernel.__name__, _kernel.__qualname__, _kernel.__module__) == (
        fast.py_func.__name__,
        fast.py_func.__qualname__,
        fast.py_func.__module__,
    )
    assert 2 == _double(1)
    assert _double is _kernel.__globals__["_double"]
    assert fast is compiled.compiled(_kernel)


def test_machine_code_is_kept_on_disk() -> None:
    """The next process finds it there."""
    fast: Any = compiled.compiled(_kernel)
    fast(np.array([1, 2, 3]))
    assert 1 == len({*fast.stats.cache_hits, *fast.stats.cache_misses})


def test_what_can_not_be_kept_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no folder can be written to."""
    asked = []

    def refusing(*functions: object, cache: bool = False) -> object:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function")
        return functions[0]

    monkeypatch.setattr(numba, "njit", refusing)
    plain = compiled.compiled.__wrapped__(_double)
    assert [True, False] == asked
    assert 6 == plain(3)
