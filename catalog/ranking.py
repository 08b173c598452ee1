"""The ranking of the search: which documents answer a query, and in which order.

The browser has the same ranking (site_gen/frontend/src/ranking.ts), the numbers of both stand in ranking.json, and a
test asks both the same questions. In short:

- A text becomes words in a plain form (4-bit and 4bit, 2:4 and n:m, quantise and quantize are alike), and words become
  stems, so that `pruned` finds `pruning`. Neighbouring words of a name also count written together (`smooth quant`).
- A phrase that has synonyms (synonyms.yml) counts as one word in the query and in the documents, so that `no
  calibration data` does not find what needs calibration data, and `2:4` finds what is written `n:m`. Articles and the
  like between its words (`merge the tokens`, `without any training`) change nothing.
- A word of the query also means the words that begin with it, and, where it is unknown, those at one or two slips of
  the keyboard from it; swapped letters are one slip.
- A document's answer to a word is that of its best field, with a little for each further one, and counts more the
  fewer documents have the word. Documents that answer more of the query's words come first by far; for that, a word
  that is in no name or title, only in sentences, hardly counts, and a document that has it in passing has answered it
  in part. Everyday words (keep, better, example) say little, however few documents have them.
- A query that is as a whole a key term of a document, or means the same, is answered by it in full.
- What is called just like the query, be it with a slip, comes first; who types a whole title wants what is called so,
  of whatever kind it is. A tool that is named after an idea (PEFT) does not come first: who types the word for the idea
  gets the methods, with the tool beside them, and behind them the papers that mention it in their titles.
- A query that names several methods or tools is about these, more than about what mentions them all. One that sets two
  things side by side (`structured vs unstructured pruning`) asks for both as if each were asked for by its name.
- A definition that is asked for brings the pages it leads to: those that speak of the whole term stand before it, the
  others right behind.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rapidfuzz import process
from rapidfuzz.distance import OSA

RULES = json.loads((Path(__file__).parent / "ranking.json").read_text(encoding="utf-8"))
FIELDS: dict[str, float] = RULES["fields"]  # field of a document, and the weight of a hit in it
STOP = frozenset(RULES["stop"].split())
BESIDE = frozenset(RULES["beside"].split())  # stand between two things that are compared
IRREGULAR = {form: forms.split()[0] for forms in RULES["irregular"] for form in forms.split()}
NAMES = ("name", "aliases")  # the fields that hold names; several stand apart by semicolons
_DIGITS = re.compile("[0-9]")
_FAR = ("ss", "us", "is")  # endings whose s is no plural


@dataclass(frozen=True)
class Hit:
    """A document that answers a search; higher scores answer better."""

    id: str
    name: str
    score: float
    kind: str = "algorithm"


def words(text: str) -> list[str]:
    """The words of a text in their plain form: 4-bit and 4bit, 2:4 and 2 : 4, quantise and quantize are alike."""
    text = unicodedata.normalize("NFKD", text.lower())
    text = "".join(char for char in text if not "\u0300" <= char <= "\u036f")
    text = re.sub(r"([a-z])['\u2019](?:t|s|re|ve|ll|d|m)\b", r"\1", text, flags=re.ASCII)
    text = re.sub(r"([0-9])[\s-]*bits?\b", r"\1bit", text, flags=re.ASCII)
    text = re.sub(r"\b([0-9]+|n)\s*:\s*([0-9]+|m)\b", r"\1of\2", text, flags=re.ASCII)
    text = re.sub(r"is(e|ed|es|ing|ation|ations)\b", r"iz\1", text, flags=re.ASCII)
    text = re.sub(r"\b(fine|pre)[\s-]+(tun|train)", r"\1\2", text, flags=re.ASCII)
    text = re.sub(r"\bmodelling\b", "modeling", re.sub(r"\b(neighb|behavi|col)our", r"\1or", text, flags=re.ASCII),
                  flags=re.ASCII)  # fmt: skip
    return re.findall(r"[a-z0-9]+", text)


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The part of a word that its forms share; words with digits and short words stay as they are."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or not word.isalpha():
        return word
    for ending, instead, least in RULES["endings"]:
        if word.endswith(ending) and len(word) - len(ending) >= least and not (ending == "s" and word.endswith(_FAR)):
            word = word[: len(word) - len(ending)] + instead
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def together(tokens: list[str]) -> list[str]:
    """Neighbouring words written as one, and all of them."""
    joined = [first + second for first, second in zip(tokens, tokens[1:], strict=False)]
    return [*joined, "".join(tokens)] if len(tokens) > 2 else joined


def _plain_phrase(phrase: str) -> tuple[str, ...]:
    return tuple(form for form in map(stem, words(phrase)) if form not in FILLERS)


EVERYDAY = frozenset(stem(word) for word in RULES["everyday"].split())
FILLERS = frozenset(stem(word) for word in RULES["fillers"].split())  # say nothing inside a phrase


class Index:
    """Documents, ready to be searched: each an `id`, a `kind` (without one it is an algorithm) and texts of FIELDS."""

    def __init__(self, docs: Iterable[dict[str, str]], synonyms: dict[str, list[str]]):
        self._concepts: dict[tuple[str, ...], str] = {}
        for phrase, others in synonyms.items():
            forms = sorted(" ".join(_plain_phrase(form)) for form in (phrase, *others))
            self._concepts[_plain_phrase(phrase)] = "=" + forms[0]
        self._longest = max((len(phrase) for phrase in self._concepts), default=1)
        self._spoken = {form for phrase in self._concepts for form in phrase}
        self._docs: list[tuple[str, str, str]] = []  # id, kind, name
        self._keys: list[str] = []
        self._called: list[set[str]] = []  # the names of each document, written together
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._keyed: dict[str, dict[int, None]] = defaultdict(dict)  # key term (its stems, or its meaning) -> documents
        self._text: list[str] = []  # the stems of its names and its title, in their order
        self._weights: dict[str, dict[int, float]] = defaultdict(dict)  # stem or meaning -> document -> weight
        self._peaks: dict[str, float] = defaultdict(float)  # stem or meaning -> the most it weighs in any document
        self._known: dict[str, str] = {}  # word -> its stem
        leads: dict[int, list[str]] = {}  # a definition -> what it leads to
        for number, doc in enumerate(docs):
            self._add(number, doc)
            if doc.get("leads"):
                leads[number] = doc["leads"].split("; ")
        numbers = {key: number for number, key in enumerate(self._keys)}
        self._leads = {number: [numbers[key] for key in keys if key in numbers] for number, keys in leads.items()}
        self._vocabulary = sorted(self._known)

    def _add(self, number: int, doc: dict[str, str]) -> None:
        kind = doc.get("kind", "algorithm")
        self._docs.append((doc["id"], kind, doc["name"]))
        self._keys.append(f"{kind} {doc['id']}")
        called, text = set(), []
        hits: dict[str, list[float]] = defaultdict(list)
        for field, weight in FIELDS.items():
            tokens = words(doc.get(field) or "")
            stems = [stem(token) for token in tokens]
            terms = list(stems)
            if field != "terms" and (field not in NAMES or kind not in RULES["proper"]):
                terms += [meaning for meaning, _, _ in self._phrases(stems)]
            if field in NAMES:
                for name in (doc.get(field) or "").split(";"):
                    parts = words(name)
                    called.add("".join(parts))
                    if len(parts) <= RULES["words"]:
                        terms += [stem(word) for word in together(parts)]
                if field == "name" and len(tokens) > RULES["words"]:
                    weight = FIELDS["title"]  # a sentence in the place of a name
            if field == "title":
                called |= {re.sub(r"^(?:a|an|the) ", "", " ".join(words(one))).replace(" ", "") for one in
                           (doc.get(field) or "").split(";")}
            if field == "terms":
                for one in filter(str.strip, (doc.get(field) or "").split(";")):
                    parts = [stem(word) for word in words(one)]
                    whole = [meaning for meaning, _, length in self._phrases(parts) if length == len(parts)]
                    for key in (" ".join(parts), *whole):
                        self._keyed[key][number] = None
            if field in (*NAMES, "title"):
                text += [form for form, token in zip(stems, tokens, strict=False) if token not in STOP]
            for token in tokens:
                self._known.setdefault(token, stem(token))
            length = 1 + math.log1p(len(stems)) / RULES["length"]
            for term, count in Counter(terms).items():
                hits[term].append(weight * count / (count + RULES["saturation"]) * 1.5 / length)
        for term, values in hits.items():  # the best field counts in full, the others a little
            best, total = max(values), sum(values)
            weight = self._weights[term][number] = best + RULES["echo"] * (total - best)
            self._peaks[term] = max(self._peaks[term], weight)
        self._called.append(called - {""})
        for name in self._called[-1]:
            self._by_name[name].append(number)
        self._text.append(f" {' '.join(text)} ")

    def search(self, query: str, limit: int = 10) -> list[Hit]:
        """The documents that answer a query, best first; empty where nothing does."""
        tokens = [part for token in words(query) for part in self._apart(token)]
        meant = [self._meant(token) for token in tokens]
        units, says, idea = self._units(tokens, meant)
        scores: dict[int, float] = defaultdict(float)
        answered: dict[int, float] = defaultdict(float)
        spoken_of: dict[int, float] = defaultdict(float)  # the same, in passing or not
        asked = 0.0
        for unit, much in zip(units, says, strict=True):
            worth = much * self._worth(unit)
            asked += worth
            best: dict[int, tuple[float, float, float]] = {}
            for term, quality in unit.items():
                rarity = much * self._rarity(term)
                for number, weight in self._weights[term].items():
                    score, told, fit = best.get(number, (0.0, 0.0, 0.0))
                    part = quality * (RULES["passing"] + (1 - RULES["passing"]) * min(weight / RULES["told"], 1))
                    best[number] = max(score, quality * weight * rarity), max(told, part), max(fit, quality)
            for number, (score, told, quality) in best.items():
                scores[number] += score
                answered[number] += told * worth
                spoken_of[number] += quality * worth
        for key in dict.fromkeys((" ".join(map(stem, tokens)), idea)):  # the whole query is a key term
            holders = self._keyed.get(key, ())
            value = RULES["term"] * self._rarity_of(len(holders))
            for number in holders:
                scores[number] = max(scores[number], value) + RULES["echo"] * min(scores[number], value)
                answered[number] = spoken_of[number] = asked
        spoken = [token for token in meant if token not in STOP]
        typed = [token for token in tokens if token not in STOP]
        whole = {"".join(parts) for parts in (tokens, typed, meant, spoken)}
        sequence = f" {' '.join(stem(token) for token in spoken)} " if len(spoken) > 1 else None
        named = self._named(tokens, meant)
        compared = set() if idea else self._compared(tokens) or self._compared(meant)
        final: dict[int, float] = {}
        asked_for = []  # definitions that are called like the query
        for number, score in scores.items():
            kind = self._docs[number][1]
            if number not in compared:
                score *= (answered[number] / asked) ** RULES["coverage"]
            called = not whole.isdisjoint(self._called[number])
            if called or number in compared:
                score *= RULES["exact"] * RULES["asked"].get(kind, 1)
            elif number in named:
                score *= RULES["named"]
            if sequence and sequence in self._text[number]:
                score *= RULES["sequence"]
            if not (number in compared or called and len(tokens) > RULES["words"]):
                score *= RULES["kinds"].get(kind, 1) * (RULES["mention"] if idea and kind == "paper" else 1)
            final[number] = score
            if called and number in self._leads:
                asked_for.append(number)
        for number in asked_for:
            targets = self._leads[number]
            for place, target in enumerate(targets):
                full = spoken_of.get(target, 0) > 0.999 * asked
                steps = len(targets) - place if full else -1 - place
                final[target] = max(final.get(target, 0), final[number] * RULES["lead"] ** steps)
        # The browser's logarithm may differ in the last digit.
        ranked = [(float(f"{score:.9g}"), number) for number, score in final.items()]
        ranked.sort(key=lambda pair: (-pair[0], self._keys[pair[1]]))
        least = ranked[0][0] * RULES["noise"] if ranked else 0
        return [
            Hit(self._docs[number][0], self._docs[number][2], round(score, 3), self._docs[number][1])
            for score, number in ranked[:limit] if score > least
        ]  # fmt: skip

    def _named(self, tokens: list[str], meant: list[str]) -> set[int]:
        """The methods, tools and benchmarks that a query names beside others; none where it names one only."""
        found: dict[str, list[int]] = {}
        for words_of in (tokens, meant):
            for first in range(len(words_of)):
                for end in range(first + 1, min(first + RULES["words"], len(words_of)) + 1):
                    name = "".join(words_of[first:end])
                    holders = [n for n in self._by_name.get(name, ()) if self._docs[n][1] in RULES["comparable"]]
                    if holders:
                        found[name] = holders
        return {number for holders in found.values() for number in holders} if len(found) > 1 else set()

    def _compared(self, tokens: list[str]) -> set[int]:
        """What a query sets side by side, where both have a name: `A vs B`, or `A vs B C` in place of `A C vs B C`."""
        telling = [i for i, token in enumerate(tokens) if token not in STOP and stem(token) not in EVERYDAY]
        asked = tokens[telling[0] : telling[-1] + 1] if telling else []
        for place, token in enumerate(asked):
            if token in BESIDE:
                one, other = asked[:place], asked[place + 1 :]
                second = self._by_name.get("".join(other), ())
                for last in range(len(other), 0, -1) if second else ():
                    first = self._by_name.get("".join([*one, *other[last:]]))
                    if first:
                        return {*first, *second}
        return set()

    def _rarity(self, term: str) -> float:
        return self._rarity_of(len(self._weights.get(term, ())))

    def _rarity_of(self, held: int) -> float:
        return math.log(1 + (len(self._docs) - held + 0.5) / (held + 0.5)) + RULES["floor"]

    def _worth(self, unit: dict[str, float]) -> float:
        """How much it says that a document answers a word of the query: more for rare words and for words of names."""
        fit = max(unit.values(), default=0)
        return min((self._rarity(term) * min(max(self._peaks[term] / RULES["telling"], RULES["least"]), 1)
                    for term, quality in unit.items() if quality == fit), default=self._rarity(""))  # fmt: skip

    def _units(self, tokens: list[str], meant: list[str]) -> tuple[list[dict[str, float]], list[float], str]:
        """A query as units, each a set of terms (with how well they fit) of which one has to be met; how much each
        says; and the meaning of the query where it is as a whole a phrase that has synonyms.
        """
        stems = [stem(word) for word in meant]
        phrases = {start: (meaning, length) for meaning, start, length in self._phrases(stems)}
        units: list[dict[str, float]] = []
        says: list[float] = []
        place = 0
        while place < len(tokens):
            if place in phrases:
                meaning, length = phrases[place]
                unit = {meaning: 1.0} if meaning in self._weights else {}
                spoken = [token for token in tokens[place : place + length] if token not in STOP]
                factor = (RULES["loose"] if unit else 1.0) / max(len(spoken), 1)
                for token in spoken:
                    for term, quality in self._terms(token).items():
                        unit[term] = max(unit.get(term, 0.0), factor * quality)
                units.append(unit)
                says.append(1.0)
                place += length
                continue
            if tokens[place] not in STOP:
                unit = self._terms(tokens[place])
                for first in (place - 1, place):  # the word written together with the one before, the one after
                    pair = tokens[first : first + 2] if 0 <= first < len(tokens) - 1 else []
                    joined = stem("".join(pair))
                    if joined in self._weights and STOP.isdisjoint(pair):
                        unit[joined] = 1.0
                units.append(unit)
                says.append(RULES["faint"] if stems[place] in EVERYDAY else 1.0)
            place += 1
        if not units:
            units, says = [self._terms(token) for token in tokens], [1.0] * len(tokens)
        meaning, length = phrases.get(0, ("", 0))
        return units, says, meaning if length == len(tokens) else ""

    def _phrases(self, stems: list[str]) -> list[tuple[str, int, int]]:
        """The meanings of phrases in a text, longest first and without overlaps: (meaning, start, length)."""
        found = []
        at = [place for place, form in enumerate(stems) if form not in FILLERS]
        telling = [stems[place] for place in at]
        place = 0
        while place < len(at):
            for length in range(min(self._longest, len(at) - place), 0, -1):
                meaning = self._concepts.get(tuple(telling[place : place + length]))
                if meaning is not None:
                    found.append((meaning, at[place], at[place + length - 1] - at[place] + 1))
                    place += length
                    break
            else:
                place += 1
        return found

    def _is_known(self, token: str) -> bool:
        return stem(token) in self._weights or stem(token) in self._spoken

    def _apart(self, token: str) -> list[str]:
        """A word in its two parts (`kvcache`), where nothing is known that it may be and both parts are."""
        if len(token) < 6 or self._is_known(token) or next(self._beginning(token), None) or self._slips(token):
            return [token]
        cuts = [(token[:place], token[place:]) for place in range(2, len(token) - 1)]
        held = [
            (min(len(self._weights[self._known[part]]) for part in parts), parts)
            for parts in cuts if all(part in self._known for part in parts)
        ]  # fmt: skip
        return list(max(held, key=lambda pair: pair[0])[1]) if held else [token]

    def _slips(self, token: str) -> list[tuple[str, int]]:
        """Known words at one or two slips from an unknown one, and at how many; never in their digits."""
        if not 4 <= len(token) <= 60 or len(_DIGITS.sub("", token)) < 3 or self._is_known(token):
            return []
        allowed = 1 if len(token) < 8 else 2
        found = process.extract(token, self._vocabulary, scorer=OSA.distance, score_cutoff=allowed, limit=None)
        digits = _DIGITS.findall(token)
        return sorted(((word, distance) for word, distance, _ in found if _DIGITS.findall(word) == digits),
                      key=lambda p: (p[1], p[0]))  # fmt: skip

    def _meant(self, token: str) -> str:
        """The word itself where it is known or begins known ones, else the nearest one, the more frequent where two are
        as near.
        """
        near = self._slips(token)
        if not near:
            return token
        return min(near, key=lambda p: (p[1], -len(self._weights[self._known[p[0]]]), p[0]))[0]

    def _terms(self, token: str) -> dict[str, float]:
        """The terms of the index that a word of the query may mean, with how well each fits."""
        found: dict[str, float] = {}
        if stem(token) in self._weights:
            found[stem(token)] = 1.0
        if len(token) >= 2:
            for word in self._beginning(token):
                if word != token:
                    term, fit = self._known[word], RULES["prefix"] * (0.5 + 0.5 * len(token) / len(word))
                    found[term] = max(found.get(term, 0.0), fit)
        for word, distance in self._slips(token):
            term = self._known[word]
            found[term] = max(found.get(term, 0.0), RULES["slip"] * (1 - 0.2 * (distance - 1)))
        return found

    def _beginning(self, token: str) -> Iterator[str]:
        for place in range(bisect_left(self._vocabulary, token), len(self._vocabulary)):
            if not self._vocabulary[place].startswith(token):
                return
            yield self._vocabulary[place]
