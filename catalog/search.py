"""Search over the entries: names, aliases, facts as phrases, families, titles, authors and text.

A phrase that has synonyms (`synonyms.yml`) counts as one word in the query and in the entries, so that `no calibration
data` does not find what needs calibration data, and `2:4` finds what is written `n:m`. Slips of the keyboard, swapped
letters among them, are forgiven. The browser searches the same documents with the same weights and synonyms; only in
the field `terms` it has an entry's key terms, which need scikit-learn, and the command line the text that holds them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

if TYPE_CHECKING:
    from catalog.loading import Catalog
    from catalog.model import Algorithm

# Field of a document and the weight of a hit in it.
FIELDS: dict[str, float] = {
    "name": 8, "aliases": 7, "title": 3, "facts": 2.5, "family": 2, "summary": 1.5, "authors": 4, "body": 0.6,
    "terms": 0.5,
}  # fmt: skip
PREFIX, SLIP, LOOSE = 0.6, 0.5, 0.25  # how much a beginning, a misspelling, a word of a phrase counts
PAPER = 0.8  # what a paper that no entry is about weighs, so that an entry that answers about as well comes first
ECHO = 0.25  # how much a hit in a further field adds
NOISE = 0.01  # hits below this share of the best one are left out
STOP = frozenset(
    "a an and are as at be by do does for from has have how i in into is it its me method methods model models of on "
    "or that the their this to use uses using via which with algorithm algorithms compress compression technique no "
    "without not".split()
)

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
_MARKS = str.maketrans({"*": None, "`": None, "_": " "})


@dataclass(frozen=True)
class Hit:
    """An entry that answers a search; higher scores answer better."""

    id: str
    name: str
    score: float


def words(text: str) -> list[str]:
    """The words of a text in their plain form: 4-bit and 4bit, 2:4 and 2 : 4, quantise and quantize are alike."""
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(char for char in text if not unicodedata.combining(char))
    text = re.sub(r"(\d)[\s-]*bits?\b", r"\1bit", text)
    text = re.sub(r"\b(\d+|n)\s*:\s*(\d+|m)\b", r"\1of\2", text)
    text = re.sub(r"is(e|ed|es|ing|ation|ations)\b", r"iz\1", text)
    text = re.sub(r"\bmodelling\b", "modeling", re.sub(r"\b(neighb|behavi|col)our", r"\1or", text))
    return re.findall(r"[a-z0-9]+", text)


def without_marks(text: str) -> str:
    """A text without its formulas, its references to equations and works, and the marks of Markdown."""
    text = re.sub(r"\$\$.+?\$\$|\$(?!\s)[^$\n]*?[^\s$]\$(?!\d)", " , ", text, flags=re.DOTALL)
    text = re.sub(r"\[(?:eq-|@)[^\]\n]*\]", " ", text)
    return re.sub(r"\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text).translate(_MARKS)


def documents(catalog: Catalog) -> list[dict[str, str]]:
    """One document an entry: its `id` and the text of each of FIELDS."""
    says = said_by_surveys(catalog)
    return [_document(catalog, entry, says.get(entry.paper or "", [])) for entry in catalog.algorithms.values()]


def said_by_surveys(catalog: Catalog) -> dict[str, list[str]]:
    """What the surveys say of a work, in our words; by key, without what was only recalled."""
    found: dict[str, list[str]] = {}
    for survey in catalog.surveys.values():
        for _, leaf in survey.leaves():
            if leaf.says and leaf.read != "recalled":
                found.setdefault(leaf.work, []).append(leaf.says)
    return found


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


def _document(catalog: Catalog, entry: Algorithm, says: list[str]) -> dict[str, str]:
    work = catalog.paper_of(entry)
    family = []
    for node in (entry.family, *entry.also_in):
        home, _, group = node.partition("/")
        tree = catalog.taxonomy.families.get(home) if catalog.taxonomy else None
        if tree is not None and group in tree.groups:
            family += [tree.name, tree.tagline, tree.groups[group].name]
    claims = [claim.text for claim in (*entry.strengths, *entry.limits)]
    return {
        "id": entry.id,
        "name": entry.name,
        "aliases": "; ".join([entry.id.replace("-", " "), *entry.aliases, *(work.aliases if work else [])]),
        "title": "; ".join([work.title, *work.other_titles]) if work else "",
        "facts": facts(entry),
        "family": "; ".join(dict.fromkeys(family)),
        "summary": entry.summary,
        "authors": " ".join(person.family for person in work.authors) if work else "",
        "body": " ".join([entry.plain, *entry.steps, *claims]),
        "terms": " ".join(without_marks(" ".join([entry.idea, *says])).split()),
    }


def kind_documents(catalog: Catalog) -> list[dict[str, str]]:
    """One document a framework, benchmark and metric: as of an entry, with its `kind`."""
    return [
        _kind_document(catalog, kind, identifier, one)
        for kind, found in catalog.kinds().items() for identifier, one in found.items()
    ]  # fmt: skip


def _kind_document(catalog: Catalog, kind: str, identifier: str, one: Any) -> dict[str, str]:
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
        "aliases": "; ".join([identifier.replace("-", " "), *one.aliases]),
        "title": work.title if work else "",
        "facts": f"{kind}; {what.replace('-', ' ')}",
        "family": "",
        "summary": without_marks(summary),
        "authors": " ".join(person.family for person in work.authors) if work else "",
        "body": without_marks(" ".join(body)),
    }


def work_documents(catalog: Catalog) -> list[dict[str, str]]:
    """One document a work that nothing else describes: no entry, framework, benchmark or metric is about it."""
    about = {entry.paper for entry in catalog.algorithms.values()}
    about |= {one.work for found in catalog.kinds().values() for one in found.values()}
    return [
        {
            "id": key, "kind": "paper", "name": work.name, "aliases": "; ".join(work.aliases),
            "title": "; ".join([work.title, *work.other_titles]), "summary": "",
            "authors": " ".join(person.family for person in work.authors),
        }
        for key, work in catalog.bibliography.items() if key not in about
    ]  # fmt: skip


class Index:
    """The entries of a catalog, ready to be searched."""

    def __init__(self, docs: list[dict[str, str]], synonyms: dict[str, list[str]]):
        self.names = {doc["id"]: doc["name"] for doc in docs}
        self._concepts: dict[tuple[str, ...], str] = {}
        for phrase, others in synonyms.items():
            meaning = "=" + " ".join(sorted(" ".join(words(word)) for word in (phrase, *others))[0].split())
            self._concepts[tuple(words(phrase))] = meaning
        self._longest = max((len(phrase) for phrase in self._concepts), default=1)
        self._weights: dict[str, dict[str, float]] = defaultdict(dict)  # term -> id -> weight
        for doc in docs:
            hits: dict[str, list[float]] = defaultdict(list)
            for field, weight in FIELDS.items():
                tokens = words(doc.get(field, ""))
                counts = Counter(tokens)
                counts.update(meaning for meaning, _, _ in self._phrases(tokens))
                length = 1 + math.log1p(len(tokens)) / 8
                for term, count in counts.items():
                    hits[term].append(weight * count / (count + 0.5) * 1.5 / length)
            share = PAPER if doc.get("kind") == "paper" else 1.0
            for term, values in hits.items():  # the best field counts in full, the others a little
                self._weights[term][doc["id"]] = share * (max(values) + ECHO * (sum(values) - max(values)))
        self._plain = [term for term in self._weights if not term.startswith("=")]

    def search(self, query: str, limit: int = 10) -> list[Hit]:
        """The entries that answer a query, best first; empty where nothing does."""
        tokens = words(query)
        units: list[list[tuple[str, float]]] = []
        place = 0
        phrases = {start: (meaning, length) for meaning, start, length in self._phrases(tokens)}
        while place < len(tokens):
            if place in phrases:
                meaning, length = phrases[place]
                unit = [(meaning, 1.0)] if meaning in self._weights else []
                spoken = [token for token in tokens[place : place + length] if token not in STOP]
                factor = LOOSE if unit else 1.0
                for token in spoken:
                    unit += [(term, factor * quality / len(spoken)) for term, quality in self._terms(token)]
                units.append(unit)
                place += length
                continue
            if tokens[place] not in STOP:
                units.append(self._terms(tokens[place]))
            place += 1
        if not units:
            units = [self._terms(token) for token in tokens]
        scores: dict[str, float] = defaultdict(float)
        answered: dict[str, float] = defaultdict(float)
        for unit in units:
            best: dict[str, tuple[float, float]] = {}
            for term, quality in unit:
                holders = self._weights[term]
                rarity = math.log(1 + (len(self.names) - len(holders) + 0.5) / (len(holders) + 0.5)) + 0.3
                for name, weight in holders.items():
                    score, fit = best.get(name, (0.0, 0.0))
                    best[name] = max(score, quality * weight * rarity), max(fit, quality)
            for name, (score, quality) in best.items():
                scores[name] += score
                answered[name] += quality
        ranked = [
            (score * (answered[name] / len(units)) ** 3, name) for name, score in scores.items()
        ]
        ranked.sort(key=lambda pair: (-pair[0], pair[1]))
        least = ranked[0][0] * NOISE if ranked else 0
        return [Hit(name, self.names[name], round(score, 3)) for score, name in ranked[:limit] if score > least]

    def _phrases(self, tokens: list[str]) -> list[tuple[str, int, int]]:
        """The meanings of phrases in a text, longest first and without overlaps: (meaning, start, length)."""
        found = []
        place = 0
        while place < len(tokens):
            for length in range(min(self._longest, len(tokens) - place), 0, -1):
                meaning = self._concepts.get(tuple(tokens[place : place + length]))
                if meaning is not None:
                    found.append((meaning, place, length))
                    place += length
                    break
            else:
                place += 1
        return found

    def _terms(self, token: str) -> list[tuple[str, float]]:
        """The terms of the index that a word of the query may mean, with how well each fits."""
        found: dict[str, float] = {}
        if token in self._weights:
            found[token] = 1.0
        if len(token) >= 2:
            for term in self._plain:
                if term.startswith(token) and term != token:
                    found[term] = PREFIX * (0.5 + 0.5 * len(token) / len(term))
        if len(token) >= 4 and token not in self._weights and not any(char.isdigit() for char in token):
            allowed = 1 if len(token) < 8 else 2
            slips = process.extract(
                token, self._plain, scorer=DamerauLevenshtein.distance, score_cutoff=allowed, limit=8
            )
            for term, distance, _ in slips:
                found[term] = max(found.get(term, 0.0), SLIP * (1 - 0.2 * (distance - 1)))
        return list(found.items())


def index(catalog: Catalog) -> Index:
    """The search index of a catalog."""
    return Index(documents(catalog), catalog.synonyms)


def search(catalog: Catalog, query: str, limit: int = 10) -> list[Hit]:
    """The entries that answer a query, best first."""
    return index(catalog).search(query, limit)


def everything(catalog: Catalog) -> Index:
    """The search index over algorithms, frameworks, benchmarks, metrics, and papers that none of them is about."""
    further = [document for document in kind_documents(catalog) if document["id"] not in catalog.algorithms]
    return Index([*documents(catalog), *further, *work_documents(catalog)], catalog.synonyms)


def spread(groups: list[list[str]]) -> dict[str, list[str]]:
    """Groups of equals as a mapping from each phrase to the others."""
    return {phrase: [other for other in group if other != phrase] for group in groups for phrase in group}
