"""The shape of everything in the catalog: one set of pydantic models, from which all else is made.

The reader checks files against them, `catalog/schema/` is generated from them for editors, `compzoo new` writes its
form from them, and the site takes the meaning of each field from their descriptions. Facet values are data
(`vocabulary.yml`), so a field names its vocabulary with `Term` and the values are looked up when a file is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from catalog.problems import listed, nearest


class Strict(BaseModel):
    """No conversions, no unknown keys, no changes afterwards."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def fault(message: str, expected: str, close: str | None = None, key: str = "") -> PydanticCustomError:
    """An error that carries to the report what was expected, the nearest right spelling, and the key below this one."""
    context = {"message": message, "expected": expected, "nearest": close, "key": key}
    return PydanticCustomError("fault", "{message}", context)


class Term:
    """Marks a text whose values are those of one facet of vocabulary.yml."""

    def __init__(self, facet: str):
        self.facet = facet

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"x-vocabulary": self.facet}

    def _check(self, value: str, info: ValidationInfo) -> str:
        facet = (info.context or {}).get("vocabulary", {}).get(self.facet)  # a facet that is missing is reported once
        if facet is not None and value not in facet.values:
            raise fault("not a value of this field", listed(facet.values), nearest(value, facet.values))
        return value


class OptionValues:
    """Marks a value that an option may have: text, number, true or false, null, or a list of texts."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._check, serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": ["string", "number", "boolean", "null"]},
                          {"type": "array", "items": {"type": "string"}}]}

    @staticmethod
    def _check(value: Any) -> Any:
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise fault("not a value of an option", "text, a number, true, false, null or a list of texts")


class NumberValue:
    """Marks a number that keeps its kind: 4 stays a whole number, 4.5 a fraction."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._check, serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "number"}

    @staticmethod
    def _check(value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value - value != 0:
            raise fault("not a number", "a number, without quotes")
        return value


Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
Number = Annotated[int | float, NumberValue()]
OptionValue = Annotated[Any, OptionValues()]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z]+[0-9]{4}[a-z0-9]*$")]
Node = Annotated[str, StringConstraints(pattern=r"^[a-z-]+/[a-z-]+$")]
Label = Annotated[str, StringConstraints(pattern=r"^eq-[a-z0-9]+(-[a-z0-9]+)*$")]
Month = Annotated[str, StringConstraints(pattern=r"^(19|20)[0-9]{2}(-(0[1-9]|1[0-2]))?$")]
OptionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]

# What a text of each form has to look like, for people.
FORMS: dict[str, str] = {
    r"\S": "text that is not blank",
    r"^[a-z0-9]+(-[a-z0-9]+)*$": "an id: small letters and digits, words joined by hyphens",
    r"^[a-z]+[0-9]{4}[a-z0-9]*$": "a key of references.bib, such as frantar2023optq",
    r"^[a-z-]+/[a-z-]+$": "a node of taxonomy.yml, family/group",
    r"^eq-[a-z0-9]+(-[a-z0-9]+)*$": "a label that begins with eq-, such as eq-update",
    r"^(19|20)[0-9]{2}(-(0[1-9]|1[0-2]))?$": 'a year or a month in quotes, "2022" or "2022-10"',
    r"^[a-z][a-z0-9_]*$": "the name of an option of the function in `code`",
    r"^reference_impls(\.[a-z][a-z0-9_]*)+:[a-z][a-z0-9_]*$": "package.module:function under reference_impls",
    r"^[^/\s]+/[^/\s]+$": "owner/name of a public repository",
    r"^https://[^\s<>\"'\\]+$": "an address that begins with https://",
    r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$": "a day, year-month-day, such as 2026-11-21",
    r"^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$": "owner/name of a public repository",
    r"^[a-z][a-z0-9_]*[a-z0-9]$": "the name of a metric, as in catalog/measurements",
    r"^[0-9a-f]{7,40}$": "a commit, 7 to 40 digits and letters a to f",
    r"^[a-z0-9]+([.-][a-z0-9]+)*$": "an id: small letters and digits, words joined by hyphens or dots",
    r"^[a-z0-9_/.-]+\.py(::\w+)*$": "a path under tests/, such as tests/reference_impls/quantization/test_gptq.py",
}


