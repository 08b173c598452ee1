"""OpenAlex and Semantic Scholar on 127.0.0.1, as far as a refresh needs them; they can also misbehave on demand."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

MORE = """
@article{fifth2018five,
  title         = {A Fifth Work},
  author        = {Fifth, Fay},
  journal       = {Journal of Tests},
  year          = {2018},
  eprint        = {1801.00005},
  archivePrefix = {arXiv},
}

@article{fourth2019four,
  title   = {Work Four: {\\"U}ber Tests},
  author  = {Fourth, Finn},
  journal = {Journal of Tests},
  year    = {2019},
  doi     = {10.1000/Four},
}

@article{sixth2023six,
  title            = {A Sixth Work},
  author           = {Sixth, Sue},
  journal          = {Journal of Tests},
  year             = {2023},
  doi              = {10.1000/six},
  eprint           = {2301.00006},
  archivePrefix    = {arXiv},
  zoo_first_public = {2022-12},
}
"""

LISTS = """\
# Who cites whom.
# To add a list: one more block.
fourth2019four:
  witness: "PDF"  # read on paper
  complete: false
  cited: [fifth2018five]

# The last one.
third2022three:
  witness: PDF of the second version
  complete: true
  cited: [first2020one, second2021two]
"""


@dataclass(frozen=True)
class Asked:
    """A request that came in."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class StubApis:
    """What both services know, what was asked of them, and how they misbehave.

    `works`: OpenAlex records by OpenAlex id. `merged`: arXiv DOI -> OpenAlex id, found only when asked for alone.
    `papers`: reference lists by Semantic Scholar id (`ARXIV:...`), None where the publisher withholds them.
    `faults`: what to do instead of a proper answer, one of them per request, first come first served; None is a proper
    answer. `always`: the same for every request that it says True for.
    """

    works: dict[str, dict[str, Any]] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    papers: dict[str, list[dict[str, Any]] | None] = field(default_factory=dict)
    faults: list[Callable[[BaseHTTPRequestHandler], None] | None] = field(default_factory=list)
    always: Callable[[Asked], Callable[[BaseHTTPRequestHandler], None] | None] = lambda asked: None
    per_page: int = 100
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0  # of the whole process

    def __post_init__(self) -> None:
        self.gone = threading.Event()  # set when the test is over, so that slow answers end
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(address.query).items()}
                asked = Asked(unquote(address.path), query, dict(self.headers))
                stub.asked.append(asked)
                fault = stub.faults.pop(0) if stub.faults else None
                fault = fault or stub.always(asked)
                if fault is not None:
                    fault(self)
                else:
                    stub.answer(self, asked)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.gone.set()
        self.server.shutdown()
        self.server.server_close()

    def work(
        self, number: int, doi: str | None = None, cites: tuple[int, ...] = (), arxiv: str | None = None,
        title: str | None = None, year: int = 2020,
    ) -> None:
        """Let OpenAlex know a work."""
        self.works[f"W{number}"] = {
            "id": f"https://openalex.org/W{number}",
            "doi": f"https://doi.org/{doi}" if doi else None,
            "title": title or f"Work number {number}",
            "publication_year": year,
            "locations": [{"landing_page_url": f"http://arxiv.org/abs/{arxiv}", "pdf_url": None}] if arxiv else [],
            "referenced_works": [f"https://openalex.org/W{other}" for other in cites],
        }

    def of(self, path: str) -> list[Asked]:
        """The requests whose path begins so."""
        return [asked for asked in self.asked if asked.path.startswith(path)]

    def answer(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        """The proper answer."""
        if asked.path == "/works":
            return self._list(handler, asked)
        if asked.path.startswith("/works/doi:"):
            doi = asked.path.removeprefix("/works/doi:")
            if doi in self.merged:
                return status(301, {"Location": f"/works/{self.merged[doi]}"})(handler)
            found = [work for work in self.works.values() if work["doi"] == f"https://doi.org/{doi}"]
            return reply(_selected(found[0], asked))(handler) if found else status(404)(handler)
        if asked.path.startswith("/works/W"):
            return reply(_selected(self.works[asked.path.removeprefix("/works/")], asked))(handler)
        if asked.path.startswith("/graph/v1/paper/") and asked.path.endswith("/references"):
            return self._references(handler, asked)
        return status(404)(handler)

    def _list(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        kind, _, values = asked.query["filter"].partition(":")
        names = set(values.split("|"))
        assert len(names) <= 100 and len(handler.path) < 4000
        if kind == "doi":
            found = [work for work in self.works.values() if work["doi"] and work["doi"][16:] in names]
        else:
            assert kind == "ids.openalex"
            found = [work for name, work in self.works.items() if name in names]
        page, size = int(asked.query["page"]), min(self.per_page, int(asked.query["per_page"]))
        part = found[(page - 1) * size : page * size]
        reply({
            "meta": {"count": len(found), "page": page, "per_page": size},
            "results": [_selected(work, asked) for work in part],
        })(handler)  # fmt: skip

    def _references(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        name = asked.path.removeprefix("/graph/v1/paper/").removesuffix("/references")
        assert asked.query["fields"] == "title,year,externalIds" and int(asked.query["limit"]) <= 1000
        if name not in self.papers:
            return reply({"error": f"Paper with id {name} not found"}, 404)(handler)
        references = self.papers[name]
        if references is None:
            notice = "Notice: The following paper fields have been elided by the publisher: {'references'}."
            return reply({"data": None, "citingPaperInfo": {"openAccessPdf": {"disclaimer": notice}}})(handler)
        offset, size = int(asked.query["offset"]), min(self.per_page, int(asked.query["limit"]))
        page = {"offset": offset, "data": [{"citedPaper": paper} for paper in references[offset : offset + size]]}
        if offset + size < len(references):
            page["next"] = offset + size
        return reply(page)(handler)


def _selected(work: dict[str, Any], asked: Asked) -> dict[str, Any]:
    fields = asked.query["select"].split(",") if "select" in asked.query else list(work)
    return {name: value for name, value in work.items() if name in fields}


def paper(doi: str | None = None, arxiv: str | None = None, title: str = "A paper", year: int | None = 2020) -> dict:
    """A cited paper as Semantic Scholar describes it."""
    ids = {name: value for name, value in (("DOI", doi), ("ArXiv", arxiv)) if value}
    return {"paperId": "0" * 40, "title": title, "year": year, "externalIds": {**ids, "CorpusId": 1} if ids else None}


# --- answers of every kind -----------------------------------------------------------------------------------------


def reply(data: Any, code: int = 200, headers: dict[str, str] | None = None) -> Callable[..., None]:
    """JSON, or bytes as they are."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:
            handler.close_connection = True

    return send


def status(code: int, headers: dict[str, str] | None = None) -> Callable[..., None]:
    """An answer without anything of use in it."""
    return reply(b"<!doctype html><title>Error</title>", code, headers)


def half(handler: BaseHTTPRequestHandler) -> None:
    """The connection ends in the middle of the announced body, which happens to be JSON up to there."""
    reply({"data": []}, headers={"Content-Length": "400"})(handler)
    handler.close_connection = True


def half_of_chunks(handler: BaseHTTPRequestHandler) -> None:
    """The same for a body in chunks, whose length is not announced."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"c\r\n" + b'{"data": []}' + b"\r\n")
    handler.close_connection = True


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """The connection ends without an answer."""
    handler.close_connection = True


def silent(stub: StubApis) -> Callable[..., None]:
    """Nothing at all, until the test is over."""

    def wait(handler: BaseHTTPRequestHandler) -> None:
        stub.gone.wait(10)
        handler.close_connection = True

    return wait


def dripping(stub: StubApis) -> Callable[..., None]:
    """A byte now and then, without end."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        try:
            while not stub.gone.wait(0.02):
                handler.wfile.write(b" ")
        except OSError:
            pass
        handler.close_connection = True

    return drip


# --- for fixtures --------------------------------------------------------------------------------------------------


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubApis]:
    """The stub, while nothing in this process can reach another machine: no name but 127.0.0.1, no connection."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def checked_connect(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", f"a connection to {address}"
        stub.connections += 1
        return connect(self, address)

    def checked_look_up(host: str, *rest: Any, **more: Any) -> Any:
        assert host == "127.0.0.1", f"a look-up of {host}"
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket.socket, "connect", checked_connect)
    monkeypatch.setattr(socket, "getaddrinfo", checked_look_up)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    stub = StubApis()
    try:
        yield stub
    finally:
        stub.close()
