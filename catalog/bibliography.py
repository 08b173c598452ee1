"""references.bib, read into typed works and written in one canonical form.

The file is BibTeX that any tool can read. Standard fields hold confirmed facts only, escaped for LaTeX. Fields that
begin with `zoo_` are ours, in plain text, and leave with no exported record:

    zoo_name         what the field calls the work (GPTQ)          zoo_id            its slug, the id of a later entry
    zoo_aliases      further names, separated by "; "              zoo_role          algorithm, foundation, survey ...
    zoo_other_titles titles of earlier versions, by " | "          zoo_first_public  first public version, YYYY-MM
    zoo_venue        short venue (ICLR 2023)                       zoo_code          owner/name of the authors' code
    zoo_unconfirmed  facts that no source confirmed, by "; "

bibtexparser splits the file. It never raises, so its failed blocks become problems here, and its lines count from 0.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path

from bibtexparser import middlewares
from bibtexparser.library import Library
from bibtexparser.model import (
    DuplicateBlockKeyBlock,
    DuplicateFieldKeyBlock,
    Entry,
    ParsingFailedBlock,
    Preamble,
    String,
)
from bibtexparser.splitter import Splitter
from pydantic import Field

from catalog.model import Month, Strict
from catalog.problems import Problem, listed, nearest, shown
from catalog.reader import Document, read_text

# BibTeX types in use, with the fields that each must have.
TYPES: dict[str, tuple[str, ...]] = {
    "article": ("journal",),
    "book": ("publisher",),
    "incollection": ("booktitle",),
    "inproceedings": ("booktitle",),
    "mastersthesis": ("school",),
    "misc": (),
    "phdthesis": ("school",),
    "techreport": ("institution",),
}
STANDARD = (
    "title", "author", "journal", "booktitle", "edition", "editor", "series", "volume", "number", "pages", "school",
    "institution", "publisher", "howpublished", "year", "month", "doi", "eprint", "archiveprefix", "primaryclass",
    "url", "note",
)  # fmt: skip
OWN = (
    "zoo_name", "zoo_id", "zoo_aliases", "zoo_role", "zoo_venue", "zoo_other_titles", "zoo_first_public", "zoo_code",
    "zoo_unconfirmed",
)  # fmt: skip
FIELDS = STANDARD + OWN  # also the canonical order
ROLES = ("algorithm", "foundation", "model", "framework", "survey", "benchmark", "metric", "dataset")
_SPELLED = {"archiveprefix": "archivePrefix", "primaryclass": "primaryClass"}
_VERBATIM = ("doi", "eprint", "url", *OWN)

_KEY = re.compile(r"[a-z]+[0-9]{4}[a-z0-9]*\Z")
_ARXIV = re.compile(r"([0-9]{4}\.[0-9]{4,5}|[a-z-]+(\.[A-Z]{2})?/[0-9]{7})\Z")
_DOI = re.compile(r"10\.[0-9]{4,9}/[^\s{}\\]+\Z")
_ANTHOLOGY = re.compile(r"https://aclanthology\.org/([A-Za-z0-9.-]+?)/?\Z")
_ANTHOLOGY_DOI = re.compile(r"(?i)10\.(?:18653|3115)/v1/([a-z][0-9]{2}-[0-9]{4}|[0-9]{4}\.[a-z0-9-]+\.[0-9]+)\Z")
# What LaTeX takes for a command where it stands alone; `$` opens a formula.
_SPECIAL = re.compile(r"[&%#_^]")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)")
_PLAIN_NAME = re.compile(r"(?!.*\band\b)[^\W\d_][^,{}\\]*, [^,{}\\]+\Z")  # Family, Given; needs no parser
_MATH = re.compile(r"(?<!\\)\$[^$]*(?<!\\)\$")


class Person(Strict):
    """An author. An organisation has a family name only."""

    family: str
    given: str = ""
    particle: str = ""  # van der, de
    suffix: str = ""  # Jr.

    @property
    def full(self) -> str:
        name = " ".join(part for part in (self.given, self.particle, self.family) if part)
        return f"{name}, {self.suffix}" if self.suffix else name

    @property
    def sorted(self) -> str:
        """Family name first, particle with it: van der Ouderaa, Tycho F. A."""
        family = " ".join(part for part in (self.particle, self.family) if part)
        return ", ".join(part for part in (family, self.suffix, self.given) if part)


class Work(Strict):
    """One work of references.bib, its fields decoded to plain text."""

    key: str
    type: str = Field(description="BibTeX type.")
    fields: dict[str, str] = Field(description="Field to value as it stands in the file, canonical order.")
    line: int = 0
    version: str = Field("", description="Of a page or a data set that has versions. No field of the file.")
    day: str = Field("", description="Of its last change, YYYY-MM-DD, where that is known. No field of the file.")

    def text(self, name: str) -> str | None:
        """A field in plain text, or None where it is not there."""
        value = self.fields.get(name)
        if value is None:
            return None
        return value if name in _VERBATIM else plain(value)

    @cached_property
    def title(self) -> str:
        return self.text("title") or ""

    @cached_property
    def authors(self) -> list[Person]:
        return [person for person in people(self.fields.get("author", "")) if person.family != "others"]

    @cached_property
    def editors(self) -> list[Person]:
        return [person for person in people(self.fields.get("editor", "")) if person.family != "others"]

    @property
    def authors_complete(self) -> bool:
        """False where the list ends with `and others`."""
        return not self.fields.get("author", "").endswith("and others")

    @property
    def year(self) -> int:
        """0 where the field is no year, which `read` reports."""
        year = self.fields.get("year", "")
        return int(year) if re.fullmatch(r"\d{4}", year) else 0

    @property
    def arxiv(self) -> str | None:
        return self.fields.get("eprint")

    @property
    def doi(self) -> str | None:
        return self.fields.get("doi")

    @property
    def url(self) -> str | None:
        """The best address: the given one, else the DOI, else arXiv."""
        if "url" in self.fields:
            return self.fields["url"]
        if self.doi:
            return f"https://doi.org/{self.doi}"
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else None

    @property
    def anthology(self) -> str | None:
        """The id in the ACL Anthology: of its address, or of its DOI, which ends in the id (old ids are capitals)."""
        match = _ANTHOLOGY.match(self.fields.get("url", ""))
        if match:
            return match[1]
        match = _ANTHOLOGY_DOI.match(self.doi or "")
        if match is None:
            return None
        return match[1].upper() if match[1][0].isalpha() else match[1].lower()

    @property
    def container(self) -> str | None:
        """The journal or proceedings in full."""
        return self.text("journal") or self.text("booktitle")

    @property
    def venue(self) -> str:
        """Short name of where it appeared, always something: ICLR 2023, arXiv 2022, 2019."""
        short = self.fields.get("zoo_venue") or self.container or self.text("howpublished") or self.text("institution")
        return short or (f"arXiv {self.year}" if self.arxiv else str(self.year))

    @property
    def name(self) -> str:
        """What the field calls it, or its title."""
        return self.fields.get("zoo_name") or self.title

    @property
    def slug(self) -> str | None:
        """The id that an entry about this work has or would have."""
        return self.fields.get("zoo_id")

    @property
    def role(self) -> str:
        return self.fields.get("zoo_role", "foundation")

    @property
    def aliases(self) -> list[str]:
        return _parts(self.fields.get("zoo_aliases"), "; ")

    @property
    def other_titles(self) -> list[str]:
        return _parts(self.fields.get("zoo_other_titles"), " | ")

    @property
    def first_public(self) -> Month | None:
        return self.fields.get("zoo_first_public")

    @property
    def code(self) -> str | None:
        """owner/name of the authors' repository."""
        return self.fields.get("zoo_code")

    @property
    def unconfirmed(self) -> list[str]:
        """Facts that no source confirmed, such as `venue: SOSP 2024` (left out) or `authors` (given all the same)."""
        return _parts(self.fields.get("zoo_unconfirmed"), "; ")