class Source(Strict):
    """Where in which work something is said."""

    work: Key = Field(description="Key of the work in references.bib.")
    place: Text | None = Field(None, description="Section, table, figure, equation or page in it.")


class Claim(Strict):
    """A sentence with its witness. A plain text in the file stands for a claim without one."""

    text: Text = Field(description="The claim, in own words; Markdown with $math$ and [@key].")
    source: Source | None = Field(None, description="Where it is said.")
    checked: Annotated[str, Term("checked")] | None = Field(None, description="How the source was read.")
    measured: bool = Field(False, description="true if our own bench or tests show it.")

    @model_validator(mode="before")
    @classmethod
    def _plain_text(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _witness(self) -> Claim:
        if (self.source is None) != (self.checked is None):
            raise fault("`source` and `checked` belong together", "both or neither")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}


class Cost(Strict):
    """What compressing costs, as growth with the sizes of a layer or model."""

    time: Text | None = Field(None, description='For example "O(out * in^2) per layer".')
    memory: Text | None = Field(None, description='For example "one in x in matrix per layer".')


class Facts(Strict):
    """What a reader filters by. Every value comes from vocabulary.yml."""

    compresses: list[Annotated[str, Term("compresses")]] = Field(min_length=1, description="What becomes smaller.")
    stage: Annotated[str, Term("stage")] = Field(description="When the method does its own work.")
    data: Annotated[str, Term("data")] = Field(description="Which data it needs.")
    training: Annotated[str, Term("training")] = Field(description="How much training it needs.")
    uses_gradients: bool = Field(description="true if a backward pass is needed anywhere.")
    structure: Annotated[str, Term("structure")] = Field(description="The structure of what is removed.")
    granularity: list[Annotated[str, Term("granularity")]] = Field(
        min_length=1, description="The parts of a tensor or model that share one decision or one scale."
    )
    bits: dict[Annotated[str, Term("bits")], Annotated[list[Number], Field(min_length=1)]] | None = Field(
        None, description="Bit widths that the method is meant for, by what is quantized."
    )
    needs_for_speed: Annotated[str, Term("needs_for_speed")] = Field(
        description="What turns the smaller model into a faster one."
    )
    modality: Annotated[str, Term("modality")] = Field(description="Where it was shown.")
    model_kind: Annotated[str, Term("model_kind")] = Field(description="On which kind of model its paper shows it.")
    scale: Annotated[str, Term("scale")] = Field(description="On which size of model it was shown.")
    cost: Cost | None = Field(None, description="What compressing costs.")


class StorageVariant(Strict):
    """The same method under options that change what is stored, such as a pattern that hardware knows."""

    options: dict[OptionName, OptionValue] = Field(min_length=1, description="Options of the function in `code`.")
    bits_per_weight: Text = Field(description="Bits of a weight under these options; a formula as without them.")
    needs_for_speed: Annotated[str, Term("needs_for_speed")] | None = Field(
        None, description="What makes this variant faster, where it is another need than that of the entry."
    )


class StorageFormula(Strict):
    """What of a model the method leaves to be kept in memory, as formulas that tests compare with the bytes stored.

    Names in formulas: the options; of the model hidden, layers, heads, kv_heads, head_dim, intermediate; of a weight
    matrix rows, columns, and 1 or 0 for attention, query, key, value; of the cache tokens.
    """

    bits_per_weight: Text | None = Field(None, description="Bits of a weight of the linear layers in the blocks.")
    cache_bits: Text | None = Field(
        None, description="Bits that a layer keeps of a sequence of `tokens` tokens while generating, if not all."
    )
    score_values: Text | None = Field(
        None, description="Attention scores of a layer that exist at once for a sequence of `tokens` tokens."
    )
    settings: dict[OptionName, Annotated[list[OptionValue], Field(min_length=1)]] = Field(
        default_factory=dict, description="Options with the values to choose from; without it the sweep."
    )
    variants: list[StorageVariant] = Field(default_factory=list, description="Options that change what is stored.")
    unchanged: Text | None = Field(None, description="Why nothing of the model is stored in less.")
    own_size: Text | None = Field(None, description="Why the size of the weights does not follow from the model's.")
    note: Text | None = Field(None, description="What the formulas leave out.")

    @model_validator(mode="after")
    def _says_something(self) -> StorageFormula:
        said = [self.bits_per_weight, self.unchanged, self.own_size]
        if sum(one is not None for one in said) > 1:
            raise fault("more than one of `bits_per_weight`, `unchanged` and `own_size`", "one of them")
        if not any(one is not None for one in (*said, self.cache_bits, self.score_values)):
            raise fault("nothing is said of what is stored", "a formula, `unchanged` or `own_size`",
                        key="bits_per_weight")
        if self.bits_per_weight is None and self.variants:
            raise fault("variants of a formula that is not there", "`bits_per_weight`", key="variants")
        return self


