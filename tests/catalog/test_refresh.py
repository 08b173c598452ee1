"""Refreshing the citation lists, against servers on this machine that answer well, badly, late and not at all."""

from __future__ import annotations

import email.utils
import os
import random
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest

import catalog as reading
from catalog import Catalog, bibliography
from catalog.model import CitationList
from catalog.reader import parse
from catalog.refresh import (
    Answers,
    Client,
    OpenAlex,
    RefreshError,
    Result,
    SemanticScholar,
    Unreachable,
    client,
    identifiers,
    refresh,
    works_to_ask,
    writing,
)
from catalog.refresh.client import NoAnswer
from catalog.refresh.proposing import Addition, Index, is_from_source, plain_title, propose
from catalog.refresh.sources import CitedWork, Listing
from tests.catalog.stub_apis import (
    LISTS,
    MORE,
    StubApis,
    dripping,
    half,
    half_of_chunks,
    hang_up,
    paper,
    reply,
    running,
    silent,
    status,
)

TODAY = date(2026, 11, 21)

@dataclass
class FakeTime:
    """A clock that waits in no time and remembers how long it would have been."""

    waits: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.waits)

    def time(self) -> float:
        return 1_800_000_000.0 + sum(self.waits)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.waits.append(seconds)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubApis]:
    with running(monkeypatch) as apis:
        yield apis


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def lists(zoo) -> Path:
    """citations.yml of a catalog with six works, five of which have an id."""
    with zoo.bibliography.open("a", encoding="utf-8") as file:
        file.write(MORE)
    path = zoo.root / "citations.yml"
    path.write_text(LISTS, encoding="utf-8")
    return path


@dataclass
class Bench:
    """Runs a refresh of the small catalog against the stub."""

    root: Path
    stub: StubApis
    clock: FakeTime
    today: date = TODAY
    max_age: int = 30
    sources: tuple[type, ...] = (OpenAlex, SemanticScholar)

    def client(self, name: str = "Stub", **more) -> Client:
        arguments = {"user_agent": "compression-zoo/test", "interval": 1.0, "headers": {}, "parameters": {},
                     "clock": self.clock, "jitter": lambda: 0.0, "socket_timeout": 5.0, "answer_timeout": 5.0} | more
        return Client(name, arguments.pop("base", self.stub.url), **arguments)

    def run(self, *only: str, limit: int | None = None, accept_titles: bool = False, **more) -> Result:
        with closing(Answers(self.root.parent / "kept", self.today, self.max_age)) as answers:
            sources = [source(self.client(source.title, **more), answers) for source in self.sources]
            return refresh(self.catalog, works_to_ask(self.catalog, only), sources, limit, accept_titles)

    @property
    def catalog(self) -> Catalog:
        """As much of the catalog as a refresh needs; reading and checking all of it takes long."""
        works, problems = bibliography.read(self.root / "references.bib")
        assert not problems
        return Catalog(self.root, self.root.parent, bibliography=works)

    def write(self, result: Result) -> None:
        writing.write(self.root / "citations.yml", result.new)


@pytest.fixture
def bench(lists, stub, clock) -> Bench:
    return Bench(lists.parent, stub, clock)


@pytest.fixture
def openalex(bench) -> Bench:
    bench.sources = (OpenAlex,)
    return bench


@pytest.fixture
def scholar(bench) -> Bench:
    bench.sources = (SemanticScholar,)
    return bench


def added(result: Result) -> dict[str, list[str]]:
    """Citing work to what is added, over all witnesses."""
    found: dict[str, list[str]] = {}
    for part in result.plan.additions:
        found.setdefault(part.citing, []).extend(part.cited)
    return found


# --- ids -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("10.1000/Four", "doi:10.1000/four"), ("https://doi.org/10.1000/four", "doi:10.1000/four"),
        ("http://dx.doi.org/10.1000/four", "doi:10.1000/four"), ("doi:10.1000/a(1)<2>", "doi:10.1000/a(1)<2>"),
        ("https://doi.org/10.1000/a%282%29", "doi:10.1000/a(2)"),
        ("10.48550/arXiv.2210.17323", "arxiv:2210.17323"), ("10.48550/arxiv.cs/0701001", "arxiv:cs/0701001"),
        ("ten.1000/four", None), ("10.1000", None), ("", None),
    ],
)  # fmt: skip
def test_doi(text: str, name: str | None) -> None:
    assert identifiers.doi(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2210.17323", "arxiv:2210.17323"), ("arXiv:2210.17323v2", "arxiv:2210.17323"),
        ("http://arxiv.org/abs/2210.17323v12", "arxiv:2210.17323"),
        ("https://arxiv.org/pdf/2210.17323.pdf", "arxiv:2210.17323"), ("0704.0001", "arxiv:0704.0001"),
        ("cs.LG/0701001", "arxiv:cs/0701001"), ("hep-th/9901001", "arxiv:hep-th/9901001"),
        ("https://example.org/abs/2210.17323", None), ("2210.173", None), ("10.1000/four", None), ("", None),
    ],
)  # fmt: skip
def test_arxiv(text: str, name: str | None) -> None:
    assert identifiers.arxiv(text) == name


def test_works_to_ask_are_those_with_an_id(bench) -> None:
    catalog = bench.catalog
    assert reading.load(bench.root).bibliography == catalog.bibliography
    keys = ["fifth2018five", "first2020one", "fourth2019four", "sixth2023six", "third2022three"]
    assert [work.key for work in works_to_ask(catalog)] == keys
    assert [work.key for work in works_to_ask(catalog, ["sixth2023six", "second2021two"])] == ["sixth2023six"]
    assert identifiers.of_work(catalog.bibliography["sixth2023six"]) == ["arxiv:2301.00006", "doi:10.1000/six"]


