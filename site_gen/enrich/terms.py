"""The key terms of the catalog, and the entries whose texts are most alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from scipy.sparse import csr_matrix

from catalog import Catalog, terms
from catalog.terms import Corpus

ALIKE, REASONS = 5, 4  # entries that are alike, and shared terms shown for each
CLOSE = 0.1  # cosine below which what two texts share is chance


@dataclass(frozen=True)
class Alike:
    """An entry whose text is like another's: the cosine of the two, and the terms that make it."""

    id: str
    cosine: float
    shared: tuple[str, ...]


@dataclass(frozen=True)
class Terms(terms.Terms):
    """The key terms of a catalog, and for each entry, by its id, those that are alike."""

    alike: dict[str, list[Alike]]


def key_terms(catalog: Catalog) -> Terms:
    """The key terms of a catalog, and which entries are alike."""
    found = terms.key_terms(catalog)
    near = dict(zip(found.entries, alike(found.corpus, list(found.entries)), strict=True))
    return Terms(found.entries, found.works, found.families, found.corpus, near)


def alike(corpus: Corpus, names: Sequence[str]) -> list[list[Alike]]:
    """For each entry the others of the highest cosine, and the shared terms that add most to it."""
    lengths = numpy.cumsum([0, *(len(row) for row in corpus.entries)])
    places = [index for row in corpus.entries for index in row]
    weights = [weight for row in corpus.entries for weight in row.values()]
    matrix = csr_matrix((weights, places, lengths), shape=(len(corpus.entries), len(corpus.keys)))
    found = []
    for number, row in enumerate(corpus.entries):
        cosines = numpy.round((matrix @ matrix[number].T).toarray().ravel(), 6)
        order = sorted((-cosines[other], names[other], other) for other in numpy.flatnonzero(cosines >= CLOSE)
                       if other != number)  # fmt: skip
        near = []
        for cosine, name, other in order[:ALIKE]:
            both = {index: weight * corpus.entries[other][index] for index, weight in row.items()
                    if index in corpus.entries[other]}
            shared = corpus.best(both, REASONS, corpus.common)
            near.append(Alike(name, float(-cosine), tuple(term.text for term in shared)))
        found.append(near)
    return found
