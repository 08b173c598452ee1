"""DOI and arXiv ids in one spelling each, `doi:10.1145/3005348` and `arxiv:2210.17323`: equal ids are equal texts."""

from __future__ import annotations

import re
from urllib.parse import unquote

from catalog.bibliography import Work

ARXIV_DOI = "10.48550/arxiv."  # arXiv's own DOIs

_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?\s*(10\.[0-9]{4,9}/\S+)\Z", re.IGNORECASE)
_ARXIV = re.compile(
    r"(?:https?://(?:www\.|export\.)?arxiv\.org/(?:abs|pdf)/|arxiv:)?"
    r"([0-9]{4}\.[0-9]{4,5}|[a-z-]+(?:\.[a-z]{2})?/[0-9]{7})(?:v[0-9]+)?(?:\.pdf)?/?\Z",
    re.IGNORECASE,
)


def doi(text: str) -> str | None:
    """The id of a DOI, bare or as an address; an arXiv DOI becomes the arXiv id. None if the text is no DOI."""
    match = _DOI.match(unquote(text).strip())
    if match is None:
        return None
    name = match[1].lower()
    if name.startswith(ARXIV_DOI):
        return arxiv(name.removeprefix(ARXIV_DOI))
    return f"doi:{name}"


def arxiv(text: str) -> str | None:
    """The id of an arXiv id, bare, with `arXiv:` or as an address, without its version. None if it is none."""
    match = _ARXIV.match(text.strip())
    if match is None:
        return None
    archive, slash, number = match[1].lower().partition("/")
    # cs.LG/0701001 and cs/0701001 are one paper: the subject class is not part of an old id.
    return f"arxiv:{archive.partition('.')[0]}/{number}" if slash else f"arxiv:{archive}"


def of_work(work: Work) -> list[str]:
    """The ids under which a work can be asked for, arXiv first: both sources know preprints best by it."""
    ids = [arxiv(work.arxiv) if work.arxiv else None, doi(work.doi) if work.doi else None]
    return list(dict.fromkeys(name for name in ids if name))