class RelationBase(Strict):
    """A typed link, declared once, on the later or narrower of the two."""

    type: str = Field(description="The kind of relation.")
    target: Text = Field(description="An entry id, or a key of references.bib for a work without an entry.")
    why: Text | None = Field(None, description="The reason, in a sentence or two.")

    @property
    def reason(self) -> str:
        """The sentence that explains the relation, whichever field holds it."""
        return self.why or getattr(self, "when", "")


class BuildsOn(RelationBase):
    """This method takes the other as its starting point. Always true, never a matter of taste."""

    type: Literal["builds_on"] = Field(description="The kind of relation.")
    why: Text = Field(description="What is taken over and what is new.")


class SpecialCaseOf(RelationBase):
    """Under a named setting one of the two methods becomes the other."""

    type: Literal["special_case_of"] = Field(description="The kind of relation.")
    when: Text = Field(description="The setting under which the two agree.")
    test: Text = Field(description="The test that shows it: path::function.")


class StacksWith(RelationBase):
    """Both can be applied to one model."""

    type: Literal["stacks_with"] = Field(description="The kind of relation.")
    order: Literal["before", "after", "either"] = Field(
        description="When this method is applied: before the other, after it, or either."
    )
    why: Text = Field(description="Why they combine.")


class AlternativeTo(RelationBase):
    """Both answer the same need; one chooses."""

    type: Literal["alternative_to"] = Field(description="The kind of relation.")
    why: Text = Field(description="What they share and where they differ.")


class ConflictsWith(RelationBase):
    """Using both makes no sense or does harm."""

    type: Literal["conflicts_with"] = Field(description="The kind of relation.")
    why: Text = Field(description="What goes wrong.")


class Supersedes(RelationBase):
    """The same authors or field have put this method in the place of the other."""

    type: Literal["supersedes"] = Field(description="The kind of relation.")
    why: Text = Field(description="In what respect.")


Relation = Annotated[
    BuildsOn | SpecialCaseOf | StacksWith | AlternativeTo | ConflictsWith | Supersedes, Field(discriminator="type")
]


class Baseline(Strict):
    """What the result is compared with: another entry under given options."""

    algorithm: Id = Field(description="Id of an entry.")
    options: dict[OptionName, OptionValue] = Field(default_factory=dict, description="Options of its function.")


class AlsoOn(Strict):
    """Another model on which the method is measured, and with what where that differs."""

    model: Literal["s", "s-outliers", "smollm2"] = Field(description="A bundled model, or the optional larger one.")
    options: dict[OptionName, OptionValue] = Field(
        default_factory=dict, description="Options that differ from the declared ones."
    )
    baseline_options: dict[OptionName, OptionValue] = Field(
        default_factory=dict, description="Options of the baseline that differ from the declared ones."
    )
    sweep: dict[OptionName, Annotated[list[OptionValue], Field(min_length=2)]] | None = Field(
        None, max_length=1, description="One option and its values; without it only one point is measured."
    )