# --- proper answers ------------------------------------------------------------------------------------------------


def known_to_openalex(stub: StubApis) -> None:
    """Six cites one, four and five; four cites five; one is known twice, as paper and as preprint."""
    stub.work(1, "10.1000/one")
    stub.work(11, "10.48550/arxiv.2001.00001", arxiv="2001.00001")
    stub.work(3, "10.48550/arxiv.2210.17323", cites=(1,))
    stub.work(4, "10.1000/four", cites=(5, 99))
    stub.work(5, "10.48550/arxiv.1801.00005")
    stub.work(6, "10.1000/six", cites=(11, 4, 5, 99, 100), arxiv="2301.00006")
    stub.work(100, "10.9999/elsewhere")


def test_openalex(openalex, stub) -> None:
    known_to_openalex(stub)
    result = openalex.run()
    assert not result.failures and not result.left
    assert added(result) == {"sixth2023six": ["fifth2018five", "first2020one", "fourth2019four"]}
    count = result.plan.counts["openalex"]
    assert (count.references, count.matched, count.unmatched, count.doubtful) == (8, 5, 3, 0)
    states = {listing.work: listing.state for listing in result.listings}
    assert states["first2020one"] == "empty" and states["sixth2023six"] == "listed"


def test_the_diff_is_what_is_written_and_the_catalog_stays_valid(openalex, stub) -> None:
    known_to_openalex(stub)
    result = openalex.run()
    path = openalex.root / "citations.yml"
    assert path.read_text(encoding="utf-8") == LISTS == result.old  # nothing is written by asking
    assert result.diff == """\
--- a/catalog/citations.yml
+++ b/catalog/citations.yml
@@ -4,6 +4,13 @@
   witness: "PDF"  # read on paper
   complete: false
   cited: [fifth2018five]
+sixth2023six:
+  witness: >-
+    OpenAlex works API, asked for arxiv:2301.00006 and doi:10.1000/six on 2026-11-21; 5 references listed, 3 of them
+    matched by DOI or arXiv id
+  complete: false
+  cited:
+    [fifth2018five, first2020one, fourth2019four]
 
 # The last one.
 third2022three:
"""
    openalex.write(result)
    catalog = reading.load(openalex.root)
    assert catalog.citations["sixth2023six"].cited == ["fifth2018five", "first2020one", "fourth2019four"]
    assert catalog.citations["sixth2023six"].complete is False


def test_semantic_scholar(scholar, stub) -> None:
    stub.papers["ARXIV:2301.00006"] = [
        paper("10.1000/ONE"), paper(arxiv="1801.00005"), paper(), paper("10.48550/arXiv.2001.00001"), paper("10.9/x")
    ]  # fmt: skip
    stub.papers["DOI:10.1000/four"] = []
    result = scholar.run()
    assert added(result) == {"sixth2023six": ["fifth2018five", "first2020one"]}
    assert result.plan.additions[0].witness == (
        "Semantic Scholar Graph API, asked for arxiv:2301.00006 on 2026-11-21; 5 references listed, "
        "2 of them matched by DOI or arXiv id"
    )
    states = {listing.work: listing.state for listing in result.listings}
    assert states == {"sixth2023six": "listed", "fourth2019four": "empty", "fifth2018five": "unknown",
                      "first2020one": "unknown", "third2022three": "unknown"}  # fmt: skip
    # The DOI is only asked for where the arXiv id gave no list.
    assert "/graph/v1/paper/DOI:10.1000/six/references" not in {asked.path for asked in stub.asked}
    assert "/graph/v1/paper/DOI:10.1000/one/references" in {asked.path for asked in stub.asked}


def test_a_list_that_the_publisher_withholds_says_nothing(scholar, stub, lists) -> None:
    stub.papers["DOI:10.1000/four"] = None
    result = scholar.run("fourth2019four")
    assert [listing.state for listing in result.listings] == ["withheld"]
    assert not result.plan.conflicts and not result.diff and not result.failures


def test_every_page_is_read(bench, stub) -> None:
    known_to_openalex(stub)
    stub.per_page = 2
    stub.papers["ARXIV:2301.00006"] = [paper("10.9/x")] * 4 + [paper("10.1000/one")]
    result = bench.run()
    assert added(result) == {"sixth2023six": ["fifth2018five", "first2020one", "fourth2019four"]}
    assert len(stub.of("/graph/v1/paper/ARXIV:2301.00006")) == 3
    assert result.plan.counts["openalex"].references == 8


def test_a_merged_preprint_is_asked_for_alone(openalex, stub) -> None:
    stub.work(4, "10.1000/four")
    stub.work(7, "10.7777/journal", cites=(4,), arxiv="1801.00005v3")
    stub.merged["10.48550/arxiv.1801.00005"] = "W7"
    result = openalex.run("fifth2018five")
    assert added(result) == {"fifth2018five": ["fourth2019four"]}
    assert [asked.path for asked in stub.asked] == ["/works", "/works/doi:10.48550/arxiv.1801.00005", "/works/W7",
                                                    "/works"]  # fmt: skip


def test_paper_and_preprint_are_one_work(openalex, stub) -> None:
    """OpenAlex often keeps both, each with a list of its own."""
    known_to_openalex(stub)
    stub.work(66, "10.48550/arxiv.2301.00006", cites=(3, 4, 99))
    result = openalex.run("sixth2023six")
    (found,) = result.listings
    assert found.asked == ["arxiv:2301.00006", "doi:10.1000/six"] and len(found.references) == 6
    assert added(result)["sixth2023six"] == ["fifth2018five", "first2020one", "fourth2019four", "third2022three"]


