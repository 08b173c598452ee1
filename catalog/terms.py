"""Key terms of entries, works and families by TF-IDF over our own texts.

A term is a run of one to three words. Stop words, adverbs, numbers, formulas, punctuation and the names of models and
data sets break a run. Forms of one term (British, plural, -ed and -ing, hyphen or not) count as one; a text's terms are
shown as it writes them itself, so that a search for them finds it. What a term is worth is decided by TF-IDF alone;
what is a term, by the lists and bounds below.

The search puts these terms into its documents, on the command line too, which has to do without scikit-learn. So the
weights are computed here; a test holds them equal to those of scikit-learn.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from catalog.placing import families_of_works
from catalog.ranking import words
from catalog.texts import said_by_surveys, without_marks

if TYPE_CHECKING:
    from catalog.loading import Catalog
    from catalog.model import Algorithm

LONGEST = 3  # words in a term; one with hyphens counts as one
LEAST = 2  # texts that have a term, or it leads nowhere
MOST = 0.2  # share of the entries past which a term tells none of them from the others
MOST_WORKS = 0.05  # the same among the works, whose texts are a line or two
OF_ENTRY, OF_WORK, OF_FAMILY = 10, 6, 12  # terms shown
TWICE, FILLED = 2, 6  # how often an entry says its key terms; up to so many it may have said once
WHOLE = 0.5  # a phrase stands for its parts from this share of their weight on
NAMING = ("model", "dataset", "benchmark")  # roles of works whose names say on what was measured, not what is done

# Words of grammar: articles, pronouns, prepositions, conjunctions, auxiliaries, adverbs of degree, place and time,
# numerals, and what is left of words cut at an apostrophe. They break a phrase.
GRAMMAR = """
    a an the this that these those such same other others another each every either neither both all any some none no
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves one ones oneself who whom whose which what whatever whoever
    whichever anybody anyone anything everybody everyone everything nobody noone nothing somebody someone something
    about above across after against along alongside amid among amongst around as at before behind below beneath
    beside besides between beyond by despite down due during except for from in inside into like near of off on onto
    opposite out outside over past per regarding since than through throughout thru till to toward towards under
    underneath until unto up upon versus via with within without
    and but or nor so yet if unless because although though while whereas whether when whenever where wherever why how
    however therefore thus hence moreover furthermore nevertheless nonetheless meanwhile otherwise
    am is are was were be been being do does did done doing have has had having can cannot could may might must shall
    should will would ought need
    almost already also altogether always anyhow anyway anywhere again ever everywhere far further here indeed instead
    just last least less many more most mostly much namely never not now nowhere often once only perhaps quite rather
    seldom sometime sometimes somehow somewhat somewhere soon still then there too twice very well few fewer
    hereby herein hereafter hereupon thereby therein thereafter thereupon thence whence whereby wherein
    whereafter whereupon
    whither became please
    afterwards beforehand formerly latterly elsewhere top bottom
    one two three four five six seven eight nine ten eleven twelve fifteen twenty forty fifty sixty hundred
    ca co con de eg et al etc ie inc ltd re un vs cant couldnt hasnt isnt doesnt dont wont