class Reference(Strict):
    """The reference implementation: where it is, what it is called with, and how true it is."""

    code: Annotated[str, StringConstraints(pattern=r"^reference_impls(\.[a-z][a-z0-9_]*)+:[a-z][a-z0-9_]*$")] = Field(
        description="module:function."
    )
    contract: Annotated[str, Term("contract")] = Field(description="The kind of call; equals the function's decorator.")
    options: dict[OptionName, OptionValue] = Field(
        default_factory=dict, description="What the page shows and the bench runs."
    )
    sweep: dict[OptionName, Annotated[list[OptionValue], Field(min_length=2)]] | None = Field(
        None, max_length=1, description="One option and its values, measured and drawn as a curve."
    )
    model: Literal["s", "s-outliers", "digits"] | None = Field(
        None, description="The bundled model to measure on, where it is not the usual one of the method's kind."
    )
    also_on: list[AlsoOn] = Field(
        default_factory=list, description="Further models to measure on, each at most once."
    )
    baseline: Baseline | None = Field(description="What to compare with, or null where nothing fits.")
    tests: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_/.-]+\.py(::\w+)*$")] = Field(
        description="The file with the fidelity tests."
    )
    faithful: Text = Field(description="What of the paper the code follows.")
    leaves_out: Text | None = Field(None, description="What of the paper the code leaves out.")
    differs: list[Text] = Field(
        default_factory=list, description="Where the code departs from the paper or the authors' code."
    )
    shows: Text = Field(description="What the bench can and cannot show for this method, in one sentence.")


class Official(Strict):
    """The authors' own code."""

    repository: Annotated[str, StringConstraints(pattern=r"^[^/\s]+/[^/\s]+$")] = Field(
        description="owner/name on GitHub."
    )
    licence: Text | None = Field(None, description="SPDX name of the licence.")


class Library(Strict):
    """A package that offers the method."""

    name: Text = Field(description="Name of the package.")
    call: Text | None = Field(None, description="The class or function in it.")


class Software(Strict):
    """Where to get the method for real use."""

    official: Official | None = Field(None, description="The authors' own code.")
    libraries: list[Library] = Field(default_factory=list, description="Packages that offer the method.")


class Algorithm(Strict):
    """One algorithm: catalog/algorithms/<family>/<id>.yml."""

    name: Text = Field(description="What the field calls it.")
    aliases: list[Text] = Field(default_factory=list, description="Other names that people search for.")
    family: Node = Field(description="Its home in taxonomy.yml.")
    also_in: list[Node] = Field(default_factory=list, description="Further homes.")
    paper: Key | None = Field(description="Key of the defining paper in references.bib; null where there is none.")
    origin: Text | None = Field(None, description="Where the method comes from, if no paper defines it.")
    introduced: Month = Field(description="First public version, year or year-month, in quotes.")
    checked: Annotated[str, Term("checked")] = Field(description="How the entry as a whole was checked.")
    summary: Text = Field(description="What it does, in at most 60 words that stand alone.")
    plain: Text = Field(description="The same for a reader from another field, without jargon.")
    facts: Facts = Field(description="What a reader filters by.")
    storage: StorageFormula | None = Field(None, description="What of a model is kept in memory, as formulas.")
    idea: Text = Field(description="The idea; Markdown with $math$, [eq-label] and [@key].")
    equations: dict[Label, Text] = Field(
        default_factory=dict, description="Label to LaTeX. Each label stands again as [eq-label] in the code."
    )
    steps: list[Text] = Field(min_length=1, description="The algorithm, step by step; may cite [eq-label].")
    strengths: list[Claim] = Field(default_factory=list, description="What it is good at.")
    limits: list[Claim] = Field(default_factory=list, description="What it is not good at.")
    relations: list[Relation] = Field(default_factory=list, description="Typed links to other methods.")
    reference: Reference = Field(description="The reference implementation.")
    software: Software | None = Field(None, description="Where to get the method for real use.")
    further_reading: list[Key] = Field(default_factory=list, description="Keys of references.bib.")

    # Not in the file: the reader sets them.
    id: Id = Field("", validate_default=False, description="The file name without .yml.")
    file: str = Field("", description="Path of the file in the repository.")

    @property
    def home(self) -> str:
        """The first part of `family`."""
        return self.family.partition("/")[0]

    @property
    def names(self) -> list[str]:
        return [self.name, *self.aliases]

    @model_validator(mode="after")
    def _from_somewhere(self) -> Algorithm:
        if self.paper is None and self.origin is None:
            expected = "`paper: <key>`, or `paper: null` with `origin: <a sentence>`"
            raise fault("neither a paper nor an origin", expected, key="paper")
        return self


COMPUTED = ("id", "file")  # fields of Algorithm that no file may hold


