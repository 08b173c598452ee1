"""One algorithm as one file: what the reference implementation uses of the project is copied into it, the rest is not.

Read by `ast`, never imported. Definitions keep their text; only imports between modules of the project go, and the
names of definitions that would meet are told apart.
"""

from __future__ import annotations

import ast
import io
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

from catalog.code import CodeError, Source, statements

PROJECT = "reference_impls"
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Under which name a package is installed, where it is not the one it is imported by."""
_Node = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Expr | ast.If


class CannotExport(ValueError):
    """The code cannot be put into one file; the message says where and why."""


@dataclass
class Module:
    """One module as text and tree. defined: name -> the statement that defines it; imported: local name -> origin, the
    name of a module and of what is taken from it (None: the module itself)."""

    name: str
    text: str
    tree: ast.Module
    defined: dict[str, _Node] = field(default_factory=dict)
    imported: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    external: dict[str, str] = field(default_factory=dict)  # local name -> the import that brings it

    def __post_init__(self) -> None:
        self.lines = self.text.splitlines()

    @classmethod
    def of(cls, name: str, source: Source) -> Module:
        text = source.text(name)
        module = cls(name, text, ast.parse(text))
        for node in module.tree.body:
            module._add(node, source)
        return module

    def _add(self, node: ast.stmt, source: Source) -> None:
        if isinstance(node, ast.Import):
            for item in node.names:
                local = item.asname or item.name.partition(".")[0]
                self.external[local] = f"import {item.name}" + (f" as {item.asname}" if item.asname else "")
        elif isinstance(node, ast.ImportFrom):
            for item in node.names:
                local, origin = item.asname or item.name, node.module or ""
                if origin == "__future__":
                    continue
                if origin.partition(".")[0] != PROJECT:
                    alias = f" as {item.asname}" if item.asname else ""
                    self.external[local] = f"from {origin} import {item.name}{alias}"
                elif source.has(f"{origin}.{item.name}"):
                    self.imported[local] = (f"{origin}.{item.name}", None)
                else:
                    self.imported[local] = (origin, item.name)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            self.defined[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        self.defined[name.id] = node
        elif isinstance(node, ast.If):  # `if TYPE_CHECKING:` and the like
            for inner in node.body:
                self._add(inner, source)

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree, clean=False) or ""

    @property
    def tail(self) -> str:
        return self.name.rpartition(".")[2]

    def segment(self, node: _Node) -> str:
        """The text of a statement with its decorators and the comment lines right above it."""
        lines = self.lines
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
        while first > 0 and lines[first - 1].startswith("#") and not lines[first - 1].startswith("#!"):
            first -= 1
        last = node.end_lineno
        # A string below an assignment documents it.
        place = self.tree.body.index(node) if node in self.tree.body else -1
        if isinstance(node, ast.Assign | ast.AnnAssign) and 0 <= place < len(self.tree.body) - 1:
            after = self.tree.body[place + 1]
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                last = after.end_lineno
        return "\n".join(lines[first:last])


@dataclass(frozen=True)
class Section:
    """A part of the file: the text that comes from one module of the project. title: what that module is for."""

    module: str
    title: str
    text: str


@dataclass(frozen=True)
class _Uses:
    """What one statement uses: names with the attribute taken from them, packages that it imports inside itself, and
    the line where it imports from the project, which cannot be exported."""

    names: list[tuple[str, str | None]]
    packages: set[str]
    forbidden: int | None

    @classmethod
    def of(cls, node: _Node) -> _Uses:
        packages, forbidden = set(), None
        for inner in statements(node):
            if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith(PROJECT):
                forbidden = forbidden or inner.lineno
            packages.update(_imported_by(inner))
        return cls(list(dict.fromkeys(_names(node))), packages, forbidden)


@dataclass
class _Found:
    """What the wanted functions come to need, gathered statement by statement."""

    needed: dict[str, dict[int, _Node]] = field(default_factory=dict)  # module -> statements, by line
    aliases: dict[str, str] = field(default_factory=dict)  # local name -> the definition's name
    spaces: dict[str, set[str]] = field(default_factory=dict)  # name of an imported module -> what is taken from it
    imports: dict[str, str] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)  # name in the file -> module that defines it
    clashes: list[tuple[str, str]] = field(default_factory=list)
    packages: set[str] = field(default_factory=set)  # imported inside functions


class Exporter:
    """Puts functions of one source tree into files of their own; each module is read once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._modules: dict[str, Module] = {}
        self._used: dict[tuple[str, str, bool], _Uses] = {}
        self._made: dict[tuple[str, ...], tuple[str, list[Section], list[str]]] = {}

    def module(self, name: str) -> Module:
        """Raises CodeError where there is none."""
        if name not in self._modules:
            self._modules[name] = Module.of(name, self.source)
        return self._modules[name]

    def sections(self, codes: list[str]) -> tuple[str, list[Section]]:
        """The imports, and the functions `module:function` with all that they use of the project, module by module.

        The module of the first code comes first unless something in it is needed while the file is read. The mark of a
        contract on its function goes: nobody asks for it here. Raises CannotExport, and CodeError for a code that does
        not resolve.
        """
        imports, sections, _ = self._make(tuple(codes))
        return imports, sections

    def packages(self, codes: list[str]) -> list[str]:
        """The packages that a file of these functions imports, besides Python's own, in alphabetical order."""
        return self._make(tuple(codes))[2]

    def _make(self, codes: tuple[str, ...]) -> tuple[str, list[Section], list[str]]:
        if codes not in self._made:
            self._made[codes] = self._make_anew(codes)
        return self._made[codes]

    def _make_anew(self, codes: tuple[str, ...]) -> tuple[str, list[Section], list[str]]:
        first = codes[0].partition(":")[0]
        found = self._gather([tuple(code.split(":")) for code in codes])
        renames = self._renames(found)
        if found.spaces:
            found.imports["SimpleNamespace"] = "from types import SimpleNamespace"
        imports = "\n".join(["from __future__ import annotations", "", *_sorted_imports(found.imports.values())])
        order = _in_order(found.needed, self._modules)
        own, here = found.needed[first].values(), self.module(first)
        if not any(name in here.imported or name in found.aliases for node in own for name in _names_when_read(node)):
            order = [first, *(place for place in order if place != first)]
        made, placed = [], set()
        for place in order:
            module, parts = self.module(place), []
            for node in dict.fromkeys(found.needed[place][line] for line in sorted(found.needed[place])):
                parts.append(_renamed(module.segment(node), renames.get(place, {})))
                placed.update(_defined_by(node))
            for alias, name in found.aliases.items():
                if name in placed and alias not in placed:
                    parts.append(f"{alias} = {name}")
                    placed.add(alias)
            for space, names in found.spaces.items():
                if space not in placed and names <= placed:
                    parts.append(f"{space} = SimpleNamespace({', '.join(f'{name}={name}' for name in sorted(names))})")
                    placed.add(space)
            made.append(Section(place, module.docstring.partition("\n")[0].rstrip("."), _joined(parts).rstrip()))
        return imports, made, _distributions(found.packages.union(*map(_imported_by, ast.parse(imports).body)))

    def file(self, codes: list[str], *, header: str = "", footer: str = "") -> str:
        """One file of `sections`. header: text above everything, such as comments; the first module's docstring
        follows. footer: text at the end, which may use the functions by their names."""
        first = self.module(codes[0].partition(":")[0])
        imports, sections = self.sections(codes)
        parts = [header.rstrip(), f'"""{first.docstring}"""' if first.docstring else "", imports]
        for section in sections:
            if section.module != first.name:
                title = f"---- {section.module.replace('.', '/')}.py: {section.title}"
                parts.append(textwrap.fill(title, 118, initial_indent="# ", subsequent_indent="#      "))
            parts.append(section.text)
        return _joined([*parts, footer.rstrip()])

    def _gather(self, todo: list[tuple[str, str]]) -> _Found:
        found = _Found()
        unmarked, seen = todo[0], set()
        while todo:
            place, name = todo.pop()
            if (place, name) in seen:
                continue
            seen.add((place, name))
            here = self.module(place)
            if name not in here.defined:
                if name not in here.imported:
                    raise CodeError(f"{place} defines no `{name}`", [])
                there, what = here.imported[name]  # a module that only hands it on
                todo.append((there, what or name))
                continue
            node = here.defined[name]
            if (place, name) == unmarked:
                node = _without_marks(node)
            found.needed.setdefault(place, {})[node.lineno] = node
            for local in _defined_by(node):
                if found.origin.setdefault(local, place) != place:
                    found.clashes.append((place, local))
            key = (place, name, (place, name) == unmarked)
            if key not in self._used:
                self._used[key] = _Uses.of(node)
            uses = self._used[key]
            if uses.forbidden is not None:
                raise CannotExport(f"{place}, line {uses.forbidden}: an import inside a function")
            found.packages |= uses.packages
            for used, attribute in uses.names:
                if used in here.defined:
                    todo.append((place, used))
                elif used in here.external:
                    line = here.external[used]
                    if found.imports.setdefault(used, line) != line:
                        raise CannotExport(f"{place}: `{used}` is `{line}` and elsewhere `{found.imports[used]}`")
                elif used in here.imported:
                    there, what = here.imported[used]
                    if what is not None:
                        todo.append((there, what))
                        if what != used:
                            found.aliases[used] = what
                    elif attribute is not None:
                        todo.append((there, attribute))
                        found.spaces.setdefault(used, set()).add(attribute)
        return found

    def _renames(self, found: _Found) -> dict[str, dict[str, str]]:
        """Module -> its names that another module has too -> other names."""
        renames: dict[str, dict[str, str]] = {}
        for place, local in dict.fromkeys(found.clashes):
            if not local.startswith("_") and not local.isupper():
                raise CannotExport(f"`{local}` is defined in {found.origin[local]} and in {place}")
            renames.setdefault(place, {})[local] = f"{local}_{self.module(place).tail}"
        return renames