def _parts(value: str | None, separator: str) -> list[str]:
    return value.split(separator) if value else []


# --- reading -----------------------------------------------------------------------------------------------------


def read(path: Path, file: str | None = None) -> tuple[dict[str, Work], list[Problem]]:
    """All works by key, in the order of the file, and everything that is wrong with the file."""
    document = Document(file or str(path))
    text = read_text(path, document, size_limit=20_000_000)
    if text is None:
        return {}, document.problems
    return parse(text, document.file)


def parse(text: str, file: str = "<text>") -> tuple[dict[str, Work], list[Problem]]:
    """As `read`, from a string."""
    works: dict[str, Work] = {}
    problems: list[Problem] = []

    def problem(line: int, key: str, message: str, **rest: str | None) -> None:
        problems.append(Problem(file, line, key, message, **rest))

    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # it prints what is reported here
    library = Splitter(text).split()
    macros: dict[int, list[str]] = {}
    for block in library.blocks:
        line = (block.start_line or 0) + 1
        if isinstance(block, DuplicateFieldKeyBlock):
            entry = block.ignore_error_block
            for name in sorted(block.duplicate_keys):
                lines = [field.start_line + 1 for field in entry.fields if field.key == name]
                problem(lines[-1], f"{entry.key}.{name}", "the field stands twice",
                        expected=f"one `{name}` (the first is in line {lines[0]})")
        elif isinstance(block, DuplicateBlockKeyBlock):
            first = next(entry for entry in library.entries if entry.key == block.key)
            problem(line, block.key, "the key stands twice", value=shown(block.key),
                    expected=f"one entry of this key (the first is in line {first.start_line + 1})")
        elif isinstance(block, ParsingFailedBlock):
            reason = str(getattr(block.error, "abort_reason", "") or block.error).strip()
            at = getattr(block.error, "end_index", None)
            problem(line, "", f"this is not BibTeX ({reason})" if reason else "this is not BibTeX",
                    value=shown((block.raw or "").strip().split("\n")[0]) if at is None else None,
                    expected="a complete entry with balanced braces")
        elif isinstance(block, (String, Preamble)):
            problem(line, "", "a macro or preamble", value=shown(block.raw.strip().split("\n")[0]),
                    expected="values written out in each entry")
        elif isinstance(block, Entry):
            macros[line] = _unenclosed(block)
            _check(block, macros[line], problem)
            if block.key not in works:
                works[block.key] = _work(block)
    return works, problems