class Facet(Strict):
    """A field with a fixed set of values."""

    meaning: Text = Field(description="What the field says.")
    values: dict[Annotated[str, StringConstraints(pattern=r"\S")], Text] = Field(
        min_length=1, description="Each value and what it means, in a line."
    )
    also_called: dict[str, list[Text]] = Field(
        default_factory=dict, description="What the field also calls a value: value to names. Searched."
    )

    @model_validator(mode="after")
    def _names_of_values(self) -> Facet:
        for value in self.also_called:
            if value not in self.values:
                raise fault("names of a value that is not there", listed(self.values), nearest(value, self.values),
                            key="also_called")
        return self


class Neighbour(Strict):
    """Where a work goes that looks as if it belonged to a group and does not."""

    when: Text = Field(description="What is different about the work.")
    node: Text = Field(description="Where it goes: `family/group` or `family`.")


ALSO_CALLED = "What the field also calls it or its parts, the commonest first. Shown and searched."


class Group(Strict):
    """A mechanism within a family."""

    name: Text = Field(description="As it stands on the page.")
    also_called: list[Text] = Field(default_factory=list, description=ALSO_CALLED)
    definition: Text = Field(description="What is done.")
    in_if: Text = Field(description="The test that decides membership.")
    neighbours: list[Neighbour] = Field(default_factory=list, description="What takes the rest.")
    examples: list[Key] = Field(min_length=1, description="Works that show what is meant; keys of references.bib.")
    surveys: dict[Text, list[Text]] = Field(
        default_factory=dict, description="What each survey calls it: survey to section names."
    )


class Family(Strict):
    """A kind of compression."""

    name: Text = Field(description="As it stands on the page.")
    also_called: list[Text] = Field(default_factory=list, description=ALSO_CALLED)
    tagline: Text = Field(description="The kind in a few words.")
    definition: Text = Field(description="What is done.")
    not_here: Text | None = Field(None, description="What looks alike and belongs elsewhere.")
    order: Text | None = Field(None, description="The questions that find the group, in their order.")
    groups: dict[Annotated[str, StringConstraints(pattern=r"^[a-z-]+$")], Group] = Field(min_length=1)


class Taxonomy(Strict):
    """Our tree: family -> group."""

    families: dict[Annotated[str, StringConstraints(pattern=r"^[a-z-]+$")], Family] = Field(min_length=1)

    def nodes(self) -> list[str]:
        """Every `family/group`, in the order of the file."""
        return [f"{name}/{group}" for name, family in self.families.items() for group in family.groups]

    def group(self, node: str) -> Group:
        """The group of `family/group`; KeyError where there is none."""
        family, _, group = node.partition("/")
        return self.families[family].groups[group]


class Leaf(Strict):
    """A work at its place in a survey."""

    work: Key = Field(description="Key of references.bib.")
    depth: Annotated[str, Term("depth")] = Field(description="How much the survey says about it.")
    read: Annotated[str, Term("read")] = Field(description="How we know that it is there.")
    says: Text | None = Field(None, description="What the survey says it is, in our words.")


class Section(Strict):
    """A node of a survey's own tree."""

    title: Text = Field(description="As the survey has it.")
    family: Text | None = Field(
        None, description="The family of ours that it means, also for the sections inside it that name no other."
    )
    note: Text | None = Field(None, description="What to know about it.")
    works: list[Leaf] = Field(default_factory=list)
    sections: list[Section] = Field(default_factory=list)

    def leaves(self) -> list[Leaf]:
        """All works here and below, in order."""
        return self.works + [leaf for section in self.sections for leaf in section.leaves()]


class Seen(Strict):
    """How something that a survey says is known. What is only recalled has no place here."""

    read: Annotated[str, Term("read")] = Field(description="How it is known that the survey says so.")
    place: Text | None = Field(None, description="Section, table or figure of the survey.")
    witness: Text | None = Field(None, description="The text about the survey in which it was seen, if not in itself.")

    @model_validator(mode="after")
    def _seen_somewhere(self) -> Seen:
        if self.read == "recalled":
            raise fault("recalled only", "full text, or secondary with its `witness`", key="read")
        if (self.read == "secondary") != (self.witness is not None):
            raise fault("`witness` and `read: secondary` belong together", "both or neither", key="witness")
        return self


