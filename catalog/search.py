"""What can be searched: every algorithm, family, group, survey, framework, benchmark, metric, paper, value of the
vocabulary and term of the glossary as a document of plain texts. How they are ranked stands in `ranking.py`.

The command line and the browser search the same documents with the same ranking.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from catalog.ranking import EVERYDAY, FIELDS, STOP, Hit, Index, stem, words
from catalog.terms import Term, key_terms
from catalog.texts import said_by_surveys, without_marks

if TYPE_CHECKING:
    from catalog.loading import Catalog
    from catalog.model import Algorithm, Work

__all__ = ["FIELDS", "Hit", "Index", "all_documents", "documents", "everything", "index", "search", "spread", "words"]

# How many words of an entry's long texts are searched: those that tell it from others. All of them would make what
# the browser loads three times as large.
KEPT = 9

# Of a byline with more than CROWD names (BLOOM has hundreds) only the first BYLINE are searched.
CROWD, BYLINE = 60, 12

# What a reader would say for a fact. Values that are not here are read as they are written.
PHRASES: dict[tuple[str, object], str] = {
    ("data", "none"): "no calibration data, data-free",
    ("data", "calibration"): "calibration data",
    ("data", "task-labels"): "labelled task data",
    ("training", "none"): "no training, without retraining",
    ("training", "light"): "light training",
    ("training", "full"): "full training, fine-tuning",
    ("uses_gradients", False): "no gradients",
    ("uses_gradients", True): "gradients",
    ("structure", "not-applicable"): "",
    ("needs_for_speed", "nothing"): "no special kernel, ordinary hardware",
    ("modality", "language"): "language model",
    ("modality", "vision"): "vision transformer",
    ("modality", "both"): "language model, vision transformer",
    ("model_kind", "any"): "",
    ("scale", "both"): "",
}
# What a reader would say for a family.
KINDS: dict[str, str] = {
    "quantization": "quantization",
    "pruning": "pruning",
    "distillation": "knowledge distillation",
    "low-rank": "low-rank factorization",
    "sharing": "parameter sharing",
    "experts": "mixture of experts",
    "adaptation": "parameter-efficient fine-tuning",
}

def all_documents(catalog: Catalog) -> list[dict[str, str]]:
    """One document for everything that has a page or a place on one: `id`, `kind`, and texts for some of FIELDS.

    `kind` and `id` together name a document. A work is found by the entry or survey that is about it, and is a document
    of its own only where none is.
    """
    found = [*_entries(catalog), *_taxonomy(catalog), *_surveys(catalog), *kind_documents(catalog),
             *_vocabulary(catalog), *_glossary(catalog), *work_documents(catalog)]  # fmt: skip
    _add_key_terms(found, catalog)
    _keep_telling_words(found)
    return [{name: text for name, text in document.items() if text} for document in found]


def documents(catalog: Catalog) -> list[dict[str, str]]:
    """The documents of the entries."""
    return [document for document in all_documents(catalog) if document["kind"] == "algorithm"]


def first_sentence(text: str) -> str:
    """The first sentence of a text, or all of it."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text, maxsplit=1)[0]


def family_names(work: Work) -> str:
    """The family names of a work's authors; of a crowd the first BYLINE."""
    return " ".join(person.family for person in work.authors[: BYLINE if len(work.authors) > CROWD else None])


def short(work: Work) -> str:
    """Frantar et al. 2023."""
    people = [f"{person.particle} {person.family}".strip() for person in work.authors[:2]]
    if len(work.authors) > 2 or (people and not work.authors_complete):
        return f"{people[0]} et al. {work.year}"
    return " ".join([*([" and ".join(people)] if people else []), str(work.year)])


def _add_key_terms(found: list[dict[str, str]], catalog: Catalog) -> None:
    """The key terms that the page of a document shows: of an entry, a family, a work."""
    terms = key_terms(catalog)
    for document in found:
        kind, identifier = document["kind"], document["id"]
        shown: list[Term] = []
        if kind == "algorithm":
            shown = terms.entries[identifier]
        elif kind == "family":
            shown = terms.families[identifier]
        elif kind == "survey":
            shown = terms.works[catalog.surveys[identifier].work]
        elif kind == "paper":
            shown = terms.works[identifier]
        document["terms"] = "; ".join(term.text for term in shown)


