"""Editorial rules: what no schema can say. Each is a function from the catalog to its problems, in words for people.

A rule sees only what could be read; a file with problems of its own is left out, and its id still counts as known.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from catalog import glossary, kind_rules, shapes, storage, survey_rules
from catalog.bibliography import Work
from catalog.code import LABEL, CodeError, fits
from catalog.loading import ALGORITHMS, Catalog
from catalog.model import Algorithm, CitationList
from catalog.problems import Problem, listed, nearest, shown
from catalog.reader import KeyPath
from catalog.reported import RULES as REPORTED_RULES

SUMMARY_WORDS = 60
CITED = re.compile(r"\[@([^\]\s]+)\]")
SYMMETRIC = ("stacks_with", "alternative_to", "conflicts_with")
Rule = Callable[[Catalog], Iterable[Problem]]


def home(catalog: Catalog) -> Iterator[Problem]:
    """An entry lies in the folder of its family, and its homes are nodes of the taxonomy."""
    if catalog.taxonomy is None:
        return
    nodes = catalog.taxonomy.nodes()
    for entry in catalog.algorithms.values():
        folder = entry.file.split("/")[-2]
        if entry.home != folder:
            yield catalog.problem(
                entry.file, ("family",), "not the folder that the file lies in", value=shown(entry.family),
                expected=f"a node of `{folder}`, or the file in {ALGORITHMS}/{entry.home}/",
                nearest=nearest(entry.family, [node for node in nodes if node.startswith(f"{folder}/")]),
            )  # fmt: skip
        places = [(("family",), entry.family), *((("also_in", i), node) for i, node in enumerate(entry.also_in))]
        seen: set[str] = set()
        for path, node in places:
            if node not in nodes:
                yield catalog.problem(entry.file, path, "not a node of taxonomy.yml", value=shown(node),
                                      expected="family/group, as in taxonomy.yml", nearest=nearest(node, nodes))
            elif node in seen:
                yield catalog.problem(entry.file, path, "the node stands twice", value=shown(node),
                                      expected="each home once")
            seen.add(node)


def identifiers(catalog: Catalog) -> Iterator[Problem]:
    """File names are ids of the right form; retired ids are never used again and lead to a living one."""
    for file in catalog.documents:
        if f"/{ALGORITHMS}/" in file:
            name = file.rsplit("/", 1)[1].removesuffix(".yml")
            if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
                close = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
                yield catalog.problem(file, (), "the file name is no id", value=shown(name),
                                      expected="small letters and digits, words joined by hyphens", nearest=close)
    retired = f"{catalog.root.name}/retired.yml"
    for old, new in catalog.retired.items():
        if old in catalog.known_ids:
            yield catalog.problem(retired, (old,), "a retired id is in use again", value=shown(old),
                                  expected="an id that was never used; ids are not given twice")
        if new not in catalog.known_ids:
            yield catalog.problem(retired, (old,), "the redirect leads nowhere", value=shown(new),
                                  expected="the id of an entry", nearest=nearest(new, catalog.known_ids))


def one_name_one_entry(catalog: Catalog) -> Iterator[Problem]:
    """No two entries share a defining paper, a name, an alias or an id."""
    owner: dict[str, tuple[Algorithm, str]] = {}
    papers: dict[str, Algorithm] = {}
    for entry in catalog.algorithms.values():
        owner.setdefault(_plain_name(entry.id), (entry, "id"))
    for entry in catalog.algorithms.values():
        own: set[str] = set()
        names = [(("name",), entry.name), *((("aliases", i), alias) for i, alias in enumerate(entry.aliases))]
        for path, name in names:
            word = _plain_name(name)
            if word in own:
                yield catalog.problem(entry.file, path, "the name stands twice", value=shown(name),
                                      expected="each name once")
            own.add(word)
            other, what = owner.setdefault(word, (entry, "name"))
            if other.id != entry.id:
                yield catalog.problem(entry.file, path, f"also the {what} of the entry `{other.id}` ({other.file})",
                                      value=shown(name), expected="a name that one entry has")
        if entry.paper:
            other_entry = papers.setdefault(entry.paper, entry)
            if other_entry.id != entry.id:
                work = catalog.bibliography.get(entry.paper)
                arxiv = f" (arXiv {work.arxiv})" if work is not None and work.arxiv else ""
                yield catalog.problem(
                    entry.file, ("paper",), f"also the paper of the entry `{other_entry.id}` ({other_entry.file})",
                    value=shown(entry.paper) + arxiv, expected="one entry a paper",
                )  # fmt: skip


def one_record_one_work(catalog: Catalog) -> Iterator[Problem]:
    """No two records of the bibliography share an arXiv id, a DOI or a title."""
    for name, value_of in (
        ("eprint", lambda work: work.arxiv),
        ("doi", lambda work: work.doi and work.doi.lower()),
        ("title", lambda work: _plain_name(work.title)),
    ):
        first: dict[str, Work] = {}
        for work in catalog.bibliography.values():
            value = value_of(work)
            if not value:
                continue
            other = first.setdefault(value, work)
            if other is not work:
                yield Problem(
                    f"{catalog.root.name}/references.bib", work.line, f"{work.key}.{name}",
                    f"also the {name} of `{other.key}` (line {other.line})",
                    value=shown(work.fields.get(name, "")), expected="one record a work",
                )  # fmt: skip


def works_exist(catalog: Catalog) -> Iterator[Problem]:
    """Every key of a work that any file names is in references.bib."""
    for file, path, key in _keys_of_works(catalog):
        if key not in catalog.bibliography:
            yield catalog.problem(file, path, "no such work in references.bib", value=shown(key),
                                  expected="a key of references.bib", nearest=nearest(key, catalog.bibliography))


def _keys_of_works(catalog: Catalog) -> Iterator[tuple[str, KeyPath, str]]:
    for entry in catalog.algorithms.values():
        if entry.paper:
            yield entry.file, ("paper",), entry.paper
        for name in ("strengths", "limits"):
            for i, claim in enumerate(getattr(entry, name)):
                if claim.source:
                    yield entry.file, (name, i, "source", "work"), claim.source.work
        for i, key in enumerate(entry.further_reading):
            yield entry.file, ("further_reading", i), key
        for path, text in _prose(entry):
            for key in CITED.findall(text):
                yield entry.file, path, key.removeprefix("@")
    for survey in catalog.surveys.values():
        for path, key in survey_rules.keys(survey):
            yield survey.file, path, key
    if catalog.taxonomy is not None:
        for name, family in catalog.taxonomy.families.items():
            for group_name, group in family.groups.items():
                for i, key in enumerate(group.examples):
                    path = ("families", name, "groups", group_name, "examples", i)
                    yield f"{catalog.root.name}/taxonomy.yml", path, key
    file = f"{catalog.root.name}/citations.yml"
    for citing, record in catalog.citations.items():
        yield file, (citing,), citing
        for path, part in _citation_parts(record):
            for i, key in enumerate(part):
                yield file, (citing, *path, i), key


def _citation_parts(record: CitationList) -> Iterator[tuple[KeyPath, list[str]]]:
    """The list of each witness of a citing work, with its place."""
    yield ("cited",), record.cited
    for n, further in enumerate(record.also):
        yield ("also", n, "cited"), further.cited


def _prose(entry: Algorithm) -> Iterator[tuple[KeyPath, str]]:
    """Every field of an entry that is rendered as Markdown, with its place."""
    reference = entry.reference
    for name in ("summary", "plain", "idea", "origin"):
        if getattr(entry, name):
            yield (name,), getattr(entry, name)
    for i, step in enumerate(entry.steps):
        yield ("steps", i), step
    for name in ("strengths", "limits"):
        for i, claim in enumerate(getattr(entry, name)):
            yield (name, i), claim.text
    for i, relation in enumerate(entry.relations):
        yield ("relations", i), relation.reason
    for name in ("faithful", "leaves_out", "shows"):
        if getattr(reference, name):
            yield ("reference", name), getattr(reference, name)
    for i, text in enumerate(reference.differs):
        yield ("reference", "differs", i), text


def relations_lead_somewhere(catalog: Catalog) -> Iterator[Problem]:
    """A relation points to an entry, or to a work that has none; it is declared once and on one side."""
    declared: dict[tuple[str, str, str], str] = {}
    for entry in catalog.algorithms.values():
        for i, relation in enumerate(entry.relations):
            path, target = ("relations", i, "target"), relation.target
            if target == entry.id:
                yield catalog.problem(entry.file, path, "a relation to itself", value=shown(target),
                                      expected="another entry")
            elif target in catalog.bibliography and catalog.entry_about(target) is not None:
                yield catalog.problem(entry.file, path, "this work has an entry", value=shown(target),
                                      expected="the id of the entry", nearest=catalog.entry_about(target).id)
            elif target not in catalog.known_ids and target not in catalog.bibliography:
                names = [*catalog.known_ids, *catalog.bibliography]
                work = next((key for key, work in catalog.bibliography.items() if work.slug == target), None)
                yield catalog.problem(
                    entry.file, path, "the relation leads nowhere", value=shown(target),
                    expected="the id of an entry, or the key of a work without one",
                    nearest=catalog.retired.get(target) or work or nearest(target, names),
                )  # fmt: skip
            pair = (entry.id, target)
            link = (relation.type, *(sorted(pair) if relation.type in SYMMETRIC else pair))
            if link in declared:
                yield catalog.problem(entry.file, ("relations", i), "the relation is declared twice",
                                      value=f"{relation.type} {target}",
                                      expected=f"once (the other is in `{declared[link]}`); the way back is computed")
            declared.setdefault(link, entry.id)


def no_cycles(catalog: Catalog) -> Iterator[Problem]:
    """Nothing builds on itself, or supersedes itself, however long the way round."""
    for kind in ("builds_on", "supersedes"):
        edges = {
            entry.id: [
                (i, relation.target) for i, relation in enumerate(entry.relations)
                if relation.type == kind and relation.target in catalog.algorithms and relation.target != entry.id
            ]
            for entry in catalog.algorithms.values()
        }  # fmt: skip
        done: set[str] = set()
        for start in edges:
            if start in done:
                continue
            way, places = [start], [iter(edges[start])]
            while way:
                for i, target in places[-1]:
                    if target in way:
                        circle = [*way[way.index(target):], target]
                        entry = catalog.algorithms[way[-1]]
                        yield catalog.problem(entry.file, ("relations", i), f"{kind} runs in a circle",
                                              value=" -> ".join(circle), expected="a way that ends")
                    elif target not in done:
                        way.append(target)
                        places.append(iter(edges[target]))
                        break
                else:
                    done.add(way.pop())
                    places.pop()


def summary_stands_alone(catalog: Catalog) -> Iterator[Problem]:
    """The summary is short, has no reference to anything else, and ends as a sentence."""
    for entry in catalog.algorithms.values():
        words = len(entry.summary.split())
        if words > SUMMARY_WORDS:
            yield catalog.problem(entry.file, ("summary",), "the summary is too long", value=f"{words} words",
                                  expected=f"at most {SUMMARY_WORDS} words")
        for pattern, what in ((r"\[(?:@|eq-)[^\]]*\]", "a reference"), (r"\]\(|https?://", "a link"),
                              (r"\b(?:see|cf\.) (?:above|below|section|the idea)|\b(?:above|below)[.,;]", "a pointer")):
            found = re.search(pattern, entry.summary, re.IGNORECASE)
            if found:
                yield catalog.problem(entry.file, ("summary",), f"the summary contains {what}", value=shown(found[0]),
                                      expected="sentences that stand alone")
        if "\n\n" in entry.summary.strip() or not entry.summary.rstrip().endswith((".", "?", "!")):
            yield catalog.problem(entry.file, ("summary",), "the summary is not one paragraph of sentences",
                                  value=shown(entry.summary[-30:]), expected="one paragraph that ends with a full stop")


def equations_match_code(catalog: Catalog) -> Iterator[Problem]:
    """Each equation label stands in the code file, each label of the code in an entry, each mention in `equations`."""
    shown_by: dict[str, set[str]] = defaultdict(set)
    modules: dict[str, Algorithm] = {}
    for entry in catalog.algorithms.values():
        module = entry.reference.code.partition(":")[0]
        shown_by[module].update(entry.equations)
        modules.setdefault(module, entry)
        try:
            in_code = catalog.source.labels(module)
        except CodeError:
            in_code = None  # `code_resolves` reports it
        for label in entry.equations:
            if in_code is not None and label not in in_code:
                yield catalog.problem(entry.file, ("equations", label), "the label is not in the code",
                                      value=shown(label),
                                      expected=f"a comment with [{label}] in {_file_of(catalog, module)}",
                                      nearest=nearest(label, set(in_code) - set(entry.equations)))
        for path, text in _prose(entry):
            for label in LABEL.findall(text):
                if label not in entry.equations:
                    yield catalog.problem(entry.file, path, "no such equation in this entry", value=f"[{label}]",
                                          expected=listed(entry.equations), nearest=nearest(label, entry.equations))
    for module, entry in modules.items():
        try:
            in_code = catalog.source.labels(module)
        except CodeError:
            continue
        for label in sorted(set(in_code) - shown_by[module]):
            yield catalog.problem(entry.file, ("equations",), "the code names an equation that the entry lacks",
                                  value=f"[{label}] in {_file_of(catalog, module)}:{in_code[label]}",
                                  expected=f"`{label}` under `equations`", nearest=nearest(label, entry.equations))


def _file_of(catalog: Catalog, module: str) -> str:
    return catalog.source.path(module).relative_to(catalog.source.root).as_posix()


def code_resolves(catalog: Catalog) -> Iterator[Problem]:
    """The code path leads to a function with the declared contract, whose options are those that the entry names."""
    for entry in catalog.algorithms.values():
        reference = entry.reference
        try:
            function = catalog.source.function(reference.code)
        except CodeError as error:
            yield catalog.problem(entry.file, ("reference", "code"), str(error), value=shown(reference.code),
                                  expected="package.module:function that is there and imports",
                                  nearest=nearest(reference.code, [f"{known}:{reference.code.partition(':')[2]}"
                                                  if ":" not in known else known for known in error.known]))
            continue
        if function.contract != reference.contract:
            yield catalog.problem(entry.file, ("reference", "contract"), "not the contract of the code",
                                  value=shown(reference.contract),
                                  expected=f"{function.contract}, the decorator of {reference.code}",
                                  nearest=function.contract)
        yield from _options(catalog, entry, ("reference", "options"), reference.options, reference.code)
        for name, values in (reference.sweep or {}).items():
            for i, value in enumerate(values):
                yield from _options(catalog, entry, ("reference", "sweep"), {name: value}, reference.code, i)
        yield from _also_on(catalog, entry)
        if reference.baseline is not None:
            other = catalog.algorithms.get(reference.baseline.algorithm)
            if reference.baseline.algorithm not in catalog.known_ids:
                yield catalog.problem(entry.file, ("reference", "baseline", "algorithm"), "no such entry",
                                      value=shown(reference.baseline.algorithm), expected="the id of an entry",
                                      nearest=nearest(reference.baseline.algorithm, catalog.known_ids))
            elif other is not None:
                yield from _options(catalog, entry, ("reference", "baseline", "options"), reference.baseline.options,
                                    other.reference.code)


def _also_on(catalog: Catalog, entry: Algorithm) -> Iterator[Problem]:
    """Each further model stands once, and its options are those of the functions."""
    reference = entry.reference
    seen: set[str] = {reference.model or "s"}
    for i, other in enumerate(reference.also_on):
        path: KeyPath = ("reference", "also_on", i)
        if other.model in seen:
            yield catalog.problem(entry.file, (*path, "model"), "measured on this model already",
                                  value=shown(other.model), expected="another model, each once")
        seen.add(other.model)
        yield from _options(catalog, entry, (*path, "options"), other.options, reference.code)
        for name, values in (other.sweep or {}).items():
            for k, value in enumerate(values):
                yield from _options(catalog, entry, (*path, "sweep"), {name: value}, reference.code, k)
        baseline = catalog.algorithms.get(reference.baseline.algorithm) if reference.baseline else None
        if baseline is not None:
            yield from _options(catalog, entry, (*path, "baseline_options"), other.baseline_options,
                                baseline.reference.code)
        elif other.baseline_options and reference.baseline is None:
            yield catalog.problem(entry.file, (*path, "baseline_options"), "there is no baseline",
                                  expected="a `baseline`, or no `baseline_options`")


def _options(catalog: Catalog, entry: Algorithm, path: KeyPath, options: dict[str, Any], code: str,
             item: int | None = None, file: str | None = None) -> Iterator[Problem]:
    """The options are those of the function; `file` holds them, or else the entry's own file."""
    file = file or entry.file
    try:
        parameters = catalog.source.function(code).options
    except CodeError:
        return
    for name, value in options.items():
        place = (*path, name) if item is None else (*path, name, item)
        if name not in parameters:
            if not item:  # a sweep's name is reported once
                yield catalog.problem(file, (*path, name), "not an option of the function", value=shown(name),
                                      expected=f"{listed(parameters)} ({code})", nearest=nearest(name, parameters))
        elif not fits(value, parameters[name]):
            choices = [str(choice) for choice in parameters[name].choices]
            yield catalog.problem(file, place, f"not a value of the option `{name}`", value=shown(value),
                                  expected=listed(choices) if choices else parameters[name].annotation,
                                  nearest=nearest(value, choices) if choices else None)