"""
# Words that join or tell and name nothing; every form of them. They break a phrase too.
JOINING = """
    a100 ability able accord account achieve act actual add afterward ago ahead alike allow alone amount answer apart
    appear appendix apply argue arise aside ask assume author average avoid away back balance base based basis be beat
    beats become beforehand begin behind believe belong below benefit beside best better beyond big billion bind blind
    bound brief bring broad brought build built call came cannot careful carry case cause chain chance change cheap
    check choice choose chosen cite claim class clear close closer closest coarse collect combine come comes common
    compare comparison compensate complete comprise computation compute concern connected consecutive consider constant
    contain context continue contribute convert coordinate copy correct cost count cover cross current cut date day
    deal dealt decide deep default define delay depend derive describe design detail determine develop device did
    differ difference different difficult direct directly discard distinct divide does double draw drawn drive easy
    edge effect effective either element else employ empty enable end enjoy enlarge enough enter entire entry equal
    equation equivalent especially essential estimate etc even evenly ever exact example exceed exist expect expensive
    experiment explore extend extra extrapolate extreme fade faithful fall false far fast fewer field fifth fill final
    find finely finish fire first fit five fix follow form former found four fourth fraction free frequent front full
    fully gain gap gather gb general generally get give given go gone good got gpu gpus great greater greatest grow
    guide half halve hand handle happen hard hardly harm having held help high higher highest hold hour human hundred
    hurt idea ideal identical importantly improve include increase independent indicate individual inner inside inspire
    instead intend interest introduce introduction involve item job join joint jointly just keep kept kind know known
    lack lain large larger largest late later latter lay lead leads least leave left length lengthen lesson let level
    lie lies light like likely limit line list little llm llms load loader long longer longest look loop lose lost lot
    low lower lowest made main major make makes many mark massive match matter mb mean meaning meet member mention mere
    met method middle million mind minus minute miss modest moment month move multi multiple naive name named narrow
    narrower natural near nearly necessary need neglect new next non note noted nothing notice nowadays number nvidia
    obtain occur odd offer old one only open opposite option ordinary origin original otherwise outcome outright
    outside overall overcome own page pair paper part partial particular pass past pay people percent perform
    performance perspective phase pick picture piece place plain plan play plus point poor pose possible post practical
    practice precede precise prefer prepare present preserve pretrained pretraining prevent previous price principle
    print prior problem proceed produce program promise proper property propose protect prove provide publish pull push
    put quantity question quick quite raise ran range rapid rate reach read ready real really reason receive recent
    recommend reduce reduction refer reflect regard relative rely remain remark remove repeat replace report represent
    representative require research resort respect rest result return reveal rich rise role room rough roughly rule run
    safe said sat save saw say scenario scheme second section see seek seem seen select send sense sent separate series
    serious serve set setting setup seven several shape shelf short show shown shrink side similar simple simplify
    simply sit situation six size slight slow slower small smaller smallest solely solution solve sort source spare
    special specific spend spread square stable stack stage stand standard start state stay step still stood stop store
    straight straightforward strength strict strong strongly student study style subsequent substitute succeed
    successful such suffer suffice suggest suit suitable sum summary superior supply support suppose sure survey table
    take taken teacher technical tell ten tenth term test text thick thin thing think third thought thousand three
    thrown time title today together took tool total touch towards traditional treat tried true truth try turn twice
    two type typical unchanged underlie understand unify unit unless unlike unused usable use used useful useless user
    uses using usual usually value various vary version view wait want wanted waste way week well went whatever
    whenever whereas wherever whole wide widely widen widened wider win wins won word work world worse worth would
    write wrong year yet yield zero
"""
# Words of the whole field, which say nothing alone or with each other but are parts of telling phrases.
GENERAL = """
    16-bit 32-bit accuracy accurate activation algorithm approach approximate architecture arithmetic array axis
    baseline batch bit block channel column component compress compression computational computing corpus cost data
    dense dimension dimensional drop efficiency efficient error evaluation existing factor family feature
    feed-forward final fine-tuning forward function generation generative group head hidden image individual
    inference information initialize input instance intermediate iteration language layer learn linear local loss
    machine map matrix memory method metric minimize model module multiply network neural objective operation
    optimal optimization optimize output parameter pattern perplexity position pre-trained predict prediction
    process processing product quality quantize quantized row sample scale score search self sequence single smaller
    space speed speedup structure sub subset system task technique tensor token train training transformer tune
    update variable variant vector vision weight width wise