def test_only_addresses_at_arxiv_say_which_work_it_is(openalex, stub) -> None:
    """A record may list an address of another version, or of another work by mistake."""
    stub.work(4, "10.1000/four", cites=(8, 9))
    stub.work(8, "10.8888/eight")
    stub.works["W8"]["locations"] = [{"landing_page_url": "https://doi.org/10.1000/one", "pdf_url": None}]
    stub.work(9)
    stub.works["W9"]["locations"] = [{"landing_page_url": None, "pdf_url": "https://arxiv.org/pdf/2210.17323v1.pdf"}]
    assert added(openalex.run("fourth2019four")) == {"fourth2019four": ["third2022three"]}


def test_a_work_with_a_list_is_not_asked_for_again_alone(openalex, stub) -> None:
    stub.work(6, "10.1000/six", cites=(4,))
    stub.work(4, "10.1000/four")
    openalex.run("sixth2023six")
    assert not stub.of("/works/doi:")


def test_many_works_take_few_requests(stub, clock, tmp_path) -> None:
    works = "".join(
        f"@misc{{w{1000 + n}x,\n  title = {{T {n}}},\n  author = {{A, B}},\n  year = {{2020}},\n"
        f"  doi = {{10.1000/{n}}},\n}}\n\n" for n in range(120)
    )  # fmt: skip
    parsed, problems = bibliography.parse(works)
    assert not problems
    for n in range(120):
        stub.work(n + 1, f"10.1000/{n}", cites=tuple(range(1000 + n, 1010 + n)))
    for n in range(1000, 1130):
        stub.work(n, f"10.2000/{n}")
    bench = Bench(tmp_path, stub, clock)
    with closing(Answers(tmp_path, TODAY, 30)) as answers:
        source = OpenAlex(bench.client(), answers)
        source.fill(parsed.values(), lambda line: None)
        listings = [source.read(work) for work in parsed.values()]
    assert all(isinstance(listing, Listing) and len(listing.references) == 10 for listing in listings)
    assert len(stub.asked) == 3 + 2  # 50 DOIs, 100 ids a request


def test_who_is_asking(bench, stub) -> None:
    bench.sources = (OpenAlex,)
    bench.run("fourth2019four", user_agent="compression-zoo/1 (mailto:a@b.org)", parameters={"mailto": "a@b.org"})
    assert {asked.headers["User-Agent"] for asked in stub.asked} == {"compression-zoo/1 (mailto:a@b.org)"}
    assert {asked.query["mailto"] for asked in stub.asked} == {"a@b.org"}


def test_nothing_but_this_machine_was_reached(bench, stub) -> None:
    """Any other connection would have failed; and each one that was made was a request to the stub."""
    known_to_openalex(stub)
    bench.run()
    assert stub.connections == len(stub.asked) > 0
    with pytest.raises(AssertionError, match="a look-up of api.openalex.org"):
        bench.run(base=OpenAlex.address)


# --- manners -------------------------------------------------------------------------------------------------------


def test_requests_keep_their_distance(openalex, stub, clock) -> None:
    known_to_openalex(stub)
    openalex.run(interval=3.0)
    assert len(clock.waits) == len(stub.asked) - 1  # none before the first
    assert all(2.5 < wait <= 3.0 for wait in clock.waits)


def test_retry_after_in_seconds(openalex, stub, clock) -> None:
    known_to_openalex(stub)
    stub.faults = [status(429, {"Retry-After": "47"}), status(503, {"Retry-After": "0"})]
    result = openalex.run()
    assert added(result)["sixth2023six"] and not result.failures
    assert 47.0 in clock.waits and 2.0 in clock.waits  # 0 is answered with the own wait, 4 * 0.5


def test_retry_after_as_a_date(openalex, stub, clock) -> None:
    stub.faults = [status(429, {"Retry-After": email.utils.formatdate(clock.time() + 90, usegmt=True)})]
    openalex.run("fourth2019four")
    assert any(85 < wait <= 90 for wait in clock.waits)


@pytest.mark.parametrize("value", ["soon", "-5", "", "1e9", "9" * 400, "Sat, 99 Foo 2026 00:00:00 GMT"])
def test_nonsense_in_retry_after_is_not_waited_for(openalex, stub, clock, value: str) -> None:
    stub.faults = [status(429, {"Retry-After": value})]
    assert not openalex.run("fourth2019four").failures
    assert max(clock.waits) <= 60


def test_a_long_retry_after_ends_this_source_but_not_the_other(bench, stub, clock) -> None:
    stub.papers["ARXIV:2301.00006"] = [paper("10.1000/one")]
    stub.always = lambda asked: status(429, {"Retry-After": "36000"}) if asked.path.startswith("/works") else None
    result = bench.run()
    assert len(stub.of("/works")) == 1 and max(clock.waits) <= 60
    assert {failure.source for failure in result.failures} == {"openalex"} and len(result.failures) == 5
    assert result.failures[0].reason == "OpenAlex asks to wait 10 hours before the next request"
    assert added(result) == {"sixth2023six": ["first2020one"]}


def test_the_waits_grow_and_are_spread(bench, clock, stub) -> None:
    stub.always = lambda asked: status(500)
    with pytest.raises(NoAnswer, match=r"HTTP 500 \(5 attempts\)"):
        bench.client(interval=0.001).get("/works")
    assert [wait for wait in clock.waits if wait > 0.5] == [1.0, 2.0, 4.0, 8.0]  # jitter 0: half of 2, 4, 8, 16
    assert len(stub.asked) == client.ATTEMPTS
    clock.waits.clear()
    with pytest.raises(NoAnswer):
        bench.client(interval=0.001, jitter=random.Random(0).random).get("/works")
    spread = [wait for wait in clock.waits if wait > 0.5]
    assert all(half <= wait < 2 * half for wait, half in zip(spread, (1, 2, 4, 8), strict=True))
    assert spread != [1.0, 2.0, 4.0, 8.0]