def _unenclosed(entry: Entry) -> list[str]:
    """Fields that are not one value in braces or quotes: a number, a macro, or several values joined by `#`."""
    return [field.key for field in entry.fields if not _enclosed(str(field.value).strip())]


def _enclosed(value: str) -> bool:
    if len(value) < 2 or value[0] + value[-1] not in ("{}", '""'):
        return False
    depth = 0
    for place, sign in enumerate(value[1:-1]):
        if value[place] == "\\":
            continue
        depth += (sign == "{") - (sign == "}")
        if depth < 0 or (sign == value[-1] == '"' and depth == 0):
            return False
    return True


def _inner(value: object) -> str:
    value = str(value).strip()
    if len(value) > 1 and value[0] + value[-1] in ("{}", '""'):
        value = value[1:-1]
    return " ".join(value.split())


def _work(entry: Entry) -> Work:
    values = {field.key.lower(): _inner(field.value) for field in reversed(entry.fields)}
    order = {name: place for place, name in enumerate(FIELDS)}
    fields = {name: values[name] for name in sorted(values, key=lambda name: (order.get(name, len(order)), name))}
    return Work(key=entry.key, type=entry.entry_type.lower(), fields=fields, line=entry.start_line + 1)


def _check(entry: Entry, bare: list[str], problem) -> None:
    start = entry.start_line + 1
    kind = entry.entry_type.lower()
    lines = {field.key.lower(): field.start_line + 1 for field in entry.fields}
    values = {field.key.lower(): _inner(field.value) for field in entry.fields}

    def fault(name: str, message: str, value: str | None = None, **rest: str | None) -> None:
        problem(lines.get(name, start), f"{entry.key}.{name}", message,
                value=None if value is None else shown(value), **rest)

    if kind not in TYPES:
        problem(start, entry.key, "not an entry type", value=shown(entry.entry_type), expected=listed(TYPES),
                nearest=nearest(kind, TYPES))
    if not _KEY.match(entry.key):
        problem(start, entry.key, "not a key", value=shown(entry.key),
                expected="first author's family name, year, first word of the title: frantar2023optq")
    for name in values:
        if name not in FIELDS:
            fault(name, "not a field of references.bib", name, expected=listed(FIELDS), nearest=nearest(name, FIELDS))
        elif not values[name]:
            fault(name, "the field is empty", expected="a value, or no such field")
    for name in bare:
        if not values[name.lower()].isdigit():
            fault(name.lower(), "a macro", values[name.lower()], expected="a value in braces")
    for name in ("title", "author", "year", *TYPES.get(kind, ())):
        if name not in values:
            fault(name, "the field is missing", expected=f"`{name}` in every @{kind}")
    if "year" in values and not re.fullmatch(r"(19|20)\d\d", values["year"]):
        fault("year", "not a year", values["year"], expected="four digits")
    if "eprint" in values and not _ARXIV.match(values["eprint"]):
        fault("eprint", "not an arXiv id", values["eprint"], expected="such as 2210.17323, without a version")
    if "eprint" in values and values.get("archiveprefix") != "arXiv":
        fault("archiveprefix", "an eprint without its archive", values.get("archiveprefix"), expected="arXiv")
    if "doi" in values and not _DOI.match(values["doi"]):
        fault("doi", "not a DOI", values["doi"], expected="such as 10.18653/v1/2020.acl-main.204, without https")
    if "url" in values and not re.fullmatch(r"https?://[^\s{}\\]+", values["url"]):
        fault("url", "not a web address", values["url"], expected="an address that begins with https://")
    for name, value in values.items():
        if name in STANDARD and name not in _VERBATIM and name not in bare:
            _check_latex(value, lambda *words, name=name, **rest: fault(name, *words, **rest))
    for name in ("author", "editor"):
        for reason, person in _misnamed(values.get(name, "")):
            fault(name, reason, person, expected="Family, Given and Family, Given; an organisation in braces")
    if "zoo_role" in values and values["zoo_role"] not in ROLES:
        fault("zoo_role", "not a role", values["zoo_role"], expected=listed(ROLES),
              nearest=nearest(values["zoo_role"], ROLES))
    if "zoo_first_public" in values and not re.fullmatch(r"(19|20)\d\d(-\d\d)?", values["zoo_first_public"]):
        fault("zoo_first_public", "not a month", values["zoo_first_public"], expected="YYYY-MM or YYYY")


