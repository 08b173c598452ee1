"""Reference implementations read as text: functions, options, contracts and equation labels, by `ast` and never by
import, so that the catalog needs no torch and a broken module is a problem report and not a crash."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LABEL = re.compile(r"\[(eq-[a-z0-9-]+)\]")
CONTRACTS = "reference_impls.core.contracts"
# Keyword-only parameters that a driver fills in; as RESERVED in reference_impls/core/contracts.py (a test compares).
RESERVED = frozenset({"keep", "fisher", "calibration", "generator", "causal", "scale"})


@dataclass(frozen=True)
class Parameter:
    """An option of a function: its annotation as text, its default where it is a literal, and its Literal choices."""

    name: str
    annotation: str
    default: object
    required: bool
    choices: tuple[object, ...] = ()


@dataclass(frozen=True)
class Function:
    """A reference implementation as its source shows it. `line` and `end` count from 1."""

    module: str
    name: str
    line: int
    end: int
    contract: str | None
    options: dict[str, Parameter] = field(default_factory=dict)


class CodeError(Exception):
    """The code path does not resolve. `key` says which part: the module or the function."""

    def __init__(self, message: str, known: list[str]):
        super().__init__(message)
        self.known = known


class Source:
    """The source tree below `root` (the folder that holds `reference_impls`). Each module is read and parsed once."""

    def __init__(self, root: Path):
        self.root = root
        self._modules: dict[str, tuple[str, ast.Module] | None] = {}
        self._functions: dict[str, Function] = {}
        self._hashes: dict[str, str] = {}
        self._imports: dict[str, list[str]] = {}

    def path(self, module: str) -> Path:
        """The file of a module (which may not exist)."""
        base = self.root / Path(*module.split("."))
        return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")

    def has(self, module: str) -> bool:
        """Whether there is such a module."""
        return self.path(module).is_file()

    def text(self, module: str) -> str:
        """The source of a module. Raises CodeError where there is none or where it is not Python."""
        return self._parsed(module)[0]

    def function(self, code: str) -> Function:
        """The function of `package.module:function`. Raises CodeError with the spellings that would have been right."""
        if code in self._functions:
            return self._functions[code]
        module, _, name = code.partition(":")
        _, tree = self._parsed(module)
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        if name not in functions:
            raise CodeError(f"{module} defines no function `{name}`", [f"{module}:{known}" for known in functions])
        node = functions[name]
        defaults = dict(zip((argument.arg for argument in node.args.kwonlyargs), node.args.kw_defaults, strict=True))
        options = {
            argument.arg: _parameter(argument, defaults[argument.arg], self._named(module, argument.annotation))
            for argument in node.args.kwonlyargs
            if argument.arg not in RESERVED
        }
        end = node.end_lineno or node.lineno
        self._functions[code] = Function(module, name, node.lineno, end, _contract(node, tree), options)
        return self._functions[code]

    def labels(self, module: str) -> dict[str, int]:
        """Equation labels in a module, each with the first line where it stands."""
        found: dict[str, int] = {}
        for number, line in enumerate(self.text(module).splitlines(), 1):
            for label in LABEL.findall(line):
                found.setdefault(label, number)
        return found

    def imports(self, module: str) -> list[str]:
        """The modules below reference_impls that a module imports, sorted."""
        if module not in self._imports:
            self._imports[module] = self._imported(module)
        return self._imports[module]

    def _imported(self, module: str) -> list[str]:
        _, tree = self._parsed(module)
        package = module if self.path(module).name == "__init__.py" else module.rpartition(".")[0]
        names: set[str] = set()
        for node in statements(tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parts = package.split(".")
                    base = ".".join(parts[: len(parts) - node.level + 1] + ([node.module] if node.module else []))
                names.add(base)
                names.update(f"{base}.{alias.name}" for alias in node.names)
        return sorted(name for name in names if name.startswith("reference_impls.") and self.has(name))

    def hash(self, code: str) -> str:
        """sha256 over the text of the function's module and of all modules of reference_impls that it comes to import.

        Raises CodeError where one of them does not parse.
        """
        start = code.partition(":")[0]
        if start not in self._hashes:
            seen: set[str] = set()
            waiting = [start]
            while waiting:
                module = waiting.pop()
                if module not in seen:
                    seen.add(module)
                    waiting.extend(self.imports(module))
            digest = hashlib.sha256()
            for module in sorted(seen):
                digest.update(f"{module}\n{self.text(module)}\n".encode())
            self._hashes[start] = digest.hexdigest()
        return self._hashes[start]

    def tests(self, file: str) -> set[str] | None:
        """Names of the test functions in a file under the root, or None where there is no such file."""
        path = self.root / file
        if not path.is_file():
            return None
        return set(re.findall(r"^\s*(?:async )?def (test\w*)", path.read_text(encoding="utf-8"), re.MULTILINE))

    def _named(self, module: str, annotation: ast.expr | None) -> ast.expr | None:
        """An annotation with names such as `Granularity` replaced by what they stand for."""
        if annotation is None:
            return None
        source = self

        class Replace(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> ast.expr:
                return source._alias(module, node.id) or node

        return Replace().visit(ast.parse(ast.unparse(annotation), mode="eval").body)

    def _alias(self, module: str, name: str, depth: int = 0) -> ast.expr | None:
        _, tree = self._parsed(module)
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return node.value if isinstance(node.value, ast.Subscript) else None
            if isinstance(node, ast.ImportFrom) and depth < 3 and (node.module or "").startswith("reference_impls."):
                for alias in node.names:
                    if (alias.asname or alias.name) == name and self.has(node.module):
                        return self._alias(node.module, alias.name, depth + 1)
        return None

    def _parsed(self, module: str) -> tuple[str, ast.Module]:
        if module not in self._modules:
            path = self.path(module)
            try:
                text = path.read_text(encoding="utf-8")
                self._modules[module] = (text, ast.parse(text))
            except OSError:
                self._modules[module] = None
            except (SyntaxError, UnicodeDecodeError, ValueError) as error:
                raise CodeError(f"{module} does not import: {error}", []) from error
        parsed = self._modules[module]
        if parsed is None:
            raise CodeError(f"there is no module `{module}`", self._known_modules())
        return parsed

    def _known_modules(self) -> list[str]:
        folder = self.root / "reference_impls"
        found = (path.relative_to(self.root).with_suffix("") for path in folder.glob("*/*.py"))
        return sorted(".".join(path.parts) for path in found if path.name != "__init__")


def code_hash(code: str, root: Path | None = None) -> str:
    """The hash that tells whether a measurement still belongs to the code. See Source.hash."""
    return Source(root or Path(__file__).resolve().parent.parent).hash(code)


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Every statement of a module, also inside functions and branches; expressions are not looked into."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            for inner in getattr(node, name, ()):
                if isinstance(inner, ast.stmt):
                    yield inner
                waiting.append(inner)


def _contract(node: ast.FunctionDef, tree: ast.Module) -> str | None:
    """The contract that a decorator of `reference_impls.core.contracts` gives the function."""
    marks = {
        alias.asname or alias.name: alias.name
        for item in tree.body
        if isinstance(item, ast.ImportFrom) and item.module == CONTRACTS
        for alias in item.names
    }
    for decorator in node.decorator_list:
        mark = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(mark, ast.Name) and mark.id in marks:
            return marks[mark.id]
        if isinstance(mark, ast.Attribute):
            return mark.attr
    return None


def _parameter(argument: ast.arg, default: ast.expr | None, annotated: ast.expr | None) -> Parameter:
    try:
        value = ast.literal_eval(default) if default is not None else None
    except ValueError:
        value = None
    annotation = ast.unparse(annotated) if annotated is not None else ""
    return Parameter(argument.arg, annotation, value, default is None, _choices(annotated))


def _choices(annotation: ast.expr | None) -> tuple[object, ...]:
    for node in ast.walk(annotation) if annotation is not None else ():
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
            items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return tuple(item.value for item in items if isinstance(item, ast.Constant))
    return ()


def fits(value: object, parameter: Parameter) -> bool:
    """Whether a value of an entry can be a value of the parameter. Annotations that are not understood accept all."""
    if value is None:
        return parameter.required is False and parameter.default is None or "None" in parameter.annotation
    if parameter.choices:
        return value in parameter.choices
    kinds = set(re.findall(r"\b(bool|int|float|str|tuple|list)\b", re.sub(r"\[.*?\]", "", parameter.annotation)))
    if not kinds:
        return True
    if isinstance(value, bool):
        return "bool" in kinds
    if isinstance(value, int):
        return bool(kinds & {"int", "float"})
    if isinstance(value, float):
        return "float" in kinds
    if isinstance(value, list):
        return bool(kinds & {"tuple", "list"})
    return "str" in kinds