def tests_exist(catalog: Catalog) -> Iterator[Problem]:
    """Every test that an entry names is there."""
    for entry in catalog.algorithms.values():
        places = [(("reference", "tests"), entry.reference.tests)]
        places += [
            (("relations", i, "test"), relation.test)
            for i, relation in enumerate(entry.relations) if relation.type == "special_case_of"
        ]  # fmt: skip
        for path, test in places:
            file, _, name = test.partition("::")
            known = catalog.source.tests(file)
            if known is None:
                files = [found.relative_to(catalog.source.root).as_posix()
                         for found in (catalog.source.root / "tests").glob("reference_impls/**/test_*.py")]
                yield catalog.problem(entry.file, path, "there is no such test file", value=shown(file),
                                      expected="a file under tests/", nearest=nearest(file, files))
            elif name and name.split("::")[-1] not in known:
                yield catalog.problem(entry.file, path, "there is no such test in the file", value=shown(name),
                                      expected=f"a test of {file}", nearest=nearest(name, known))


def facts_agree(catalog: Catalog) -> Iterator[Problem]:
    """Facts that contradict each other or the bibliography."""
    for entry in catalog.algorithms.values():
        facts = entry.facts
        if facts.training in ("light", "full") and not facts.uses_gradients and facts.stage != "inference-time":
            yield catalog.problem(entry.file, ("facts", "uses_gradients"), "training without gradients",
                                  value="false", expected=f"true, as `training` is {facts.training}")
        for name in ("compresses", "granularity"):
            values = getattr(facts, name)
            for i, value in enumerate(values):
                if value in values[:i]:
                    yield catalog.problem(entry.file, ("facts", name, i), "the value stands twice", value=shown(value),
                                          expected="each value once")
        if "not-applicable" in facts.granularity and len(facts.granularity) > 1:
            yield catalog.problem(entry.file, ("facts", "granularity"), "not-applicable beside other values",
                                  value=shown(facts.granularity), expected="either it or the others")
        work = catalog.paper_of(entry)
        if work is not None and 0 < work.year < int(entry.introduced[:4]):
            yield catalog.problem(entry.file, ("introduced",), "later than the paper", value=shown(entry.introduced),
                                  expected=f"at most {work.year}, the year of {work.key}")