class Remark(Seen):
    """Something that a survey says or is, in our words."""

    text: Text = Field(description="Markdown with $math$ and [@key].")


class Representatives(Seen):
    """The works that a survey tells as examples of a class."""

    of: Text = Field(description="The class, in the survey's terms.")
    works: list[Key] = Field(min_length=1, description="Keys of references.bib, in the survey's order.")
    why: Text | None = Field(None, description="By what the survey singles them out.")


class Measure(Seen):
    """A metric or data set by which a survey evaluates or tells others to."""

    name: Text = Field(description="As the survey has it.")
    kind: Literal["metric", "data set", "benchmark"] = Field(description="What it is.")
    works: list[Key] = Field(default_factory=list, description="Keys of references.bib that define it.")
    says: Text | None = Field(None, description="What the survey says about it, in our words.")


class SurveyTable(Seen):
    """A table of a survey: what one could look up there."""

    name: Text = Field(description="Its number, such as Table 2.")
    of: Text = Field(description="What its rows are.")
    columns: list[Text] = Field(default_factory=list, description="What each row says.")
    rows: Annotated[int, Field(ge=1)] | None = Field(None, description="How many rows it has, where it was counted.")
    says: Text | None = Field(None, description="What to know before using it.")


class Survey(Strict):
    """How one survey files the field: catalog/surveys/<key>.yml."""

    work: Key = Field(description="Key of the survey in references.bib.")
    name: Text = Field(description="Short name, such as Wang et al. 2024.")
    read: Text = Field(description="How far the survey was read, and what that means for the leaves.")
    editions: list[Remark] = Field(default_factory=list, description="Its versions and their size.")
    special: list[Remark] = Field(min_length=1, description="What is special about it.")
    concepts: list[Remark] = Field(default_factory=list, description="The terms that it defines and files by.")
    representatives: list[Representatives] = Field(default_factory=list, description="The works it tells at length.")
    desired_properties: list[Remark] = Field(default_factory=list, description="What it wants of a good method.")
    metrics: list[Measure] = Field(default_factory=list, description="By what it evaluates.")
    tables: list[SurveyTable] = Field(default_factory=list, description="Its tables.")
    open_problems: list[Remark] = Field(default_factory=list, description="What it says is still to be done.")
    slips: list[Remark] = Field(default_factory=list, description="Slips in it that a reader should know.")
    sections: list[Section] = Field(min_length=1, description="Its own tree.")

    key: str = Field("", description="The file name without .yml.")
    file: str = Field("", description="Path of the file in the repository.")

    def leaves(self) -> list[tuple[tuple[str, ...], Leaf]]:
        """Every leaf with the titles that lead to it."""
        return [(tuple(section.title for section in way), leaf) for way, leaf in self.places()]

    def places(self) -> list[tuple[tuple[Section, ...], Leaf]]:
        """Every leaf with the sections that lead to it, outermost first."""
        found: list[tuple[tuple[Section, ...], Leaf]] = []

        def walk(section: Section, way: tuple[Section, ...]) -> None:
            way = (*way, section)
            found.extend((way, leaf) for leaf in section.works)
            for inner in section.sections:
                walk(inner, way)

        for section in self.sections:
            walk(section, ())
        return found


class FurtherCitations(Strict):
    """Works that a second witness adds to a citation list; each edge keeps the witness that it came from."""

    witness: Text = Field(description="Where these were read.")
    cited: list[Key] = Field(min_length=1, description="Keys of references.bib, sorted; none that stands further up.")


class CitationList(Strict):
    """The works of references.bib that one work's own reference list names."""

    witness: Text = Field(description="Where the list was read.")
    complete: bool = Field(description="true if the whole list was seen, so that a missing edge means something.")
    cited: list[Key] = Field(description="Keys of references.bib, sorted. Empty only where the list was seen whole.")
    also: list[FurtherCitations] = Field(default_factory=list, description="What other witnesses add to it.")

    @property
    def all_cited(self) -> list[Key]:
        """The works that any witness names, sorted."""
        return sorted({*self.cited, *(key for part in self.also for key in part.cited)})
