"""Shapes of Transformers: which weight matrices a model has, from the few numbers that its config.json holds.

shapes.yml holds the numbers and the keys that name them, the architectures (formulas for the matrices of the blocks,
the embeddings and all the rest), well-known models with the place where their numbers were read, and hardware with
what it offers. Tests hold each architecture against the parameters of the model that `transformers` builds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from catalog.formula import Formula
from catalog.model import Id, Key, Number, OptionName, Strict, Term, Text, fault
from catalog.problems import Problem, listed, nearest, shown

if TYPE_CHECKING:
    from catalog.loading import Catalog

FILE = "shapes.yml"
# What the formulas of entries may use of a model; every architecture has these numbers.
COMMON = ("hidden", "layers", "heads", "kv_heads", "head_dim", "intermediate")
ROLES = ("query", "key", "value", "output", "gate", "up", "down")
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,40}$")]


class NumberKind(Strict):
    """One number of a model, and the keys under which a config.json may hold it."""

    meaning: Text = Field(description="What the number counts, in a few words.")
    keys: list[Text] = Field(min_length=1, description="Keys of config.json; the first that is there counts.")
    kind: Literal["number", "switch", "gate"] = Field(
        "number", description="number: a whole number; switch: true or false; gate: true, or a text with `gated`."
    )
    most: int = Field(1_000_000, ge=1, description="A larger value is refused.")
    least: int = Field(1, ge=0, description="A smaller value is refused.")


class Matrix(Strict):
    """A weight matrix of the blocks."""

    role: Literal["query", "key", "value", "output", "gate", "up", "down"] = Field(description="What it computes.")
    rows: Text = Field(description="Formula over the numbers: outputs.")
    columns: Text = Field(description="Formula over the numbers: inputs.")
    count: Text = Field("layers", description="Formula over the numbers: how many of it the model has.")


class Block(Strict):
    """How the blocks of an architecture are built."""

    matrices: list[Matrix] = Field(min_length=1, description="The linear layers of a block.")
    widest: Text = Field(
        description="Formula: values a token has at once where most are alive, beside the residual stream."
    )


class Architecture(Strict):
    """How the numbers of a config.json become a model."""

    name: Text = Field(description="As it stands on the page.")
    model_types: list[Text] = Field(min_length=1, description="Values of `model_type` that mean it.")
    kind: Annotated[str, Term("model_kind")] = Field(description="Decoder, encoder and so on.")
    block: Id = Field(description="A name under `blocks`.")
    numbers: dict[OptionName, Text | None] = Field(
        min_length=1, description="The numbers it takes; null: must be given; a formula: what holds without."
    )
    embeddings: Text = Field(description="Formula: numbers in the token table; 0 where there is none.")
    head: Text = Field("0", description="Formula: numbers in the output layer that are not shared.")
    rest: Text = Field(description="Formula: norms, biases, positions, routers, that is all other numbers.")
    cached_layers: Text = Field(description="Formula: layers that keep keys and values while generating; 0: none.")
    outputs: Text = Field("0", description="Formula: scores a sequence gets at its last position.")
    only: dict[Text, list[Any]] = Field(
        default_factory=dict, description="Keys that change the shape in a way not known here, with the values allowed."
    )
    note: Text | None = Field(None, description="What is counted and what is not.")


class Place(Strict):
    """Where the numbers of a model were read: a file of a public repository at a commit, or a work."""

    repository: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$")] | None = Field(None)
    commit: Commit | None = Field(None, description="The commit of the repository.")
    path: Text | None = Field(None, description="The file in it.")
    work: Key | None = Field(None, description="Instead of a file: key of references.bib.")
    place: Text = Field(description="Key, name, section or table in it.")

    @model_validator(mode="after")
    def _one(self) -> Place:
        parts = (self.repository, self.commit, self.path)
        if (self.work is None) == (self.repository is None) or any((p is None) != (parts[0] is None) for p in parts):
            raise fault("a place is a file or a work", "`repository`, `commit` and `path`, or `work`")
        return self

    @property
    def address(self) -> str:
        """The file on the web, at its commit."""
        return f"https://github.com/{self.repository}/blob/{self.commit}/{self.path}" if self.repository else ""


class Shape(Strict):
    """A well-known model."""

    name: Text = Field(description="As its makers write it.")
    aliases: list[Text] = Field(default_factory=list, description="Models of the same shape, other spellings.")
    architecture: Id = Field(description="A name under `architectures`.")
    numbers: dict[OptionName, int | bool] = Field(min_length=1, description="Its numbers; defaults may be left out.")
    sources: list[Place] = Field(min_length=1, description="Where the numbers were read.")


class Seen(Strict):
    """A page that says what hardware offers."""

    address: Annotated[str, StringConstraints(pattern=r"^https://[^\s<>\"'\\]+$")] = Field(description="The page.")
    seen: Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$")] = Field(description="The day.")
    says: Text = Field(description="What it says, in our words.")


class Hardware(Strict):
    """A kind of device and what it offers to a compressed model."""

    name: Text = Field(description="As it stands on the page.")
    offers: list[Annotated[str, Term("needs_for_speed")]] = Field(min_length=1, description="Needs that it meets.")
    formats: Text | None = Field(None, description="Which low-bit numbers it multiplies, where a page says so.")
    sources: list[Seen] = Field(default_factory=list, description="Pages that say so.")


class Shapes(Strict):
    """Everything in shapes.yml."""

    numbers: dict[OptionName, NumberKind] = Field(min_length=1, description="The numbers that formulas may use.")
    blocks: dict[Id, Block] = Field(min_length=1, description="How blocks are built.")
    architectures: dict[Id, Architecture] = Field(min_length=1, description="Architectures, by a short name.")
    models: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")], Shape] = Field(
        description="Well-known models, by a short name."
    )
    hardware: dict[Id, Hardware] = Field(default_factory=dict, description="Hardware, by a short name.")
    data_covers: dict[Annotated[str, Term("data")], list[Annotated[str, Term("data")]]] = Field(
        default_factory=dict, description="Which other kind of data one kind may stand in for."
    )
    number_of_bits: Number = Field(16, description="Bits of every number that no method touches.")

    def architecture_of(self, model_type: str) -> str | None:
        """The architecture that a `model_type` of config.json means."""
        return next((id for id, one in self.architectures.items() if model_type in one.model_types), None)


def complete(shapes: Shapes, architecture: str, given: Mapping[str, float]) -> dict[str, float]:
    """All numbers of a model: those given, and the defaults of its architecture for the others.

    Raises ValueError for a number that is missing and for a default that cannot be computed.
    """
    numbers: dict[str, float] = {}
    for name, default in shapes.architectures[architecture].numbers.items():
        if name in given:
            numbers[name] = int(given[name])
        elif default is None:
            raise ValueError(f"`{name}` is missing ({shapes.numbers[name].meaning})")
        else:
            numbers[name] = Formula(default)(numbers)
    return numbers


def shapes_are_complete(catalog: Catalog) -> Iterator[Problem]:
    """The rules of shapes.yml: formulas use what is there, models are complete, names are known."""
    shapes = catalog.shapes
    if shapes is None:
        return
    file = f"{catalog.root.name}/{FILE}"
    types: dict[str, str] = {}
    for id, one in shapes.architectures.items():
        path = ("architectures", id)
        for i, model_type in enumerate(one.model_types):
            if types.setdefault(model_type, id) != id:
                yield catalog.problem(file, (*path, "model_types", i), f"also a type of `{types[model_type]}`",
                                      value=shown(model_type), expected="a type that one architecture has")
        for name in one.numbers:
            if name not in shapes.numbers:
                yield catalog.problem(file, (*path, "numbers", name), "not under `numbers`", value=shown(name),
                                      expected=listed(shapes.numbers), nearest=nearest(name, shapes.numbers))
        for name in COMMON:
            if name not in one.numbers:
                yield catalog.problem(file, (*path, "numbers"), f"`{name}` is missing",
                                      expected="what the formulas of entries use: " + ", ".join(COMMON))
        if one.block not in shapes.blocks:
            yield catalog.problem(file, (*path, "block"), "no such block", value=shown(one.block),
                                  expected=listed(shapes.blocks), nearest=nearest(one.block, shapes.blocks))
            continue
        earlier: list[str] = []
        for name, default in one.numbers.items():
            if default is not None:
                yield from _formula(catalog, file, (*path, "numbers", name), default, earlier)
            earlier.append(name)
        for key in ("embeddings", "head", "rest", "cached_layers", "outputs"):
            yield from _formula(catalog, file, (*path, key), getattr(one, key), one.numbers)
        block = shapes.blocks[one.block]
        texts = [block.widest, *(text for m in block.matrices for text in (m.rows, m.columns, m.count))]
        for text in texts:
            yield from _formula(catalog, file, ("blocks", one.block), text, one.numbers)
    named: dict[str, str] = {}
    for id, shape in shapes.models.items():
        path = ("models", id)
        for name in (shape.name, *shape.aliases):
            if named.setdefault(name.casefold(), id) != id:
                yield catalog.problem(file, path, f"also a name of `{named[name.casefold()]}`", value=shown(name),
                                      expected="a name that one model has")
        for i, place in enumerate(shape.sources):
            if place.work is not None and place.work not in catalog.bibliography:
                yield catalog.problem(file, (*path, "sources", i, "work"), "no such work in references.bib",
                                      value=shown(place.work), expected="a key of references.bib",
                                      nearest=nearest(place.work, catalog.bibliography))
        if shape.architecture not in shapes.architectures:
            yield catalog.problem(file, (*path, "architecture"), "no such architecture",
                                  value=shown(shape.architecture), expected=listed(shapes.architectures),
                                  nearest=nearest(shape.architecture, shapes.architectures))
            continue
        known = shapes.architectures[shape.architecture].numbers
        for name in shape.numbers:
            if name not in known:
                yield catalog.problem(file, (*path, "numbers", name), "not a number of this architecture",
                                      value=shown(name), expected=listed(known), nearest=nearest(name, known))
        try:
            complete(shapes, shape.architecture, shape.numbers)
        except (ValueError, KeyError) as error:
            yield catalog.problem(file, (*path, "numbers"), str(error), expected="every number without a default")


def _formula(catalog: Catalog, file: str, path: tuple[str | int, ...], text: str, known: Any) -> Iterator[Problem]:
    try:
        formula = Formula(text)
    except ValueError as error:
        yield catalog.problem(file, path, str(error), value=shown(text), expected="a formula")
        return
    for name in sorted(formula.names - set(known)):
        yield catalog.problem(file, path, "an unknown name in the formula", value=shown(name),
                              expected=listed(sorted(known)), nearest=nearest(name, known))
