"""Mutation testing: what is changed, and which changes are left out."""

from __future__ import annotations

import ast

import pytest

from tests.documents import ROOT
from tests.mutants.mutants import excused, modules, mutants, sample
from tests.mutants.operators import mutations


def changes(source: str) -> list[tuple[str, str]]:
    """The operator and the changed text of each mutation."""
    return [(mutation.operator, mutation.text().strip()) for mutation in mutations(ast.parse(source))]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f(a < b)", ["pass", "f(a <= b)"]),
        ("f(a is b and c)", ["pass", "f(a is b or c)", "f(a is not b and c)"]),
        ("x = a + 1", ["x = None", "x = a - 1", "x = a + 2"]),
        ("x: int = 0", ["x: int = None", "x: int = 1"]),
        ("x = None", []),
        ("a[0] = -b", ["pass", "a[1] = -b", "a[0] = b"]),
        ("a, b = c", []),
        ("x //= 2", ["pass", "x *= 2", "x //= 3"]),
        ("f('a', flag=True)", ["pass", "f('a')", "f('XXaXX', flag=True)", "f('a', flag=False)"]),
        ("zip(a, b, strict=True)", ["pass"]),
        ("f(f'{a:,} b')", ["pass", "f(f'{a:,}XX bXX')"]),
        (
            "X = {'a': 1, b: c}",
            [
                "X = None",
                "X = {b: c}",
                "X = {'a': 1}",
                "X = {'XXaXX': 1, b: c}",
                "X = {'a': 2, b: c}",
            ],
        ),
        ("np.minimum(a, min(b))", ["pass", "np.maximum(a, min(b))", "np.minimum(a, max(b))"]),
        ("from a import b\n__all__ = ['c']\nT: TypeAlias = int", []),
    ],
)
def test_each_place_is_changed_in_every_way(source: str, expected: list[str]) -> None:
    """One small change at a time, in the order of the text; what only declares stays."""
    assert expected == [text for _, text in changes(source)]


def test_statements_and_results_are_left_out() -> None:
    """Docstrings, decorators, annotations and what only type checkers read are not changed."""
    source = """
@decorated(1)
def f(a: 'int'=2) -> 'str':
    'docstring'
    if TYPE_CHECKING:
        a = 3
    for b in a:
        if b:
            continue
        raise b
    return lambda: b
"""
    expected = ["constant", "condition", "removed", "removed", "result", "result"]
    assert expected == [operator for operator, _ in changes(source)]


def test_a_mutant_is_told_with_the_code_around_it() -> None:
    """As much as fits into a line, so that a reader sees what was changed."""
    turned, compared = mutations(ast.parse("if a[b < c]:\n    pass"))
    assert ("if a[b < c]: …", "if not a[b < c]: …") == turned.words()
    assert ("a[b < c]", "a[b <= c]") == compared.words()


def test_the_same_seed_draws_the_same_mutants() -> None:
    """So that a sample that failed can be tried again."""
    every = mutants(ROOT, modules(ROOT)[0])
    assert sample(every, 5, 1) == sample(every, 5, 1) != sample(every, 5, 2)


def test_every_mutant_that_is_called_equivalent_exists() -> None:
    """The list doesn't outlive the code that it is about."""
    every = {mutant.identity for module in modules(ROOT) for mutant in mutants(ROOT, module)}
    assert set() == excused(ROOT) - every