def _keep_telling_words(found: list[dict[str, str]]) -> None:
    """Puts in the place of each long text, `body`, its KEPT words that tell most: frequent in it, rare in the others,
    not among the document's further texts, and no everyday words.
    """
    texts = [words(document.get("body") or "") for document in found]
    spread_over = Counter(form for text in texts for form in {stem(word) for word in text})
    several = sum(1 for text in texts if text)
    for document, text in zip(found, texts, strict=True):
        if not text:
            continue
        rest = " ".join(value for name, value in document.items() if name in FIELDS and name != "body")
        known = {stem(word) for word in words(rest)}
        forms: dict[str, Counter[str]] = {}
        for word in text:
            form = stem(word)
            if len(word) > 2 and word not in STOP and not word.isdigit() and form not in known and form not in EVERYDAY:
                forms.setdefault(form, Counter())[word] += 1
        telling = {
            form: (1 - 0.5 / count.total()) * math.log(1 + several / spread_over[form]) for form, count in forms.items()
        }
        best = sorted(telling, key=lambda form: (-telling[form], form))[:KEPT]
        document["body"] = " ".join(sorted(min(forms[form], key=lambda w: (-forms[form][w], w)) for form in best))


def facts(entry: Algorithm) -> str:
    """The facts of an entry as the phrases that people search with."""
    found: list[str] = []
    for name, value in entry.facts:
        values = value if isinstance(value, list) else [value]
        if name in ("bits", "cost") or value is None:
            continue
        for item in values:
            phrase = PHRASES.get((name, item))
            if phrase is None:
                phrase = "" if item == "not-applicable" else str(item).replace("-", " ")
            found.append(phrase)
    found += [KINDS.get(node.partition("/")[0], "") for node in (entry.family, *entry.also_in)]
    bits = entry.facts.bits or {}
    found += sorted({f"{width}-bit" for widths in bits.values() for width in widths})
    if entry.home == "quantization":
        if {"weights", "activations"} <= set(entry.facts.compresses):
            found.append("weight and activation quantization")
        elif "weights" in entry.facts.compresses:
            found.append("weight-only")
        if entry.facts.stage == "post-training":
            found.append("post-training quantization")
    if "2:4" in str(entry.reference.model_dump()) or "n:m" in entry.idea.casefold():
        found.append("semi-structured")
    return "; ".join(dict.fromkeys(part for part in found if part))


def _entries(catalog: Catalog) -> list[dict[str, str]]:
    says = said_by_surveys(catalog)
    return [_document(catalog, entry, says.get(entry.paper or "", [])) for entry in catalog.algorithms.values()]


def _document(catalog: Catalog, entry: Algorithm, says: list[str]) -> dict[str, str]:
    work = catalog.paper_of(entry)
    family = []
    for node in (entry.family, *entry.also_in):
        home, _, group = node.partition("/")
        tree = catalog.taxonomy.families.get(home) if catalog.taxonomy else None
        if tree is not None and group in tree.groups:
            family += [tree.name, tree.groups[group].name]
    claims = [claim.text for claim in (*entry.strengths, *entry.limits)]
    summary = _plain(entry.summary)
    return {
        "id": entry.id,
        "kind": "algorithm",
        "name": entry.name,
        "aliases": _names(entry.name, [entry.id.replace("-", " "), *entry.aliases, *(work.aliases if work else [])]),
        "title": "; ".join([work.title, *work.other_titles]) if work else "",
        "facts": facts(entry),
        "family": "; ".join(dict.fromkeys(family)),
        "summary": first_sentence(summary),
        "authors": family_names(work) if work else "",
        "body": _plain(" ".join([summary.removeprefix(first_sentence(summary)), entry.plain, *entry.steps, *claims,
                                 entry.idea, *says])),
    }  # fmt: skip


def _taxonomy(catalog: Catalog) -> list[dict[str, str]]:
    """Families and their groups; a group also by what the surveys call it."""
    found = []
    for home, family in (catalog.taxonomy.families if catalog.taxonomy else {}).items():
        found.append({"id": home, "kind": "family", "name": family.name, "aliases": "; ".join(family.also_called),
                      "facts": KINDS.get(home, ""), "title": family.tagline, "summary": _plain(family.definition)})
        for name, group in family.groups.items():
            called = [re.sub(r"[\w.]*\d[\w.]*", "", section).strip()
                      for sections in group.surveys.values() for section in sections]
            found.append({
                "id": f"{home}/{name}", "kind": "group", "name": group.name, "aliases": "; ".join(group.also_called),
                "title": f"{group.name} {family.name.lower()}",
                "facts": "; ".join(dict.fromkeys(name for name in called if name)),
                "summary": _plain(group.definition), "body": _plain(group.in_if),
            })
    return found


def _surveys(catalog: Catalog) -> list[dict[str, str]]:
    found = []
    for key, survey in catalog.surveys.items():
        work = catalog.bibliography[survey.work]
        found.append({"id": key, "kind": "survey", "name": survey.name, "title": work.title, "summary": work.title,
                      "aliases": " ".join(work.aliases), "facts": "survey",
                      "authors": family_names(work)})
    return found