"""

_TOKEN = re.compile(
    r"(?P<bits>\d+(?:\.\d+)?[\s-]*bits?\b)|(?P<pattern>\b(?:\d+|[NnMm])\s?:\s?(?:\d+|[NnMm])\b)"
    r"|(?P<word>[^\W\d_]\w*(?:['’]s\b)?(?:-\w+)*)|(?P<number>\d[\w.,%-]*)|(?P<mark>[^\s\w])"
)
_ADVERB = re.compile(r"[a-z]{4,}ly$")
_ODD = {"matrices": "matrix", "indices": "index", "vertices": "vertex", "criteria": "criterion", "axes": "axis"}


@dataclass(frozen=True)
class Term:
    """A term as it is mostly written, and its weight in the text whose term it is."""

    text: str
    weight: float


@dataclass(frozen=True)
class Terms:
    """Key terms by entry id, work key and family id, weightiest first, and the texts that they are from.

    A work with an entry has the terms of its entry.
    """

    entries: dict[str, list[Term]]
    works: dict[str, list[Term]]
    families: dict[str, list[Term]]
    corpus: Corpus


@dataclass(frozen=True)
class Text:
    """The texts on one method: sentences, titles and the like, and its own names, which its page has anyway."""

    sentences: Sequence[str]
    titles: Sequence[str] = ()
    names: Sequence[str] = ()


def key_terms(catalog: Catalog) -> Terms:
    """The key terms of a catalog."""
    says = said_by_surveys(catalog)
    groups: dict[str, list[str]] = defaultdict(list)
    for node in catalog.taxonomy.nodes() if catalog.taxonomy else ():
        for key in catalog.taxonomy.group(node).examples:
            groups[key].append(catalog.taxonomy.group(node).name)
    entries = {}
    for entry in catalog.algorithms.values():
        work = catalog.paper_of(entry)
        homes = [catalog.taxonomy.group(node).name for node in (entry.family, *entry.also_in)]
        entries[entry.id] = Text(
            [*entry_texts(entry), *says.get(entry.paper or "", ())], [*homes, *([work.title] if work else ())],
            [*entry.names, entry.id.replace("-", " "), *((work.name, *work.aliases) if work else ())],
        )
    described = {entry.paper: entry.id for entry in reversed(catalog.algorithms.values()) if entry.paper}
    works = {
        key: Text(
            says.get(key, ()), [work.title, *groups[key]],
            [work.name, *work.aliases] if work.name != work.title else (),
        )
        for key, work in catalog.bibliography.items() if key not in described
    }
    naming = [name for work in catalog.bibliography.values() if work.role in NAMING
              for name in (work.name, *work.aliases)]
    found = Corpus(list(entries.values()), list(works.values()), naming)
    of_entries = dict(zip(entries, found.of_entries(), strict=True))
    of_works = dict(zip(works, found.of_works(), strict=True))
    placed = families_of_works(catalog)
    kinds = [entry.home for entry in catalog.algorithms.values()]
    kinds += [placed[key].family if key in placed else "" for key in works]
    return Terms(
        entries=of_entries,
        works={key: of_entries[described[key]] if key in described else of_works[key] for key in catalog.bibliography},
        families={name: found.of_kind(kinds, name) for name in (catalog.taxonomy.families if catalog.taxonomy else ())},
        corpus=found,
    )


def entry_texts(entry: Algorithm) -> list[str]:
    """What an entry says of its method. Not the plain words, which are pictures; nor what was measured on our bench."""
    claims = [claim.text for claim in (*entry.strengths, *entry.limits) if not claim.measured]
    return [entry.summary, entry.idea, *entry.steps, *claims]


class Corpus:
    """Every text as a row of TF-IDF weights: `entries` weighed among the entries, `all` and `works` among all texts.

    A row has the place of each term in `keys` with its weight, in the order of the places.
    """

    def __init__(self, entries: Sequence[Text], works: Sequence[Text], naming: Sequence[str] = ()):
        cut = _cutter(naming)
        found = [list(phrases(text, cut)) for text in (*entries, *works)]
        counts = [Counter(key for key, _ in terms) for terms in found]
        of_entries = Counter(key for count in counts[: len(entries)] for key in count)
        of_works = Counter(key for count in counts[len(entries) :] for key in count)
        self.keys = sorted(
            key for key, texts in (of_entries + of_works).items()
            if texts >= LEAST and of_entries[key] <= max(LEAST, MOST * len(entries))
            and of_works[key] <= max(LEAST, MOST_WORKS * len(works))
        )
        places = {key: index for index, key in enumerate(self.keys)}
        rows = [{places[key]: times for key, times in sorted(count.items()) if key in places} for count in counts]
        self.forms = [_forms(terms) for terms in found]
        self.common = _forms(term for terms in found for term in terms)
        self.entries = weigh(rows[: len(entries)])
        self.said = [{index for index, times in row.items() if times >= TWICE} for row in rows[: len(entries)]]
        self.all = weigh(rows)
        self.works = self.all[len(entries) :]

    def of_entries(self) -> list[list[Term]]:
        """What an entry says more than once; filled up, where that is little, with what it says once."""
        found = []
        for row, said, forms in zip(self.entries, self.said, self.forms, strict=False):
            key = self.best({index: weight for index, weight in row.items() if index in said}, OF_ENTRY, forms)
            found.append(key if len(key) >= FILLED else self.best(row, FILLED, forms, first=said))
        return found

    def of_works(self) -> list[list[Term]]:
        forms = self.forms[len(self.entries) :]
        return [self.best(row, OF_WORK, of_work) for row, of_work in zip(self.works, forms, strict=True)]

    def of_kind(self, kinds: Sequence[str], kind: str) -> list[Term]:
        """The terms whose mean weight in the texts of one kind is furthest above that in the others."""
        inside: dict[int, list[float]] = defaultdict(list)
        outside: dict[int, list[float]] = defaultdict(list)
        for row, name in zip(self.all, kinds, strict=True):
            for index, weight in row.items():
                (inside if name == kind else outside)[index].append(weight)
        many = sum(1 for name in kinds if name == kind)
        rest = max(len(kinds) - many, 1)
        above = {
            index: math.fsum(weights) / many - math.fsum(outside.get(index, ())) / rest
            for index, weights in inside.items() if len(weights) >= LEAST
        }
        return self.best({index: value for index, value in above.items() if value > 1e-9}, OF_FAMILY, self.common)

    def best(
        self, weights: dict[int, float], most: int, forms: dict[Key, str], first: Collection[int] = ()
    ) -> list[Term]:
        """The weightiest terms, those of `first` before the others, as `forms` has them.

        None is a part of another: the phrase stays where it holds its own, else the part.
        """
        def place(index: int) -> tuple[bool, float, Key]:
            return index not in first, -round(weights[index], 9), self.keys[index]

        kept: list[int] = []
        for index in sorted(weights, key=place):
            key = set(self.keys[index])
            if any(key <= set(self.keys[other]) for other in kept):
                continue
            parts = [other for other in kept if set(self.keys[other]) < key]
            if parts and weights[index] >= WHOLE * weights[parts[0]]:
                kept[kept.index(parts[0])] = index
                kept = [other for other in kept if other not in parts]
            elif not parts:
                kept.append(index)
        return [Term(forms[self.keys[index]], round(weights[index], 6)) for index in kept[:most]]


def weigh(rows: Sequence[dict[int, int]]) -> list[dict[int, float]]:
    """TF-IDF of rows of counts: (1 + ln count) (1 + ln((1 + rows) / (1 + rows with the term))), rows of length 1.

    The smooth variant of scikit-learn's TfidfVectorizer with `sublinear_tf`.
    """
    held = Counter(index for row in rows for index in row)
    rarity = {index: math.log((1 + len(rows)) / (1 + texts)) + 1 for index, texts in held.items()}
    found = []
    for row in rows:
        raw = {index: (1 + math.log(times)) * rarity[index] for index, times in row.items()}
        length = math.sqrt(math.fsum(value * value for value in raw.values()))
        found.append({index: value / length for index, value in raw.items()})
    return found


def _forms(terms: Iterable[tuple[Key, str]]) -> dict[Key, str]:
    """How each term is mostly written."""
    written: dict[Key, Counter[str]] = defaultdict(Counter)
    for key, form in terms:
        written[key][form] += 1
    return {key: min(forms.items(), key=lambda pair: (-pair[1], pair[0]))[0] for key, forms in written.items()}


# --- from a text to its terms -------------------------------------------------------------------------------------

Key = tuple[str, ...]  # the words of a term in their plain form
Unit = tuple[Key, str, bool]  # a word or compound: plain form, as written, whether it says something alone


def phrases(text: Text, cut: re.Pattern[str] | None = None) -> Iterator[tuple[Key, str]]:
    """Every term of a text with the form in which it is written: ("low", "rank"), "low-rank"."""
    own = _cutter(text.names)
    for sentence, parts in ((True, text.sentences), (False, text.titles)):
        for part in parts:
            plain = without_marks(part)
            for names in (own, cut):
                plain = names.sub(" | ", plain) if names else plain
            for run in _runs(plain, sentence):
                for start in range(len(run)):
                    for end in range(start + 1, min(start + LONGEST, len(run)) + 1):
                        units = run[start:end]
                        if any(tells for _, _, tells in units):
                            yield tuple(word for key, _, _ in units for word in key), " ".join(u[1] for u in units)


def _runs(text: str, sentence: bool) -> Iterator[list[Unit]]:
    """Units that follow each other without a break. In a sentence, a capital that does not begin it is kept."""
    run: list[Unit] = []
    begins = True
    for match in _TOKEN.finditer(text):
        unit = _unit(match, keep=sentence and not begins)
        begins = match.lastgroup == "mark" and match[0] in ".!?:;"
        if unit is not None:
            run.append(unit)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _unit(match: re.Match[str], keep: bool) -> Unit | None:
    written = match[0]
    if match.lastgroup == "bits":
        width = re.match(r"[\d.]+", written)[0]
        return (f"{width}bit",), f"{width}-bit", f"{width}-bit" not in GENERAL
    if match.lastgroup == "pattern":
        written = re.sub(r"\s", "", written).upper()
        return (written,), written, True
    if match.lastgroup != "word":
        return None
    written = re.sub(r"['’]s\b", "", written)
    parts = written.split("-")
    if not keep:
        parts = [part.lower() if part[1:] == part[1:].lower() else part for part in parts]
        written = "-".join(parts)
    key = tuple(stem(part) for part in parts)
    tells = not all(part in _JOINING or part in _GENERAL or len(part) < 2 for part in key)
    if len(parts) == 1 and (key[0] in _JOINING or parts[0].lower() in _GRAMMAR or _ADVERB.match(written)
                            or len(written) < 2):
        return None
    return key, written, tells


def _cutter(names: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of the names in a text, with blanks or hyphens, in capitals or not."""
    forms = sorted({re.sub(r"(\\?[\s-])+", r"[\\s-]+", re.escape(name)) for name in names if name.strip()},
                   key=lambda form: (-len(form), form))
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?:s|'s|’s)?(?!\w)", re.IGNORECASE) if forms else None


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """One spelling for the forms of a word: small letters, no accents, American, no ending -s, -ed, -ing or -e."""
    found = "".join(words(word)) or word.lower()
    found = _ODD.get(found, found)
    if len(found) < 4 or not found.isalpha():
        return found
    if found.endswith("ies") and len(found) > 4:
        found = found[:-3] + "y"
    elif found.endswith("sses"):
        found = found[:-2]
    elif found.endswith("s") and found[-2] not in "aisu":
        found = found[:-1]
    for ending in ("ing", "ed"):
        root = found[: -len(ending)]
        if found.endswith(ending) and not found.endswith("eed") and len(root) > 2 and re.search("[aeiouy]", root):
            found = root[:-1] if root[-1] == root[-2] and root[-1] not in "aeiouls" else root
            break
    return found[:-1] if found.endswith("e") and len(found) > 3 else found


_GRAMMAR = frozenset(GRAMMAR.split())
_JOINING = frozenset(stem(word) for word in JOINING.split())
_GENERAL = frozenset(stem(part) for word in GENERAL.split() for part in word.split("-"))
