"""Formulas of an entry, such as bits + (16 + bits) / group_size: arithmetic and nothing else."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

_BINARY: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type, Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_CALLS: dict[str, Callable[..., float]] = {
    "ceil": math.ceil, "exp2": math.exp2, "floor": math.floor, "log2": math.log2, "max": max, "min": min,
}  # fmt: skip
_SIGNS: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"}
Tree = int | float | str | list[Any]
GRAMMAR = f"numbers, names, + - * / // % ( ) and {', '.join(sorted(_CALLS))}"


class Formula:
    """A parsed formula. `names` are the values that it needs.

    Raises ValueError, in words for people, for anything but arithmetic.
    """

    def __init__(self, text: str):
        self.text = text
        if len(text) > 300:
            raise ValueError(f"the formula is longer than 300 characters ({len(text)})")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise ValueError(f"{text!r} is not a formula; allowed are {GRAMMAR}") from error
        self.names: set[str] = set()
        self._check(self._tree)

    def __call__(self, values: Mapping[str, float]) -> float:
        """The value. Raises ValueError where a name has no number or where the arithmetic fails."""
        for name in sorted(self.names):
            value = values.get(name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{self.text!r} needs a number for `{name}`, found {value!r}")
        try:
            result = self._value(self._tree, values)
        except (ArithmeticError, ValueError) as error:
            raise ValueError(f"{self.text!r} has no value: {error}") from error
        if not math.isfinite(result):
            raise ValueError(f"{self.text!r} has no finite value")
        return result

    def tree(self) -> Tree:
        """The formula for readers without a parser: a number, a name, or [operation, operands ...].

        Operations: + - * / // % neg, and the functions by name.
        """
        return _tree(self._tree)

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
                return
            case ast.Name():
                self.names.add(node.id)
            case ast.BinOp() if type(node.op) in _BINARY:
                self._check(node.left)
                self._check(node.right)
            case ast.UnaryOp() if type(node.op) in _UNARY:
                self._check(node.operand)
            case ast.Call(func=ast.Name(), keywords=[]) if node.func.id in _CALLS and node.args:
                for argument in node.args:
                    self._check(argument)
            case _:
                raise ValueError(f"`{ast.unparse(node)}` is not allowed in a formula; allowed are {GRAMMAR}")

    def _value(self, node: ast.expr, values: Mapping[str, float]) -> float:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return values[node.id]
            case ast.BinOp():
                return _BINARY[type(node.op)](self._value(node.left, values), self._value(node.right, values))
            case ast.UnaryOp():
                return _UNARY[type(node.op)](self._value(node.operand, values))
            case ast.Call():
                return _CALLS[node.func.id](*(self._value(argument, values) for argument in node.args))
        raise AssertionError(ast.dump(node))


def _tree(node: ast.expr) -> Tree:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return node.id
        case ast.BinOp():
            return [_SIGNS[type(node.op)], _tree(node.left), _tree(node.right)]
        case ast.UnaryOp():
            return _tree(node.operand) if isinstance(node.op, ast.UAdd) else ["neg", _tree(node.operand)]
        case ast.Call():
            return [node.func.id, *(_tree(argument) for argument in node.args)]
    raise AssertionError(ast.dump(node))