def citation_lists(catalog: Catalog) -> Iterator[Problem]:
    """Citation lists are sorted, name nothing twice, and do not cite themselves."""
    file = f"{catalog.root.name}/citations.yml"
    for citing, record in catalog.citations.items():
        if not record.cited and not record.complete:
            yield catalog.problem(file, (citing, "cited"), "an empty list that was not seen whole",
                                  expected="at least one key, or `complete: true`")
        seen: set[str] = set()
        for path, part in _citation_parts(record):
            for i, key in enumerate(part):
                if key == citing:
                    yield catalog.problem(file, (citing, *path, i), "the work cites itself", value=shown(key),
                                          expected="other works")
                if i and key <= part[i - 1]:
                    yield catalog.problem(file, (citing, *path, i), "out of order or twice", value=shown(key),
                                          expected="keys in alphabetical order, each once")
                elif key in seen:
                    yield catalog.problem(file, (citing, *path, i), "another witness names it already",
                                          value=shown(key), expected="only what the lists above lack")
            seen.update(part)


def measurements_belong(catalog: Catalog) -> Iterator[Problem]:
    """Every measurement is of an entry and of the code that the entry names; one on another model is declared."""
    folder = f"{catalog.root.name}/measurements"
    found = [(f"{folder}/{name}.json", None, name, one) for name, one in catalog.measurements.items()]
    for model, by_name in catalog.measured_on.items():
        found += [(f"{folder}/{model}/{name}.json", model, name, one) for name, one in by_name.items()]
    for file, model, name, measurement in found:
        if name not in catalog.known_ids:
            yield Problem(file, 1, "algorithm", "no entry of this id", value=shown(name), expected="the id of an entry",
                          nearest=nearest(name, catalog.known_ids))
        entry = catalog.algorithms.get(name)
        if entry is not None and measurement.code != entry.reference.code:
            yield Problem(file, 1, "code", "not the code of the entry", value=shown(measurement.code),
                          expected=shown(entry.reference.code))
        measured_on = measurement.protocol.model
        if model is not None and measured_on != model:
            yield Problem(file, 1, "protocol.model", "not the name of the folder", value=shown(measured_on),
                          expected=shown(model))
        if entry is not None and model is not None and model not in {o.model for o in entry.reference.also_on}:
            yield Problem(file, 1, "protocol.model", "the entry does not name this model", value=shown(model),
                          expected=f"`also_on` of {entry.file} with this model")


