"""Which line of a reference implementation carries which equation label, and where its function stands."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from site_gen.load import CodeFile

LABEL = re.compile(r"\[(eq-[a-z0-9]+(?:-[a-z0-9]+)*)\]")


@dataclass(frozen=True)
class CodeView:
    """`labels`: equation label -> lines that name it, the lines of code first; `function_line`: where `function` is."""

    file: CodeFile
    function: str
    function_line: int
    labels: dict[str, list[int]]

    @property
    def lines(self) -> list[str]:
        return self.file.text.splitlines()


def view(file: CodeFile, function: str) -> CodeView:
    """Reads the text only; nothing is imported. Raises SyntaxError where it is not Python."""
    tree = ast.parse(file.text, filename=file.path)
    starts = {node.name: node.lineno for node in ast.walk(tree)
              if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    docstrings = _docstring_lines(tree)
    labels: dict[str, list[int]] = {}
    for number, line in enumerate(file.text.splitlines(), 1):
        for label in dict.fromkeys(LABEL.findall(line)):
            labels.setdefault(label, []).append(number)
    for lines in labels.values():
        lines.sort(key=lambda number: (number in docstrings, number))
    return CodeView(file, function, starts.get(function, 1), labels)


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(
                first.value.value, str
            ):
                lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines
