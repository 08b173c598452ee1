"""The form of a new entry, and the list of its fields, both made from the model and the vocabulary."""

from __future__ import annotations

import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from catalog.bibliography import Work
from catalog.model import COMPUTED, Algorithm, Claim, Facet, Term, Text

WIDTH = 118


@dataclass(frozen=True)
class FieldInfo:
    """One field of an entry: where it stands, whether it must, what it holds, what it says, and its values if fixed."""

    path: tuple[str, ...]
    required: bool
    kind: str
    description: str
    values: dict[str, str]

    @property
    def name(self) -> str:
        return ".".join(self.path).replace(".[]", "[]")


def fields(
    vocabulary: dict[str, Facet], model: type[BaseModel] = Algorithm, path: tuple[str, ...] = ()
) -> Iterator[FieldInfo]:
    """Every field of an entry, outer before inner, in the order of the form. A list item's fields stand under `[]`."""
    for name, info in model.model_fields.items():
        if model is Algorithm and name in COMPUTED:
            continue
        place = (*path, name)
        shape = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        facet = _facet(shape)
        yield FieldInfo(place, info.is_required(), _kind(shape), info.description or "",
                        dict(vocabulary[facet].values) if facet else _literals(shape))
        inner, many = _models(shape)
        for part in inner:
            place_of = (*place, "[]") if many else place
            label = (_tag(part),) if len(inner) > 1 else ()
            yield from fields(vocabulary, part, (*place_of, *label))


def skeleton(identifier: str, node: str, vocabulary: dict[str, Facet], work: Work | None = None) -> str:
    """The text of a new entry: every field with what it says, required ones empty, optional ones commented out.

    It does not validate before it is filled in, so that nothing half-written is ever built.
    """
    known: dict[str, str] = {"family": node}
    if work is not None:
        known |= {"name": _scalar(work.name), "paper": work.key}
        if work.aliases:
            known["aliases"] = f"[{', '.join(_scalar(alias, flow=True) for alias in work.aliases)}]"
        if work.first_public:
            known["introduced"] = f'"{work.first_public}"'
    lines = [
        "# yaml-language-server: $schema=../../schema/algorithm.schema.json",
        f"# {identifier}: fill in what has no value; delete the comments and what you do not need.",
        "# A line that begins with `# ` and a key is optional. `compzoo validate` says what is still missing.",
    ]
    lines += _form(Algorithm, vocabulary, known)
    return "\n".join(lines) + "\n"


def _form(model: type[BaseModel], vocabulary: dict[str, Facet], known: dict[str, str]) -> list[str]:
    """The lines of a mapping. A key without a comment sign has to be filled in; the others are examples."""
    lines: list[str] = []
    top = model is Algorithm
    for name, info in model.model_fields.items():
        if top and name in COMPUTED:
            continue
        shape = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        mark = "" if info.is_required() or name in known else "# "
        facet = _facet(shape)
        values = vocabulary[facet].values if facet else _literals(shape)
        about = " ".join([info.description or "", " | ".join(values)]).strip()
        if top:
            lines.append("")
        lines += [f"# {line}" for line in textwrap.wrap(about, WIDTH - 8, break_on_hyphens=False)]
        inner, many = _models(shape)
        if name in known:
            lines.append(f"{name}: {known[name]}")
        elif not inner:
            lines.append(f"{mark}{name}: {_empty(shape)}".rstrip())
        else:
            body: list[str] = []
            if Claim in inner:
                lines.append("# Without `source` and `checked` a plain text is enough.")
            for part in inner:
                form = _form(part, vocabulary, {"type": _tag(part)} if len(inner) > 1 else {})
                body += _item(form) if many else form
            if not mark and _optional(shape):  # required, and null is an answer
                lines.append(f"{name}: null")
                lines += [f"# {line}" for line in (f"{name}:", *(f"  {line}" for line in body))]
            else:
                lines += [f"{mark}{line}" for line in (f"{name}:", *(f"  {line}" for line in body))]
    return lines


def _item(body: list[str]) -> list[str]:
    """The lines of a mapping as one item of a list: keys only, so that the dash stands before one."""
    keys = [line.removeprefix("# ") for line in body if not _is_remark(line)]
    return [f"{'- ' if place == 0 else '  '}{line}" for place, line in enumerate(keys)]


def _optional(shape: Any) -> bool:
    if get_origin(shape) is Annotated:
        shape = get_args(shape)[0]
    return type(None) in get_args(shape)


def _is_remark(line: str) -> bool:
    text = line.removeprefix("# ")
    key, colon, _ = text.partition(":")
    return line.startswith("# ") and not text.startswith(" ") and not (colon and key.isidentifier())


def _empty(shape: Any) -> str:
    core = _core(shape)
    if get_origin(core) is list:
        return "[]"
    if get_origin(core) is dict:
        return "{}"
    return ""


def _core(shape: Any) -> Any:
    while True:
        if get_origin(shape) is Annotated:
            shape = get_args(shape)[0]
        elif get_origin(shape) in (typing.Union, types.UnionType):
            parts = [part for part in get_args(shape) if part is not type(None)]
            if len(parts) > 1:
                return shape
            shape = parts[0]
        else:
            return shape


def _models(shape: Any) -> tuple[list[type[BaseModel]], bool]:
    """The models inside an annotation, and whether they are items of a list."""
    core = _core(shape)
    many = False
    if get_origin(core) is list:
        core, many = _core(get_args(core)[0]), True
    parts = get_args(core) if get_origin(core) in (typing.Union, types.UnionType) else (core,)
    return [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)], many


def _facet(shape: Any) -> str | None:
    """The facet of a field, of the items of a list, or of the keys of a mapping."""
    if get_origin(shape) is Annotated:
        for mark in get_args(shape)[1:]:
            if isinstance(mark, Term):
                return mark.facet
        return _facet(get_args(shape)[0])
    if get_origin(shape) in (list, dict, typing.Union, types.UnionType):
        return next((facet for facet in map(_facet, get_args(shape)) if facet), None)
    return None


def _literals(shape: Any) -> dict[str, str]:
    core = _core(shape)
    return {str(value): "" for value in get_args(core)} if get_origin(core) is typing.Literal else {}


def _kind(shape: Any) -> str:
    core = _core(shape)
    if get_origin(core) is list:
        return f"list of {_kind(get_args(core)[0])}"
    if get_origin(core) is dict:
        return "mapping"
    if core is bool:
        return "true or false"
    if get_origin(core) in (typing.Union, types.UnionType):
        parts = get_args(core)
        return "number" if set(parts) <= {int, float} else "one of several mappings"
    if isinstance(core, type) and issubclass(core, BaseModel):
        return "text or mapping" if core is Claim else "mapping"
    return "text" if core in (str, Text) or get_origin(core) is typing.Literal else "any value"


def _tag(model: type[BaseModel]) -> str:
    info = model.model_fields.get("type")
    return get_args(info.annotation)[0] if info is not None and info.default is PydanticUndefined else model.__name__


def _scalar(value: str, flow: bool = False) -> str:
    """A text as YAML: quoted where plain would mean something else."""
    special = ",[]{}" if flow else ""
    plain = (
        value.strip() == value and value
        and not any(mark in value for mark in (": ", " #", *special))
        and value[0] not in "-?:,[]{}#&*!|>'\"%@`0123456789" and not value.endswith(":")
        and value not in ("true", "false", "null")
    )  # fmt: skip
    return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