def combinations_belong(catalog: Catalog) -> Iterator[Problem]:
    """The methods that are measured in pairs are entries, under options of their functions."""
    if catalog.combined is None:
        return
    file = f"{catalog.root.name}/combinations.yml"
    for name, part in catalog.combined.methods.items():
        if name not in catalog.known_ids:
            yield catalog.problem(file, ("methods", name), "no such entry", value=shown(name),
                                  expected="the id of an entry", nearest=nearest(name, catalog.known_ids))
        elif (entry := catalog.algorithms.get(name)) is not None:
            if entry.reference.contract not in ("layer", "model"):
                yield catalog.problem(file, ("methods", name), "not a method that can be combined",
                                      value=shown(entry.reference.contract), expected="a layer or a model method")
            yield from _options(catalog, entry, ("methods", name, "options"), part.options, entry.reference.code,
                                file=file)


def vocabulary_is_complete(catalog: Catalog) -> Iterator[Problem]:
    """The vocabulary has every facet that the model names."""
    from catalog.schema import terms

    file = f"{catalog.root.name}/vocabulary.yml"
    for name in sorted(terms() - set(catalog.vocabulary)) if catalog.vocabulary else ():
        yield catalog.problem(file, (), f"the facet `{name}` is missing", expected=f"`{name}` with its values")
    for name in sorted(set(catalog.vocabulary) - terms()):
        yield catalog.problem(file, (name,), "no field has this facet", value=shown(name),
                              expected=listed(sorted(terms())), nearest=nearest(name, terms()))


