"""Asks OpenAlex and Semantic Scholar whom the works of references.bib cite, and proposes additions to citations.yml.

The only part of the project that uses the network; nothing imports it but `compzoo citations refresh`.

    client.py      one polite conversation with one web API: distance, retries, limits
    answers.py     what was answered, kept in .cache/citations/, so that an interrupted run goes on where it was
    sources.py     the two APIs: what to ask, and what their answers mean
    identifiers.py DOI and arXiv ids in one spelling
    proposing.py   which edges are new, which disagree with a list that we read, which a person has to confirm
    writing.py     the new citations.yml, its diff, and writing it whole or not at all
    running.py     all of this in order

What may be claimed. A work that a source names is a witnessed edge. A work that it does not name means nothing: sources
leave out what they could not identify (OpenAlex issue 7: "Attention Is All You Need" with no references at all), they
mix the reference lists of versions, and publishers withhold lists. So a list from here is always `complete: false`, and
its witness says which API was asked for which id on which day and how much of its answer was matched. A list that was
read in the paper itself is never changed: new edges stand beside it under `also`, with their own witness; and beside a
list that was read whole nothing is added, because there a missing edge is a statement. Such edges, and edges that we
read and a source lacks, are reported as conflicts.

Cited works are matched by DOI or arXiv id. An exact title with the same year is shown for confirmation, no more.

Facts about the APIs, with their sources:
- OpenAlex, developers.openalex.org: works at /works, one work at /works/doi:10... (guides/get; free of charge), lists
  by `filter=doi:A|B` or `filter=ids.openalex:W1|W2` (guides/filtering; docs.openalex.org, "Filter works"), `per_page` 1
  to 100 with `page` (guides/page-through-results), `select`, the fields of a work (api-reference/works:
  `referenced_works` are OpenAlex ids, `locations[].landing_page_url` holds the arXiv address), errors
  (api-reference/errors: 301 merged work, 403 and 429 too many requests), `api_key` (api-reference/authentication:
  wanted since 2026-02-13, a small daily allowance without), `mailto` (docs.openalex.org, "Rate limits and
  authentication"). That a filter takes 100 values is the limit that public clients use; the old pages say 50, which is
  kept for DOIs because they are long. arXiv registers its ids as DOIs, 10.48550/arXiv.ID. A preprint that was merged
  into its journal version is found under its arXiv DOI only when asked for alone (release notes of paperus 0.1.5).
- Semantic Scholar, api.semanticscholar.org/api-docs/graph: /graph/v1/paper/{id}/references with `fields`, `offset`,
  `limit` up to 1000; {offset, next, data: [{citedPaper}]}, no `next` on the last page; ids ARXIV:... and DOI:...;
  `externalIds` with DOI and ArXiv; 404 for an unknown id; key in the header x-api-key, one request a second with a key,
  a pool shared by all without. `data: null` where the publisher withholds the list (not in the reference; seen in
  answers quoted by several public clients, with `citingPaperInfo.openAccessPdf.disclaimer`).
"""

from catalog.refresh.answers import Answers
from catalog.refresh.client import Client, RefreshError, Unreachable
from catalog.refresh.running import Result, refresh, works_to_ask
from catalog.refresh.sources import OpenAlex, SemanticScholar, Source

__all__ = [
    "Answers", "Client", "OpenAlex", "RefreshError", "Result", "SemanticScholar", "Source", "Unreachable", "refresh",
    "works_to_ask",
]  # fmt: skip