def _check_latex(value: str, fault) -> None:
    """What LaTeX would not set, or this package could not show as plain text."""
    commands = _COMMAND.findall(value)
    if commands or "$" in value:
        known = _known_commands()
        for command in commands:
            if command not in known:
                fault("a LaTeX command that cannot be shown", f"\\{command}",
                      expected="the letter itself, or an accent", nearest=nearest(command, known, 0.75))
    if value.count("{") != value.count("}"):
        fault("braces that do not balance; BibTeX counts those behind a backslash too", value, expected="pairs")
    for special in _SPECIAL.findall(_COMMAND.sub("", _MATH.sub("", value))):
        fault("a sign that LaTeX takes for a command", special, expected=f"\\{special}, or a formula between $ and $")


@cache
def _known_commands() -> frozenset[str]:
    """The commands that `plain` turns into text."""
    from pylatexenc.latex2text import get_default_latex_context_db  # slow to import

    return frozenset(spec.macroname for spec in get_default_latex_context_db().iter_macro_specs())


def _misnamed(value: str) -> Iterator[tuple[str, str]]:
    """(what is wrong, name) of the names that BibTeX cannot read or that hold a stray `and`."""
    names = middlewares.names.split_multiple_persons_names(value) if value else []
    for place, name in enumerate(names):
        if _PLAIN_NAME.match(name):
            continue
        try:
            person = _person(name)
        except middlewares.names.InvalidNameError:
            yield "not a name", name
            continue
        if person.family == "others" and place != len(names) - 1:
            yield "`others` not at the end", name
        elif not re.search(r"\w", person.family):
            yield "a name without a family name", name
        elif "and" in f"{person.given} {person.particle} {person.family}".split() and not name.startswith("{"):
            yield "an `and` too many", name