def neighbours_exist(catalog: Catalog) -> Iterator[Problem]:
    """A neighbour in the taxonomy is a node or a family of it."""
    if catalog.taxonomy is None:
        return
    nodes = [*catalog.taxonomy.families, *catalog.taxonomy.nodes()]
    for name, family in catalog.taxonomy.families.items():
        for group_name, group in family.groups.items():
            for i, neighbour in enumerate(group.neighbours):
                if neighbour.node not in nodes:
                    path = ("families", name, "groups", group_name, "neighbours", i, "node")
                    yield catalog.problem(f"{catalog.root.name}/taxonomy.yml", path, "not a node of the taxonomy",
                                          value=shown(neighbour.node), expected="family/group or a family",
                                          nearest=nearest(neighbour.node, nodes))


def one_name_one_node(catalog: Catalog) -> Iterator[Problem]:
    """What the taxonomy calls a family or a group, and what the field also calls it, leads to one of them; what it also
    calls a value of the vocabulary to one value of the field.
    """
    named: dict[str, str] = {}
    also: list[tuple[tuple[str | int, ...], str, str]] = []  # where a further name stands, the name, of what
    for home, family in (catalog.taxonomy.families if catalog.taxonomy else {}).items():
        named.setdefault(_plain_name(family.name), home)
        also += ((("families", home, "also_called", i), name, home) for i, name in enumerate(family.also_called))
        for key, group in family.groups.items():
            named.setdefault(_plain_name(group.name), f"{home}/{key}")
            also += ((("families", home, "groups", key, "also_called", i), name, f"{home}/{key}")
                     for i, name in enumerate(group.also_called))
    yield from _said_once(catalog, "taxonomy.yml", named, also)
    for facet, terms in catalog.vocabulary.items():
        yield from _said_once(
            catalog, "vocabulary.yml", {_plain_name(value): value for value in terms.values},
            [((facet, "also_called", value, i), name, value)
             for value, names in terms.also_called.items() for i, name in enumerate(names)],
        )  # fmt: skip


