"""What can be changed in a module's syntax tree: each change is small, and most make the program wrong."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A change's name, and the node that takes the place of the one there was.
Change: TypeAlias = tuple[str, ast.AST]

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}

#: Functions and methods that are each other's opposite.
_PAIRS: Final = (("min", "max"), ("minimum", "maximum"), ("any", "all"), ("argmin", "argmax"))
_OPPOSITES: Final = {**dict(_PAIRS), **{other: one for one, other in _PAIRS}}

#: What declares rather than does: changing it changes nothing that runs, or breaks the import.
_DECLARING: Final = {
    (ast.FunctionDef, "returns"),
    (ast.FunctionDef, "decorator_list"),
    (ast.ClassDef, "bases"),
    (ast.ClassDef, "keywords"),
    (ast.ClassDef, "decorator_list"),
    (ast.arg, "annotation"),
    (ast.AnnAssign, "annotation"),
    (ast.FormattedValue, "format_spec"),
}

#: Longest code that stands for a change.
_LINE: Final = 110

#: Keywords that only state what is so anyway.
_STATING: Final = {"strict", "kw_only", "frozen"}


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One change at one place of a tree."""

    #: The place: what the node is in, from the tree's root on, the field, and the index in it where that is a list.
    within: tuple[ast.AST, ...]
    field: str
    index: int | None
    node: ast.AST
    replacement: ast.AST
    operator: str
    line: int
    #: The function that the place is in, "" outside of all, and the first line of the outermost one, 0 outside.
    scope: str
    entry: int

    def text(self) -> str:
        """The whole module with this change."""
        return self._changed(self.within[0])

    def words(self) -> tuple[str, str]:
        """The place's code before and after, with as much around it as fits into a line."""
        around = self.node
        for each in reversed(self.within):
            if not isinstance(each, ast.expr | ast.stmt | ast.keyword | ast.comprehension):
                break
            text = ast.unparse(each)
            if len(text) > _LINE or "\n" in text:
                break
            around = each
        if around is self.node:
            return _first_line(ast.unparse(around)), _first_line(_unparsed(self.replacement))
        return ast.unparse(around), self._changed(around)

    def _changed(self, around: ast.AST) -> str:
        self._put(self.replacement)
        try:
            return _unparsed(around)
        finally:
            self._put(self.node)

    def _put(self, node: ast.AST) -> None:
        parent = self.within[-1]
        if self.index is None:
            setattr(parent, self.field, node)
        else:
            getattr(parent, self.field)[self.index] = node


def mutations(tree: ast.Module) -> list[Mutation]:
    """Every change that can be made to the module, in the order of its text."""
    return list(_below((tree,), "", 0))


def _below(within: tuple[ast.AST, ...], scope: str, entry: int) -> Iterator[Mutation]:
    parent = within[-1]
    for field, value in ast.iter_fields(parent):
        if (type(parent), field) in _DECLARING:
            continue
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, node in children:
            if not isinstance(node, ast.AST) or _left_out(node, field):
                continue
            if isinstance(node, ast.expr | ast.stmt):
                for operator, replacement in _changes(node, top=not scope):
                    yield Mutation(
                        within=within,
                        field=field,
                        index=index,
                        node=node,
                        replacement=replacement,
                        operator=operator,
                        line=node.lineno,
                        scope=scope.rstrip("."),
                        entry=entry,
                    )
            yield from _below((*within, node), *_inside(node, scope, entry))


def _inside(node: ast.AST, scope: str, entry: int) -> tuple[str, int]:
    """Scope and entry of what is in the node."""
    if isinstance(node, ast.ClassDef):
        return f"{scope}{node.name}.", entry
    if isinstance(node, ast.FunctionDef):
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        return f"{scope}{node.name}.", entry or first
    return scope, entry