# --- text --------------------------------------------------------------------------------------------------------


def plain(value: str) -> str:
    """LaTeX of a field as plain text: accents, escapes, braces, dashes and quotes resolved."""
    if "\\" in value or "$" in value:
        from pylatexenc.latex2text import LatexNodes2Text  # slow to import, and most fields do not need it

        value = LatexNodes2Text(math_mode="text", keep_comments=True).latex_to_text(value)
    else:
        value = value.replace("{", "").replace("}", "").replace("~", " ")
        value = value.replace("---", "—").replace("--", "–").replace("``", "“").replace("''", "”")
    return " ".join(value.split())


def people(value: str) -> list[Person]:
    """The authors of a BibTeX author field, in any of BibTeX's three ways of writing a name."""
    found = []
    for name in middlewares.names.split_multiple_persons_names(value) if value else []:
        try:
            found.append(_person(name))
        except middlewares.names.InvalidNameError:  # `read` reports it
            found.append(Person(family=plain(name)))
    return found


def _person(name: str) -> Person:
    if name.startswith("{") and name.endswith("}") and name.count("{") == 1:
        return Person(family=plain(name))
    parts = middlewares.names.parse_single_name_into_parts(name)
    family, given, particle, suffix = (
        plain(" ".join(words)) for words in (parts.last, parts.first, parts.von, parts.jr)
    )
    return Person(family=family, given=given, particle=particle, suffix=suffix)


# --- writing -----------------------------------------------------------------------------------------------------


def latex(text: str) -> str:
    """Plain text as LaTeX; letters that LaTeX has no command for stay as they are."""
    from pylatexenc.latexencode import UnicodeToLatexEncoder  # slow to import

    return UnicodeToLatexEncoder(unknown_char_warning=False).unicode_to_latex(text)


def bibtex(work: Work, own: bool = False) -> str:
    """The record in canonical form, without our own fields unless `own`; ends with a newline.

    Facts that could not be confirmed are named in a note.
    """
    fields = dict(work.fields)
    if not own:
        doubted = [fact.partition(":")[0] for fact in work.unconfirmed if ":" not in fact]
        if doubted:
            fields["note"] = "; ".join(filter(None, [fields.get("note"), f"not confirmed: {', '.join(doubted)}"]))
        order = {name: place for place, name in enumerate(FIELDS)}
        fields = {name: fields[name] for name in sorted(fields, key=order.__getitem__) if name not in OWN}
    width = max(map(len, fields))
    lines = [f"  {_SPELLED.get(name, name):<{width}} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{work.type}{{{work.key},", *lines, "}", ""])


def canonical(works: dict[str, Work]) -> str:
    """The whole file: entries sorted by key, fields in their order, one blank line between entries."""
    head = "% Every work that the zoo cites, once. See catalog/bibliography.py for the fields that begin with zoo_.\n"
    return "\n".join([head, *(bibtex(works[key], own=True) for key in sorted(works))])


def library(text: str) -> Library:
    """What bibtexparser itself makes of a text: for checks that a record reads back."""
    return Splitter(text).split()