def _vocabulary(catalog: Catalog) -> list[dict[str, str]]:
    """The terms of the vocabulary: each value of each facet."""
    found = []
    for name, facet in catalog.vocabulary.items():
        spoken = name.replace("_", " ")
        for value, meaning in facet.values.items():
            plain = value.replace("-", " ")
            others = "; ".join(filter(None, [*PHRASES.get((name, value), "").split(", "),
                                             *facet.also_called.get(value, ())]))
            found.append({"id": f"{name}/{value}", "kind": "vocabulary", "name": f"{spoken.capitalize()}: {plain}",
                          "aliases": "; ".join(part for part in (
                              others, "" if value in ("none", "both", "any", "not-applicable") else plain) if part),
                          "summary": _plain(meaning)})
    return found


def _glossary(catalog: Catalog) -> list[dict[str, str]]:
    """The terms with a definition of their own; what others are the same as is found as itself."""
    return [
        {"id": identifier, "kind": "glossary", "name": term.name or "", "aliases": "; ".join(term.aliases),
         "summary": _plain(term.definition),
         "leads": "; ".join(page for page in term.see if not page.startswith("glossary "))}
        for identifier, term in catalog.glossary.items() if term.definition is not None
    ]  # fmt: skip


def _plain(text: str) -> str:
    return " ".join(without_marks(text).split())


def _names(name: str, others: list[str]) -> str:
    """Further names as one text, without those that are spelled like `name`; and the words that it is put together
    of.
    """
    seen = {"".join(words(name))}
    found = [other for other in others if (form := "".join(words(other))) not in seen and not seen.add(form)]
    apart = re.sub(r"(?<=[a-z]{3})(?=[A-Z][A-Za-z]{2})", " ", name)  # SmoothQuant is also Smooth and Quant
    return "; ".join([*([apart] if apart != name else []), *found])


def kind_documents(catalog: Catalog) -> list[dict[str, str]]:
    """One document a framework, benchmark and metric: as of an entry, with its `kind`."""
    says = said_by_surveys(catalog)
    return [
        _kind_document(catalog, kind, identifier, one, says.get(one.work or "", []))
        for kind, found in catalog.kinds().items() for identifier, one in found.items()
    ]  # fmt: skip


def _kind_document(catalog: Catalog, kind: str, identifier: str, one: Any, says: list[str]) -> dict[str, str]:
    work = catalog.bibliography.get(one.work) if one.work else None
    if kind == "framework":
        what, summary = " ".join(one.kind), one.does
        body = [one.compression or "", *(support.how for support in one.supports),
                *(getattr(catalog.target(support.algorithm), "name", "") for support in one.supports)]
    elif kind == "benchmark":
        what, summary, body = one.kind, one.measures, [one.task, one.beware or ""]
    else:
        what, summary, body = one.of, one.definition, [one.hides]
    return {
        "id": identifier,
        "kind": kind,
        "name": one.name,
        "aliases": _names(one.name, [identifier.replace("-", " "), *one.aliases]),
        "title": work.title if work else "",
        "facts": f"{'framework, library, tool' if kind == 'framework' else kind}; {what.replace('-', ' ')}",
        "summary": first_sentence(_plain(summary)),
        "authors": family_names(work) if work else "",
        "body": _plain(" ".join([summary, *body, *says])),
    }


def work_documents(catalog: Catalog) -> list[dict[str, str]]:
    """One document a work that no entry and no survey is about."""
    about = {entry.paper for entry in catalog.algorithms.values()} | {one.work for one in catalog.surveys.values()}
    says = said_by_surveys(catalog)
    return [
        {
            "id": key, "kind": "paper", "name": work.name, "aliases": _names(work.name, work.aliases),
            "title": "; ".join(title for title in (work.title, *work.other_titles) if title != work.name),
            "summary": f"{short(work)}. {work.venue}.",
            "authors": family_names(work),
            "body": _plain(" ".join(says.get(key, ()))),
        }
        for key, work in catalog.bibliography.items() if key not in about
    ]  # fmt: skip


def index(catalog: Catalog) -> Index:
    """The search index of a catalog."""
    return Index(documents(catalog), catalog.synonyms)


def search(catalog: Catalog, query: str, limit: int = 10) -> list[Hit]:
    """The entries that answer a query, best first."""
    return index(catalog).search(query, limit)


def everything(catalog: Catalog) -> Index:
    """The search index over all documents."""
    return Index(all_documents(catalog), catalog.synonyms)


def spread(groups: list[list[str]]) -> dict[str, list[str]]:
    """Groups of equals as a mapping from each phrase to the others."""
    return {phrase: [other for other in group if other != phrase] for group in groups for phrase in group}