def test_a_source_that_only_fails_is_left_alone(scholar, stub) -> None:
    stub.always = lambda asked: status(500)
    result = scholar.run()
    assert len(stub.asked) == 3 * client.ATTEMPTS  # and not 5 works, 8 ids
    assert len(result.failures) == 5 and not result.diff
    assert result.failures[-1].reason == (
        "Semantic Scholar gave no proper answer 3 times in a row; the last: HTTP 500 (5 attempts)"
    )


def test_faults_that_are_not_in_a_row_do_not_end_it(scholar, stub) -> None:
    broken = ("ARXIV:1801.00005", "DOI:10.1000/one", "ARXIV:2301.00006")
    stub.always = lambda asked: reply([]) if any(name in asked.path for name in broken) else None
    result = scholar.run()
    assert [failure.work for failure in result.failures] == ["fifth2018five", "first2020one", "sixth2023six"]
    assert [listing.work for listing in result.listings] == ["fourth2019four", "third2022three"]


def test_401_names_the_key(scholar, stub) -> None:
    stub.always = lambda asked: status(401)
    result = scholar.run()
    assert len(stub.asked) == 1 and "API key" in result.failures[0].reason


# --- bad answers ---------------------------------------------------------------------------------------------------

PASSING = {
    "500": status(500), "502": status(502), "429": status(429), "403": status(403), "half an answer": half,
    "half of the chunks": half_of_chunks, "no answer": hang_up, "HTML": reply(b"<html><body>Welcome</body></html>"),
    "empty": reply(b""), "not UTF-8": reply(b'{"data": "\xff\xfe"}'), "too deep": reply(b"[" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
def test_passing_faults_are_tried_again(bench, stub, clock, name: str) -> None:
    known_to_openalex(stub)
    stub.papers["ARXIV:1801.00005"] = [paper("10.1000/four")]
    good = bench.run()
    bench.root.parent.joinpath("kept", "answers.sqlite").unlink()
    stub.asked.clear()
    stub.faults = [PASSING[name], PASSING[name], None, PASSING[name]] + [None] * 6 + [PASSING[name]]
    result = bench.run()
    assert not result.failures and result.diff == good.diff != ""
    assert not stub.faults


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_is_a_failure_and_not_an_empty_list(scholar, stub, name: str) -> None:
    stub.always = lambda asked: PASSING[name] if "1801.00005" in asked.path else None
    stub.papers["ARXIV:2301.00006"] = [paper("10.1000/one")]
    result = scholar.run()
    assert [failure.work for failure in result.failures] == ["fifth2018five"]
    assert "(5 attempts)" in result.failures[0].reason
    assert added(result) == {"sixth2023six": ["first2020one"]}
    stub.always = lambda asked: None  # a failure is not kept: the next run asks again, and only this
    stub.papers["ARXIV:1801.00005"] = [paper("10.1000/four")]
    stub.asked.clear()
    again = scholar.run()
    assert added(again) == {"sixth2023six": ["first2020one"], "fifth2018five": ["fourth2019four"]}
    assert len(stub.asked) == 1 and not again.failures


SCHOLAR_NONSENSE = {
    "a list": [], "a number": 3, "no data": {"offset": 0}, "data is text": {"data": "none"},
    "no citedPaper": {"data": [{"paper": {}}]}, "citedPaper is null": {"data": [{"citedPaper": None}]},
    "year is text": {"data": [{"citedPaper": {"year": "2020"}}]},
    "ids are a list": {"data": [{"citedPaper": {"externalIds": ["10.1000/one"]}}]},
    "DOI is a number": {"data": [{"citedPaper": {"externalIds": {"DOI": 10.1}}}]},
    "next is text": {"data": [], "next": "1000"}, "next goes back": {"data": [], "next": 0},
    "next is far away": {"data": [], "next": 10**9},
    "huge list": {"data": [{"citedPaper": {}}] * 1001},
}  # fmt: skip


@pytest.mark.parametrize("name", SCHOLAR_NONSENSE)
def test_nonsense_of_semantic_scholar(scholar, stub, name: str) -> None:
    stub.always = lambda asked: reply(SCHOLAR_NONSENSE[name]) if "1801.00005" in asked.path else None
    stub.papers["ARXIV:2301.00006"] = [paper("10.1000/one")]
    result = scholar.run()
    assert [failure.work for failure in result.failures] == ["fifth2018five"]
    assert added(result) == {"sixth2023six": ["first2020one"]}
    assert len(stub.of("/graph/v1/paper/ARXIV:1801.00005")) == 1  # the same question would get the same answer


OPENALEX_NONSENSE = {
    "a list": [], "no results": {"meta": {"count": 1}}, "results are text": {"meta": {"count": 1}, "results": "W1"},
    "no count": {"meta": {}, "results": []}, "count is text": {"meta": {"count": "1"}, "results": []},
    "huge list": {"meta": {"count": 5000}, "results": [{}] * 1001},
}  # fmt: skip


@pytest.mark.parametrize("name", OPENALEX_NONSENSE)
def test_nonsense_of_openalex_lists(openalex, stub, name: str) -> None:
    """A list that is nonsense is replaced by asking for each work alone; the cited works stay unknown."""
    known_to_openalex(stub)
    stub.always = lambda asked: reply(OPENALEX_NONSENSE[name]) if asked.path == "/works" else None
    result = openalex.run("fifth2018five", "fourth2019four")
    assert [failure.work for failure in result.failures] == ["fourth2019four"]
    assert "not of the documented form" in result.failures[0].reason
    assert [(listing.work, listing.state) for listing in result.listings] == [("fifth2018five", "empty")]
    assert not result.diff


@pytest.mark.parametrize(
    "change",
    [
        {"id": "W6"}, {"id": "https://openalex.org/A6"}, {"doi": 5}, {"publication_year": "2020"},
        {"referenced_works": "W1"}, {"referenced_works": None}, {"referenced_works": [1]},
        {"referenced_works": ["https://openalex.org/W1"] * 10_001}, {"locations": {}}, {"title": ["a"]},
        {"doi": "https://doi.org/10.5555/another"},
    ],
)  # fmt: skip
def test_nonsense_in_a_record_of_openalex(openalex, stub, change: dict) -> None:
    known_to_openalex(stub)
    broken = stub.works["W6"] | change
    if "doi" in change:
        broken["locations"] = []
    stub.always = lambda asked: (
        reply({"meta": {"count": 1}, "results": [broken]}) if asked.query.get("filter", "").startswith("doi:")
        else reply(broken) if asked.path.startswith("/works/doi:") else None
    )  # fmt: skip
    result = openalex.run("sixth2023six")
    assert [failure.work for failure in result.failures] == ["sixth2023six"] and not result.diff


def test_a_missing_field_is_not_an_empty_list(openalex, stub) -> None:
    known_to_openalex(stub)
    for work in stub.works.values():
        del work["referenced_works"]
    result = openalex.run("sixth2023six")
    assert result.failures[0].reason == "the answer has no referenced_works"


def test_an_answer_that_is_too_large_is_not_read_to_its_end(scholar, stub, monkeypatch) -> None:
    monkeypatch.setattr(client, "SIZE_LIMIT", 10_000)
    stub.papers["ARXIV:1801.00005"] = [paper("10.1000/four", title="x" * 100)] * 500
    result = scholar.run("fifth2018five")
    assert result.failures[0].reason == "the answer is larger than 10,000 bytes" and len(stub.asked) == 1


def test_silence_and_dripping_have_an_end(scholar, stub) -> None:
    for fault in (silent(stub), dripping(stub)):
        stub.asked.clear()
        stub.always = lambda asked, fault=fault: fault
        began = time.monotonic()
        result = scholar.run("fifth2018five", socket_timeout=0.1, answer_timeout=0.1)
        assert time.monotonic() - began < 3
        assert result.failures[0].reason == "the answer takes too long (5 attempts)"
        assert len(stub.asked) == client.ATTEMPTS


def test_a_redirect_to_another_host_is_not_followed(scholar, stub) -> None:
    stub.always = lambda asked: status(301, {"Location": "http://example.org/elsewhere"})
    assert "a redirect to another host" in scholar.run("fifth2018five").failures[0].reason
    stub.always = lambda asked: status(302, {"Location": "file:///etc/passwd"})
    assert scholar.run("fifth2018five").failures


def test_without_a_network(bench, clock) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Unreachable, match=r"^OpenAlex cannot be reached at 127\.0\.0\.1:\d+: Connection refused$"):
        bench.run(base=url)
    assert (bench.root / "citations.yml").read_text(encoding="utf-8") == LISTS
    assert [wait for wait in clock.waits if wait > 0.9] == [1.0, 2.0]  # three attempts: it is said soon


def test_keys_stand_in_no_message_and_no_file(bench, stub) -> None:
    stub.always = lambda asked: status(400)
    secret = "sesame-sesame"
    result = bench.run(headers={"x-api-key": secret}, parameters={"api_key": secret})
    assert stub.asked[0].query["api_key"] == secret == stub.asked[0].headers["X-Api-Key"]
    assert result.failures and all(secret not in failure.reason for failure in result.failures)
    stub.always = lambda asked: None
    bench.run(headers={"x-api-key": secret}, parameters={"api_key": secret})
    assert all(secret.encode() not in file.read_bytes() for file in bench.root.parent.joinpath("kept").iterdir())
    bench.stub = stub
    with pytest.raises(Unreachable) as error:
        bench.run(base="http://127.0.0.1:9", parameters={"api_key": secret})
    assert secret not in str(error.value)


# --- going on after an interruption --------------------------------------------------------------------------------


def wealth(stub: StubApis) -> None:
    known_to_openalex(stub)
    stub.papers |= {"ARXIV:1801.00005": [paper("10.1000/four")], "ARXIV:2301.00006": [paper("10.1000/one")],
                    "DOI:10.1000/four": [paper(arxiv="2301.00006")]}  # fmt: skip


def test_interrupted_anywhere_it_goes_on_where_it_was(bench, stub, monkeypatch) -> None:
    """Ctrl-C in the middle of the first answer, of the second one, and so on."""
    wealth(stub)
    whole = bench.run()
    number = len(stub.asked)
    once = Client._once
    for interrupted in range(number):
        bench.root.parent.joinpath("kept", "answers.sqlite").unlink()
        stub.asked.clear()

        def broken(self, url, last=interrupted):
            answer = once(self, url)
            if len(stub.asked) > last:
                raise KeyboardInterrupt
            return answer

        monkeypatch.setattr(Client, "_once", broken)
        with pytest.raises(KeyboardInterrupt):
            bench.run()
        assert len(stub.asked) == interrupted + 1
        assert (bench.root / "citations.yml").read_text(encoding="utf-8") == LISTS
        monkeypatch.setattr(Client, "_once", once)
        assert bench.run().diff == whole.diff != ""
        assert len(stub.asked) == number + 1  # the one that was broken off, and no other, is asked again


def test_a_second_run_asks_nothing(bench, stub) -> None:
    wealth(stub)
    first = bench.run()
    stub.asked.clear()
    second = bench.run()
    assert not stub.asked and second.diff == first.diff and second.plan == first.plan


def test_old_answers_are_asked_for_again(bench, stub) -> None:
    wealth(stub)
    bench.run()
    number = len(stub.asked)
    stub.asked.clear()
    bench.today = TODAY + timedelta(days=30)
    kept = bench.run().diff
    assert "on 2026-11-21" in kept and "2026-12-21" not in kept  # the witness names the day of the answer
    assert not stub.asked
    bench.today += timedelta(days=1)
    assert "on 2026-12-22" in bench.run().diff and len(stub.asked) == number


def test_answers_of_another_server_do_not_count(bench, stub) -> None:
    wealth(stub)
    bench.run()
    other = StubApis()
    try:
        bench.stub = other
        assert not bench.run().diff and other.asked
    finally:
        other.close()


def test_limit(scholar, stub) -> None:
    wealth(stub)
    result = scholar.run(limit=1)
    assert added(result) == {"fifth2018five": ["fourth2019four"]} and len(stub.asked) == 1
    assert not result.failures and result.left == ["first2020one", "fourth2019four", "sixth2023six", "third2022three"]
    assert scholar.run(limit=0).diff == result.diff and len(stub.asked) == 1
    assert scholar.run(limit=3).left == ["third2022three"]  # what is kept does not count
    assert scholar.run().left == []


def test_a_broken_store_is_named(bench) -> None:
    kept = bench.root.parent / "kept"
    kept.mkdir()
    (kept / "answers.sqlite").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(RefreshError, match="answers.sqlite cannot be used .*delete it"):
        bench.run()


# --- what is proposed ----------------------------------------------------------------------------------------------


def test_lists_that_were_read_are_kept_letter_by_letter(bench, stub) -> None:
    stub.work(3, "10.48550/arxiv.2210.17323", cites=(4,))
    stub.work(4, "10.1000/four", cites=(1,))
    stub.work(1, "10.1000/one")
    stub.papers["DOI:10.1000/four"] = [paper(arxiv="2301.00006"), paper("10.1000/one"), paper(arxiv="1801.00005")]
    result = bench.run()
    lines = iter(result.new.splitlines())
    assert all(line in lines for line in LISTS.splitlines())  # all of them, in their order
    bench.write(result)
    lists = reading.load(bench.root).citations
    four = lists["fourth2019four"]
    assert (four.witness, four.complete, four.cited) == ("PDF", False, ["fifth2018five"])
    assert [(part.witness.partition(",")[0], part.cited) for part in four.also] == [
        ("OpenAlex works API", ["first2020one"]), ("Semantic Scholar Graph API", ["sixth2023six"])
    ]  # fmt: skip
    assert four.all_cited == ["fifth2018five", "first2020one", "sixth2023six"]
    # Read whole: nothing is added, the disagreement is reported, and so is what the source lacks.
    three = lists["third2022three"]
    assert three.complete and not three.also and three.cited == ["first2020one", "second2021two"]
    conflicts = {(part.kind, part.citing, part.cited, part.source) for part in result.plan.conflicts}
    assert conflicts == {
        ("adds", "third2022three", "fourth2019four", "openalex"),
        ("lacks", "third2022three", "first2020one", "openalex"),  # not second2021two: it has no id to be named by
        ("lacks", "fourth2019four", "fifth2018five", "openalex"),
    }


def test_an_empty_list_lacks_nothing(bench, stub) -> None:
    """OpenAlex knows many works without a single reference of theirs; that is no statement about the edges."""
    stub.work(4, "10.1000/four")
    stub.papers["DOI:10.1000/four"] = []
    assert not bench.run().plan.conflicts


def test_an_edge_of_both_sources_is_added_once(bench, stub) -> None:
    known_to_openalex(stub)
    stub.papers["ARXIV:2301.00006"] = [paper("10.1000/one"), paper(arxiv="2001.00001"), paper(arxiv="2210.17323")]
    result = bench.run()
    six = [part for part in result.plan.additions if part.citing == "sixth2023six"]
    assert [(part.source, part.cited) for part in six] == [
        ("openalex", ["fifth2018five", "first2020one", "fourth2019four"]), ("semantic-scholar", ["third2022three"])
    ]  # fmt: skip
    bench.write(result)
    assert reading.load(bench.root).citations["sixth2023six"].also[0].cited == ["third2022three"]


def test_what_was_written_is_not_proposed_again(bench, stub) -> None:
    wealth(stub)
    first = bench.run()
    bench.write(first)
    assert bench.run().diff == ""
    assert not [part for part in bench.run().plan.conflicts if part.citing == "sixth2023six"]
    # A list that later loses an edge takes nothing away; one that gains one gets a further witness.
    stub.works["W6"]["referenced_works"] = ["https://openalex.org/W3"]
    bench.today = TODAY + timedelta(days=60)
    later = bench.run()
    assert added(later) == {"sixth2023six": ["third2022three"]}
    bench.write(later)
    six = reading.load(bench.root).citations["sixth2023six"]
    assert six.cited == first.plan.additions[-1].cited and "2027-01-20" in six.also[0].witness


def test_a_work_does_not_cite_itself(bench, stub) -> None:
    stub.work(6, "10.1000/six", cites=(6, 7))
    stub.work(7, "10.48550/arxiv.2301.00006")
    assert bench.run("sixth2023six").diff == ""


TITLED = CitedWork([], "Work four - uber TESTS", 2019)


def listing(*references: CitedWork, work: str = "sixth2023six", source: str = "openalex") -> Listing:
    return Listing(work, source, "listed", ["doi:10.1000/six"], TODAY, list(references))


def test_titles_are_shown_and_not_taken(bench, stub) -> None:
    stub.papers["ARXIV:2301.00006"] = [paper(title="work four: Über tests!", year=2019)]
    bench.sources = (SemanticScholar,)
    result = bench.run()
    assert not result.diff and not result.plan.additions
    (doubt,) = result.plan.doubts
    assert (doubt.kind, doubt.citing, doubt.cited) == ("title", "sixth2023six", ["fourth2019four"])
    accepted = bench.run(accept_titles=True)
    assert added(accepted) == {"sixth2023six": ["fourth2019four"]} and not accepted.plan.doubts
    assert accepted.plan.additions[0].witness.endswith("matched by exact title and year, not by an id")
    bench.write(accepted)
    assert reading.load(bench.root).citations["sixth2023six"].cited == ["fourth2019four"]
    assert not bench.run().plan.doubts  # it is in the file now


@pytest.mark.parametrize(
    "cited",
    [
        CitedWork([], "Work Four: Uber Test", 2019),  # nearly
        CitedWork([], "Work Four: Uber Tests", 2020),  # another year
        CitedWork([], "Work Four: Uber Tests", None),
        CitedWork([], None, 2019),
        CitedWork([], "A Work", 2019),
        CitedWork(["arxiv:9901.00001"], "A Sixth Work", 2023),  # the arXiv id says that it is another one
    ],
)  # fmt: skip
def test_titles_that_do_not_count(bench, cited: CitedWork) -> None:
    works = bench.catalog.bibliography
    plan = propose({}, works, [listing(cited, work="first2020one")], accept_titles=True)
    assert not plan.additions and not plan.doubts and plan.counts["openalex"].unmatched == 1


def test_titles_of_two_works_identify_neither(bench) -> None:
    works = dict(bench.catalog.bibliography)
    works["twin2019four"] = works["fourth2019four"].model_copy(
        update={"key": "twin2019four", "fields": works["fourth2019four"].fields | {"doi": "10.1000/twin"}}
    )
    assert Index(works).by_exact_title(TITLED) is None
    assert Index(bench.catalog.bibliography).by_exact_title(TITLED) == "fourth2019four"


def test_ids_of_two_works_identify_neither(bench) -> None:
    both = CitedWork(["arxiv:1801.00005", "doi:10.1000/four"], "A Fifth Work", 2018)
    plan = propose({}, bench.catalog.bibliography, [listing(both)], accept_titles=True)
    assert not plan.additions
    assert [(doubt.kind, doubt.cited) for doubt in plan.doubts] == [("two works", ["fifth2018five", "fourth2019four"])]


def test_the_year_may_be_that_of_the_first_version(bench) -> None:
    index = Index(bench.catalog.bibliography)
    assert index.by_exact_title(CitedWork([], "A sixth work", 2022)) == "sixth2023six"
    assert index.by_exact_title(CitedWork([], "A sixth work", 2021)) is None


def test_plain_title() -> None:
    assert plain_title("LLM.int8(): 8-bit  Über_Tests") == "llmint88bitubertests"


def test_lists_of_a_refresh_are_told_from_lists_that_were_read() -> None:
    assert is_from_source("OpenAlex works API, asked for doi:10.1/x on 2026-11-21; 3 references listed")
    assert not is_from_source("PDF text, compared with OpenAlex works API, asked for doi:10.1/x")


def test_each_list_counts_what_became_of_it(bench) -> None:
    plan = propose({}, bench.catalog.bibliography, [
        listing(CitedWork(["doi:10.1000/one"]), CitedWork(["arxiv:2001.00001"]), CitedWork(["doi:10.9/x"]), CitedWork(),
                TITLED),
    ])  # fmt: skip
    count = plan.counts["openalex"]
    assert (count.references, count.matched, count.unmatched, count.doubtful) == (5, 2, 2, 1)
    assert plan.additions[0].cited == ["first2020one"] and "1 of them matched" in plan.additions[0].witness


# --- the file ------------------------------------------------------------------------------------------------------


def addition(citing: str, *cited: str, witness: str = "OpenAlex works API, asked for x on 2026-11-21") -> Addition:
    return Addition(citing, "openalex", witness, list(cited))


def test_blocks_go_where_their_key_belongs() -> None:
    made = writing.with_additions(LISTS, [addition("zeta2020z", "a2000a"), addition("beta2020b", "a2000a"),
                                          addition("sixth2023six", "a2000a"), addition("gamma2020g", "a2000a")])
    keys = list(parse(made).data)
    assert keys == ["beta2020b", "fourth2019four", "gamma2020g", "sixth2023six", "third2022three", "zeta2020z"]
    assert made.startswith("# Who cites whom.\n# To add a list: one more block.\nbeta2020b:\n")
    assert "\n\n# The last one.\nthird2022three:\n" in made and made.endswith("    [a2000a]\n")


def test_a_further_witness_stands_at_the_end_of_the_block() -> None:
    once = writing.with_additions(LISTS, [addition("fourth2019four", "a2000a", "b2000b")])
    assert """\
  cited: [fifth2018five]
  also:
    - witness: "OpenAlex works API, asked for x on 2026-11-21"
      cited:
        [a2000a, b2000b]

# The last one.
""" in once
    twice = writing.with_additions(once, [addition("fourth2019four", "c2000c"), addition("fourth2019four", "d2000d")])
    record = CitationList.model_validate(parse(twice).data["fourth2019four"])
    assert [part.cited for part in record.also] == [["a2000a", "b2000b"], ["c2000c"], ["d2000d"]]


def test_also_may_stand_before_other_keys() -> None:
    text = ("a2000a:\n  also:\n    - witness: x\n      cited: [b2000b]\n  # how it was read\n"
            "  witness: PDF\n  complete: false\n  cited: [c2000c]\n")
    made = writing.with_additions(text, [addition("a2000a", "d2000d")])
    assert [part["cited"] for part in parse(made).data["a2000a"]["also"]] == [["b2000b"], ["d2000d"]]


@pytest.mark.parametrize(
    "text",
    [
        "a2000a: {witness: PDF, complete: false, cited: [b2000b]}\n",
        "a2000a:\n  witness: PDF\n  complete: false\n  cited: [b2000b]\n  also: []\n",
        "{}\n",
    ],
)
def test_a_form_that_lines_cannot_be_added_to_is_refused(text: str) -> None:
    with pytest.raises(RefreshError, match="not in the form that lines can be added to"):
        writing.with_additions(text, [addition("a2000a", "c2000c")])


def test_special_signs_and_long_lists() -> None:
    keys = [f"author{n}x" for n in range(1000, 1100)]
    witness = 'A "quoted" \\ witness: with # signs, - and \u00fc'
    made = writing.with_additions(LISTS, [addition("gamma2020g", *keys, witness=witness),
                                          addition("gamma2020g", "z2000z", witness=witness * 4)])
    record = parse(made).data["gamma2020g"]
    assert record["witness"] == witness and record["cited"] == keys and record["also"][0]["witness"] == witness * 4
    assert max(map(len, made.splitlines())) <= 120


def test_the_real_file_takes_additions(real) -> None:
    text = (real / "citations.yml").read_text(encoding="utf-8")
    lists = writing.citations_of(text)
    catalog = reading.check()[0]
    free = [key for key in catalog.bibliography if key not in lists]
    draw = random.Random(5)
    additions = [addition(key, *sorted(draw.sample(free, 30))) for key in sorted(draw.sample(list(lists), 20))]
    additions += [addition(key, *draw.sample(list(lists), 1)) for key in sorted(draw.sample(free, 20))]
    made = writing.with_additions(text, additions)
    lines = iter(made.splitlines())
    assert all(line in lines for line in text.splitlines())
    new = writing.citations_of(made)
    assert list(new) == sorted({*lists, *(part.citing for part in additions)})
    assert all(set(new[part.citing].all_cited) >= set(part.cited) for part in additions)
    assert writing.with_additions(text, []) == text and writing.diff(text, text, "x") == ""


def test_a_file_without_a_last_line_end() -> None:
    text = LISTS.rstrip("\n")
    made = writing.with_additions(text, [addition("zeta2020z", "a2000a")])
    assert parse(made).data["zeta2020z"]["cited"] == ["a2000a"]
    assert "-  cited: [first2020one, second2021two]\n\\ No newline at end of file\n" in writing.diff(text, made, "x")


def test_writing_is_all_or_nothing(lists, monkeypatch) -> None:
    lists.chmod(0o640)
    writing.write(lists, "a: b\n")
    assert lists.read_text(encoding="utf-8") == "a: b\n" and stat.S_IMODE(lists.stat().st_mode) == 0o640

    def fail(*paths):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        writing.write(lists, "c: d\n")
    assert lists.read_text(encoding="utf-8") == "a: b\n"
    assert not [path for path in lists.parent.iterdir() if path.name.startswith(".")]


def test_a_link_stays_a_link(lists, tmp_path) -> None:
    link = tmp_path / "link.yml"
    link.symlink_to(lists)
    writing.write(link, "a: b\n")
    assert link.is_symlink() and lists.read_text(encoding="utf-8") == "a: b\n"


def test_an_edit_made_meanwhile_is_kept(bench, stub, lists) -> None:
    known_to_openalex(stub)

    def edit(line: str) -> None:
        if "sixth2023six" not in lists.read_text(encoding="utf-8"):
            text = "sixth2023six:\n  witness: PDF\n  complete: false\n  cited: [first2020one]\n"
            lists.write_text(LISTS.replace("third2022three:", f"{text}third2022three:"), encoding="utf-8")

    catalog = bench.catalog
    with closing(Answers(bench.root.parent / "kept", TODAY, 30)) as answers:
        source = OpenAlex(bench.client(), answers)
        result = refresh(catalog, works_to_ask(catalog), [source], progress=edit)
    bench.write(result)
    six = reading.load(bench.root).citations["sixth2023six"]
    assert six.witness == "PDF" and six.also[0].cited == ["fifth2018five", "fourth2019four"]


def test_a_file_that_broke_meanwhile_is_not_touched(bench, stub, lists) -> None:
    catalog = bench.catalog
    lists.write_text("a: [\n", encoding="utf-8")
    with closing(Answers(bench.root.parent / "kept", TODAY, 30)) as answers, pytest.raises(RefreshError):
        refresh(catalog, [], [OpenAlex(bench.client(), answers)])
    assert lists.read_text(encoding="utf-8") == "a: [\n"


# --- the rules for `also` ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cited", "key", "message"),
    [
        ("[sixth2023six, first2020one]", "fourth2019four.also[0].cited[1]", "out of order or twice"),
        ("[fifth2018five]", "fourth2019four.also[0].cited[0]", "another witness names it already"),
        ("[fourth2019four]", "fourth2019four.also[0].cited[0]", "the work cites itself"),
        ("[frist2020one]", "fourth2019four.also[0].cited[0]", "no such work in references.bib"),
        ("[]", "fourth2019four.also[0].cited", "empty"),
    ],
)
def test_rules_for_further_witnesses(zoo, lists, cited: str, key: str, message: str) -> None:
    also = f"[fifth2018five]\n  also:\n    - witness: X\n      cited: {cited}\n"
    lists.write_text(LISTS.replace("[fifth2018five]\n", also), encoding="utf-8")
    problem = zoo.only_problem()
    assert (problem.key, problem.message) == (key, message)
