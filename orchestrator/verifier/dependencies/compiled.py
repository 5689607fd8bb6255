"""Runs a kernel as it is where there is little to do, compiled where there is much; compilations are kept on disk."""

from __future__ import annotations

import sys
from functools import cache
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Loop turns from which compiled code pays: below, importing the compiler alone would take longer than the work.
WORTH_COMPILING: Final = 60_000
#: The same where the compiler is there already.
WORTH_CALLING: Final = 3_000


def run(kernel: Callable[..., Any], work: int, *arguments: Any) -> Any:  # noqa: ANN401 - a kernel's own types
    """Call the kernel; `work` is roughly how many turns its loops will take."""
    worth = min(WORTH_COMPILING, WORTH_CALLING) if "numba" in sys.modules else WORTH_COMPILING
    return (kernel if work < worth else compiled(kernel))(*arguments)


@cache
def compiled(kernel: Any) -> Callable[..., Any]:  # noqa: ANN401 - any function
    """The kernel, and the functions of its file that it calls, as machine code."""
    from numba import njit  # noqa: PLC0415 - importing it takes longer than judging a small history

    helpers = {
        name: compiled(value)
        for name, value in kernel.__globals__.items()
        if name in kernel.__code__.co_names
        and isinstance(value, FunctionType)
        and value.__module__ == kernel.__module__
    }
    # The plain kernel goes on calling plain functions: only this copy knows the compiled ones.
    copy = FunctionType(kernel.__code__, {**kernel.__globals__, **helpers}, kernel.__name__)
    copy.__qualname__, copy.__module__ = kernel.__qualname__, kernel.__module__
    try:
        fast: Callable[..., Any] = njit(cache=True)(copy)
    except RuntimeError:  # no folder can be written to: compile anew in each process
        fast = njit(copy)
    return fast