def _said_once(
    catalog: Catalog, file: str, named: dict[str, str], also: list[tuple[tuple[str | int, ...], str, str]]
) -> Iterator[Problem]:
    for path, name, of in also:
        other = named.setdefault(_plain_name(name), "")
        if other:
            yield catalog.problem(f"{catalog.root.name}/{file}", path, "the name stands twice" if other == of else
                                  f"`{other}` is called so as well", value=shown(name), expected="each name once")
        named[_plain_name(name)] = other or of


def _plain_name(name: str) -> str:
    """A name without case, spaces, hyphens and punctuation: `Llm-Pruner` and `LLM Pruner` are one name.

    Signs that tell names apart stay: `BERT*`, `Outlier Suppression+`, `LLM.int8()`.
    """
    return re.sub(r"[\s\-_:,;'\"’.]+", "", name.casefold())


RULES: tuple[Rule, ...] = (
    vocabulary_is_complete,
    neighbours_exist,
    one_name_one_node,
    identifiers,
    home,
    one_name_one_entry,
    one_record_one_work,
    works_exist,
    survey_rules.surveys_hold_together,
    relations_lead_somewhere,
    no_cycles,
    summary_stands_alone,
    facts_agree,
    code_resolves,
    equations_match_code,
    storage.storage_formulas,
    shapes.shapes_are_complete,
    tests_exist,
    citation_lists,
    measurements_belong,
    combinations_belong,
    *REPORTED_RULES,
    *kind_rules.RULES,
    *glossary.RULES,
)