def _joined(parts: list[str]) -> str:
    """Two empty lines between definitions, one between short lines such as constants."""
    text, before = "", ""
    for part in filter(None, parts):
        short = not any(line.startswith(("def ", "class ", "@")) for line in (*part.splitlines(), *before.splitlines()))
        text += ("" if not text else "\n\n" if short else "\n\n\n") + part
        before = part
    return text + "\n"


def _defined_by(node: _Node) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _names(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Every name that a statement reads, and the attribute that is taken from it there, if one is; also the names in
    annotations that are strings."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            yield inner.value.id, inner.attr
        elif isinstance(inner, ast.Name):
            yield inner.id, None
        for annotation in (getattr(inner, "annotation", None), getattr(inner, "returns", None)):
            for part in ast.walk(annotation) if annotation is not None else ():
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
                    yield part.value, None


def _names_when_read(node: _Node) -> Iterator[str]:
    """The names that are looked up while the file is read: bases, decorators, defaults, values, not bodies."""
    if isinstance(node, ast.FunctionDef):
        arguments = node.args
        parts = [*node.decorator_list, *arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
    elif isinstance(node, ast.ClassDef):
        inside = [name for inner in node.body for name in _names_when_read(inner)]
        yield from inside
        parts = [*node.bases, *(keyword.value for keyword in node.keywords), *node.decorator_list]
    else:
        value = getattr(node, "value", None)
        parts = [value] if value is not None else []
    for part in parts:
        for inner in ast.walk(part):
            if isinstance(inner, ast.Name):
                yield inner.id


def _without_marks(node: _Node) -> _Node:
    """A function without its decorators."""
    if not isinstance(node, ast.FunctionDef) or not node.decorator_list:
        return node
    bare = ast.FunctionDef(**{name: value for name, value in ast.iter_fields(node)})
    bare.decorator_list = []
    return ast.copy_location(bare, node)


def _in_order(needed: dict[str, dict[int, _Node]], modules: dict[str, Module]) -> list[str]:
    """Modules after those that they import."""
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in order or name in path:
            return
        for there, _ in (modules[name].imported.values() if name in modules else ()):
            visit(there, (*path, name))
        order.append(name)

    for name in needed:
        visit(name, ())
    return [name for name in order if name in needed]


def _renamed(text: str, names: dict[str, str]) -> str:
    """The text with these names, where they stand as names of their own, exchanged."""
    if not names:
        return text
    found = []
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in names and before != ".":
            found.append((token.start, token.string))
        before = token.string
    lines = text.splitlines()
    for (row, column), name in reversed(found):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + names[name] + line[column + len(name) :]
    return "\n".join(lines)


def _sorted_imports(imports: Iterator[str]) -> list[str]:
    """Imports as one would write them: those of one module in one line, plain ones first."""
    plain, by_module = set(), {}
    for line in imports:
        if line.startswith("from "):
            origin, _, name = line.removeprefix("from ").partition(" import ")
            by_module.setdefault(origin, set()).add(name)
        else:
            plain.add(line)
    chosen = [f"from {origin} import {', '.join(sorted(names))}" for origin, names in sorted(by_module.items())]
    return [*sorted(plain), *chosen]


@dataclass(frozen=True)
class Demonstration:
    """How an algorithm shows itself: on a problem that is made on the spot, see reference_impls/demo."""

    codes: list[str]
    function: str
    settings: str

    def call(self, options: dict[str, object]) -> str:
        """The line that runs it under these options; empty where the source tree has no demonstrations."""
        if len(self.codes) == 1:
            return ""
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
        return f"demonstrate({self.function}, {given!r}{self.settings})"


def demonstration(code: str, exporter: Exporter) -> Demonstration:
    if not exporter.source.has(f"{PROJECT}.demo.setting"):
        return Demonstration([code], code.partition(":")[2], "")
    kind, settings = contract_of(code, exporter)
    name = str(settings["target"] if kind == "inference" else kind)
    shown = sorted({"slot", "student", "text"} & settings.keys())
    extra = "".join(f", {key}={settings[key]!r}" for key in shown)
    return Demonstration([code, f"{PROJECT}.demo.{name}:demonstrate"], code.partition(":")[2], extra)


def algorithm_file(code: str, options: dict[str, object], exporter: Exporter, *, name: str = "") -> str:
    """One algorithm as a file that shows itself when it is run.

    options: those under which it is called. name: of the algorithm; then a comment above everything says where the file
    is from and what it needs. Raises as `Exporter.sections` does.
    """
    shown = demonstration(code, exporter)
    call = shown.call(options)
    footer = f'if __name__ == "__main__":\n    {call}' if call else ""
    text = exporter.file(shown.codes, footer=footer)
    if not name:
        return text
    module = code.partition(":")[0].rpartition(".")[2]
    needed = " ".join(exporter.packages(shown.codes))
    return (
        f"# {name}, from Compression Zoo (Apache-2.0): one file with all that it uses of the project.\n"
        f"# Python 3.11 or later; pip install {needed}; python {module}.py\n\n\n{text}"
    )


def _imported_by(node: ast.stmt) -> set[str]:
    """The packages that an import statement names."""
    if isinstance(node, ast.Import):
        return {item.name.partition(".")[0] for item in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {(node.module or "").partition(".")[0]}
    return set()


def _distributions(imported: set[str]) -> list[str]:
    return sorted(DISTRIBUTIONS.get(name, name) for name in imported - sys.stdlib_module_names)


def contract_of(code: str, exporter: Exporter) -> tuple[str | None, dict[str, object]]:
    """The contract of a function as its decorator says: its name, and the settings given to it as literals."""
    module, _, name = code.partition(":")
    kind = exporter.source.function(code).contract
    for decorator in getattr(exporter.module(module).defined[name], "decorator_list", []):
        if isinstance(decorator, ast.Call):
            return kind, {k.arg: k.value.value for k in decorator.keywords if isinstance(k.value, ast.Constant)}
    return kind, {}