def _left_out(node: ast.AST, field: str) -> bool:
    """Docstrings, imports, what only type checkers read, and the list of public names."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.AnnAssign):
        return node.value is None or (isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias")
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Pass) or (
        field == "keywords" and isinstance(node, ast.keyword) and node.arg in _STATING
    )


def _changes(node: ast.AST, *, top: bool) -> Iterator[Change]:
    make = _BY_TYPE.get(type(node))
    if make is not None:
        yield from make(node)
    if top and isinstance(node, ast.Tuple | ast.List | ast.Dict | ast.Set) and not isinstance(_use(node), ast.Store):
        yield from _shortened(node)
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield from _turned(node)


def _use(node: ast.AST) -> ast.expr_context | None:
    """Whether a list or tuple is read or assigned to."""
    use: ast.expr_context | None = getattr(node, "ctx", None)
    return use


def _compare(node: ast.Compare) -> Iterator[Change]:
    for place, operator in enumerate(node.ops):
        ops = [*node.ops]
        ops[place] = _COMPARISONS[type(operator)]()
        yield "comparison", ast.Compare(left=node.left, ops=ops, comparators=node.comparators)


def _binary(node: ast.BinOp) -> Iterator[Change]:
    if type(node.op) in _ARITHMETIC:
        yield "arithmetic", ast.BinOp(left=node.left, op=_ARITHMETIC[type(node.op)](), right=node.right)


def _boolean(node: ast.BoolOp) -> Iterator[Change]:
    yield "boolean", ast.BoolOp(op=ast.Or() if isinstance(node.op, ast.And) else ast.And(), values=node.values)


def _unary(node: ast.UnaryOp) -> Iterator[Change]:
    yield "unary", node.operand


def _constant(node: ast.Constant) -> Iterator[Change]:
    match node.value:
        case bool():
            yield "constant", ast.Constant(not node.value)
        case int() | float():
            yield "constant", ast.Constant(node.value + 1)
        case str():
            yield "text", ast.Constant(f"XX{node.value}XX")


def _call(node: ast.Call) -> Iterator[Change]:
    for place, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in _STATING:
            rest = [*node.keywords[:place], *node.keywords[place + 1 :]]
            yield "argument", ast.Call(func=node.func, args=node.args, keywords=rest)


def _attribute(node: ast.Attribute) -> Iterator[Change]:
    if node.attr in _OPPOSITES:
        yield "opposite", ast.Attribute(value=node.value, attr=_OPPOSITES[node.attr], ctx=node.ctx)


def _name(node: ast.Name) -> Iterator[Change]:
    if node.id in _OPPOSITES and isinstance(node.ctx, ast.Load):
        yield "opposite", ast.Name(id=_OPPOSITES[node.id], ctx=node.ctx)


def _lambda(node: ast.Lambda) -> Iterator[Change]:
    yield "result", ast.Lambda(args=node.args, body=ast.Constant(None))


def _return(node: ast.Return) -> Iterator[Change]:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield "result", ast.Return(value=ast.Constant(None))


def _assign(node: ast.Assign | ast.AnnAssign) -> Iterator[Change]:
    """A variable holds nothing; an element or attribute isn't set."""
    targets: list[ast.expr] = [*node.targets] if isinstance(node, ast.Assign) else [node.target]
    if all(isinstance(target, ast.Subscript | ast.Attribute) for target in targets):
        yield "removed", ast.Pass()
    elif all(isinstance(target, ast.Name) for target in targets) and ast.unparse(node.value or node) != "None":
        nothing = ast.Constant(None)
        if isinstance(node, ast.AnnAssign):
            typed = ast.AnnAssign(target=node.target, annotation=node.annotation, value=nothing, simple=node.simple)
            yield "assignment", typed
        else:
            yield "assignment", ast.Assign(targets=targets, value=nothing, lineno=node.lineno)


def _augmented(node: ast.AugAssign) -> Iterator[Change]:
    yield "removed", ast.Pass()
    if type(node.op) in _ARITHMETIC:
        yield "arithmetic", ast.AugAssign(target=node.target, op=_ARITHMETIC[type(node.op)](), value=node.value)


def _removed(_node: ast.stmt) -> Iterator[Change]:
    yield "removed", ast.Pass()


def _turned(node: ast.If | ast.While | ast.IfExp) -> Iterator[Change]:
    """The opposite condition, where no other change says so already."""
    if isinstance(node.test, ast.Compare | ast.UnaryOp | ast.Constant):
        return
    parts = {name: getattr(node, name) for name in node._fields}
    yield "condition", type(node)(**{**parts, "test": ast.UnaryOp(op=ast.Not(), operand=node.test)})


def _shortened(node: ast.Tuple | ast.List | ast.Dict | ast.Set) -> Iterator[Change]:
    """A table without one of its entries."""
    parts = {name: getattr(node, name) for name in node._fields}
    lists = {name: value for name, value in parts.items() if isinstance(value, list)}
    length = len(next(iter(lists.values())))
    for place in range(length if length > 1 else 0):
        shorter = {name: [*value[:place], *value[place + 1 :]] for name, value in lists.items()}
        yield "entry", type(node)(**{**parts, **shorter})


_BY_TYPE: Final[dict[type[ast.AST], Callable[..., Iterator[Change]]]] = {
    ast.Compare: _compare,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
    ast.Call: _call,
    ast.Attribute: _attribute,
    ast.Name: _name,
    ast.Lambda: _lambda,
    ast.Return: _return,
    ast.Assign: _assign,
    ast.AnnAssign: _assign,
    ast.AugAssign: _augmented,
    ast.Expr: _removed,
    ast.Raise: _removed,
    ast.Break: _removed,
    ast.Continue: _removed,
}


def _unparsed(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node))


def _first_line(text: str) -> str:
    line, _, more = text.partition("\n")
    return f"{line} …" if more else line
