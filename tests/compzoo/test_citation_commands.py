"""`compzoo citations refresh` as a person or a script meets it, against a server on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import catalog as reading
from compzoo import citation_commands
from tests.catalog.stub_apis import LISTS, MORE, StubApis, paper, reply, running, silent, status

app = typer.Typer()
app.callback()(lambda: None)
citation_commands.register(app)
ROOT = Path(__file__).resolve().parents[2]

# As much of a catalog as a valid one needs without entries.
WORKS = """\
% The works of the test.

@inproceedings{first2020one,
  title         = {{ONE}: A First Work},
  author        = {First, Ada},
  booktitle     = {Proceedings of the Test},
  year          = {2020},
  doi           = {10.1000/one},
  eprint        = {2001.00001},
  archivePrefix = {arXiv},
  zoo_id        = {alpha},
}

@article{second2021two,
  title   = {A Second Work},
  author  = {Second, Bob},
  journal = {Journal of Tests},
  year    = {2021},
}

@misc{third2022three,
  title         = {A Third Work},
  author        = {Third, Eve},
  year          = {2022},
  eprint        = {2210.17323},
  archivePrefix = {arXiv},
}
"""
TAXONOMY = """\
families:
  pruning:
    name: Pruning
    tagline: remove what matters little
    definition: Weights go for good.
    groups:
      magnitude:
        name: Magnitude
        definition: Small weights go.
        in_if: the weights alone are the score
        examples: [third2022three]
"""


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubApis]:
    with running(monkeypatch) as apis:
        yield apis


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A valid catalog without entries, with six works."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "vocabulary.yml").write_bytes((ROOT / "catalog" / "vocabulary.yml").read_bytes())
    for name, text in {"taxonomy.yml": TAXONOMY, "references.bib": WORKS + MORE, "citations.yml": LISTS,
                       "retired.yml": "{}\n", "synonyms.yml": "- [quantization, PTQ]\n"}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody sleeps; what would have been waited for is here."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def run(root: Path, stub: StubApis, waits: list[float], monkeypatch: pytest.MonkeyPatch):
    for name in list(os.environ):
        if name.startswith("COMPZOO_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)

    def invoke(*words: str, code: int = 0, url: str = stub.url):
        addresses = ["--openalex-url", url, "--semantic-scholar-url", url]
        result = CliRunner().invoke(app, ["citations", "refresh", "--catalog", str(root), *addresses, *words])
        assert result.exit_code == code, result.output + result.stderr + repr(result.exception)
        return result

    return invoke


def fill(stub: StubApis) -> None:
    stub.work(4, "10.1000/four", cites=(1, 77))
    stub.work(1, "10.1000/one")
    stub.papers["ARXIV:2301.00006"] = [paper("10.1000/one"), paper(title="A Fifth Work", year=2018), paper()]
    stub.papers["ARXIV:2210.17323"] = [paper("10.1000/six")]


def content(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


def test_it_shows_a_diff_and_writes_nothing(run, root, stub) -> None:
    fill(stub)
    before = content(root)
    result = run()
    assert content(root) == before
    assert result.stdout.startswith("--- a/catalog/citations.yml\n+++ b/catalog/citations.yml\n@@ ")
    assert not [line for line in result.stdout.splitlines()[2:] if line.startswith("-")]
    assert "nothing is written without --write" in result.stderr
    assert "2 citations of 2 works to add" in result.stderr
    assert "OpenAlex: 1 reference list for 5 works; of 2 references 1 are works of references.bib" in result.stderr
    assert "third2022three -> sixth2023six (Semantic Scholar)" in result.stderr  # beside a list that was read whole
    assert "fourth2019four -> fifth2018five (OpenAlex)" in result.stderr  # that OpenAlex lacks
    assert "sixth2023six -> fifth2018five (Semantic Scholar: A Fifth Work, 2018)" in result.stderr
    assert (root.parent / ".cache" / "citations").is_dir()


def test_git_applies_the_diff(run, root, stub) -> None:
    fill(stub)
    shown = run().stdout
    subprocess.run(["git", "apply", "-"], input=shown, text=True, cwd=root.parent, check=True)
    applied = content(root)
    (root / "citations.yml").write_text(LISTS, encoding="utf-8")
    run("--write")
    assert content(root) == applied


def test_write(run, root, stub) -> None:
    fill(stub)
    result = run("--write")
    assert "Wrote 2 citations of 2 works" in result.stderr
    lists = reading.load(root).citations
    assert lists["fourth2019four"].also[0].cited == lists["sixth2023six"].cited == ["first2020one"]
    assert not lists["third2022three"].also
    stub.asked.clear()
    again = run("--write")
    assert not again.stdout and not stub.asked and "Nothing to add." in again.stderr


def test_json_is_one_document(run, root, stub) -> None:
    fill(stub)
    data = json.loads(run("--json").stdout)
    assert list(data) == ["written", "added", "conflicts", "to_confirm", "references", "works", "failures", "not_asked",
                          "diff"]  # fmt: skip
    assert data["written"] is False and data["failures"] == data["not_asked"] == []
    assert [(edge["citing"], edge["cited"], edge["source"]) for edge in data["added"]] == [
        ("fourth2019four", "first2020one", "openalex"), ("sixth2023six", "first2020one", "semantic-scholar")
    ]  # fmt: skip
    assert data["added"][0]["witness"].startswith("OpenAlex works API, asked for doi:10.1000/four on 20")
    assert {"kind": "adds", "citing": "third2022three", "cited": "sixth2023six", "source": "semantic-scholar"} in (
        data["conflicts"]
    )
    assert data["to_confirm"] == [{"kind": "title", "citing": "sixth2023six", "cited": ["fifth2018five"],
                                   "source": "semantic-scholar", "title": "A Fifth Work", "year": 2018}]
    assert data["references"]["semantic-scholar"] == {"listed": 4, "matched": 2, "unmatched": 1, "to_confirm": 1}
    assert data["works"]["openalex"]["listed"] == ["fourth2019four"]
    assert data["diff"].startswith("--- a/catalog/citations.yml")
    assert json.loads(run("--json", "--write").stdout)["written"] is True
    assert json.loads(run("--json", "--write").stdout)["written"] is False  # there was nothing to write


def test_only_source_and_limit(run, stub) -> None:
    fill(stub)
    run("--only", "fourth2019four", "--only", "alpha", "--source", "openalex")
    assert {asked.path for asked in stub.asked} == {"/works", "/works/doi:10.48550/arxiv.2001.00001"}
    stub.asked.clear()
    data = json.loads(run("--source", "semantic-scholar", "--limit", "1", "--json").stdout)
    assert len({asked.path for asked in stub.asked}) == 1 and len(data["not_asked"]) == 4
    stub.asked.clear()
    assert "Left for another run by --limit: 4 of 5 works." in run("--limit", "0", "--source",
                                                                  "semantic-scholar").stderr
    assert not stub.asked


def test_titles_are_added_only_on_demand(run, root, stub) -> None:
    fill(stub)
    run("--accept-titles", "--write")
    six = reading.load(root).citations["sixth2023six"]
    assert six.cited == ["first2020one"] and six.also[0].cited == ["fifth2018five"]
    assert "title" in six.also[0].witness


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "forth2019four"), "unknown work 'forth2019four'; did you mean 'fourth2019four'?"),
        (("--only", "alhpa"), "did you mean 'alpha'?"),
        (("--only", "second2021two"), "`second2021two` has neither a DOI nor an arXiv id"),
        (("--mailto", "me"), "'me' is not a mail address"),
        (("--mailto", "me@b.org\nX: y"), "is not a mail address"),
        (("--openalex-url", "ftp://x"), "'ftp://x' is not a web address"),
        (("--source", "scholar"), "semantic-scholar"),
        (("--limit", "-1"), "--limit"),
    ],
)
def test_wrong_words(run, stub, words: tuple[str, ...], message: str) -> None:
    result = run(*words, code=2)
    assert message in result.stderr and not result.stdout and not stub.asked


def test_a_folder_that_is_no_catalog(tmp_path) -> None:
    result = CliRunner().invoke(app, ["citations", "refresh", "--catalog", str(tmp_path)])
    assert result.exit_code == 2 and "is no catalog" in result.stderr


def test_a_broken_file_is_named_before_anything_is_asked(run, root, stub) -> None:
    (root / "citations.yml").write_text(LISTS.replace("fifth2018five", "fith2018five"), encoding="utf-8")
    result = run(code=1)
    assert "did you mean fifth2018five?" in result.stderr and "have to be in order first" in result.stderr
    assert not stub.asked and not result.stdout


def test_without_a_network_it_is_one_sentence(run, root) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    before = content(root)
    result = run("--write", code=1, url=url)
    assert result.stderr == (
        f"error: OpenAlex cannot be reached at {url[7:]}: Connection refused; nothing is written, "
        f"and what was answered is kept for the next run\n"
    )
    assert not result.stdout and content(root) == before


def test_what_could_not_be_asked_is_said_and_the_rest_is_written(run, root, stub) -> None:
    fill(stub)
    stub.always = lambda asked: reply({"data": 3}) if "ARXIV:2301.00006" in asked.path else None
    result = run("--write", code=1)
    assert "No answer, to be asked again by the same command: 1" in result.stderr
    assert "sixth2023six (Semantic Scholar): the answer is not of the documented form" in result.stderr
    assert "sixth2023six" not in reading.load(root).citations
    assert reading.load(root).citations["fourth2019four"].also
    stub.always = lambda asked: None
    stub.asked.clear()
    run("--write")
    assert len(stub.asked) == 1 and reading.load(root).citations["sixth2023six"].cited == ["first2020one"]


def test_ctrl_c(run, root, stub, waits, monkeypatch) -> None:
    fill(stub)

    def interrupt(seconds: float) -> None:
        if len(stub.asked) == 3:
            raise KeyboardInterrupt
        waits.append(seconds)

    monkeypatch.setattr(time, "sleep", interrupt)
    before = content(root)
    result = run("--write", code=130)
    assert result.stderr == "error: interrupted; nothing is written, and the same command goes on where it was\n"
    assert content(root) == before and not result.stdout
    monkeypatch.setattr(time, "sleep", waits.append)
    run("--write")
    paths = [(asked.path, asked.query.get("filter")) for asked in stub.asked]
    assert len(paths) == len(set(paths))  # nothing was asked twice
    assert reading.load(root).citations["sixth2023six"].cited == ["first2020one"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_on_the_real_command(root, stub) -> None:
    """A process of its own, interrupted by the signal while it waits for an answer."""
    fill(stub)
    stub.always = lambda asked: silent(stub) if asked.path.startswith("/graph") else None
    before = content(root)
    words = ["citations", "refresh", "--catalog", str(root), "--write", "--interval", "0.1", "--openalex-url", stub.url,
             "--semantic-scholar-url", stub.url]  # fmt: skip
    # A shell's background job has the signal switched off, and so would what it starts.
    process = subprocess.Popen([sys.executable, "-m", "compzoo.cli", *words], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip
    waiting = threading.Event()
    for _ in range(600):
        if stub.of("/graph") or process.poll() is not None:
            break
        waiting.wait(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "") and err.startswith("error: interrupted"), err
    assert content(root) == before


def test_manners(run, stub, waits, monkeypatch) -> None:
    fill(stub)
    monkeypatch.setenv("OPENALEX_API_KEY", "open-sesame")
    monkeypatch.setenv("COMPZOO_MAILTO", "ada@example.org")
    stub.faults = [status(429, {"Retry-After": "33"})]
    result = run()
    assert 33.0 in waits
    assert {asked.query.get("api_key") for asked in stub.of("/works")} == {"open-sesame"}
    assert {asked.query.get("api_key") for asked in stub.of("/graph")} == {None}
    for asked in stub.asked:
        assert asked.headers["User-Agent"].startswith("compression-zoo/")
        assert "mailto:ada@example.org" in asked.headers["User-Agent"]
    assert "open-sesame" not in result.stdout + result.stderr
    # Without a key Semantic Scholar is asked every three seconds at most, OpenAlex every second.
    assert sum(2.5 < wait <= 3.0 for wait in waits) == len(stub.of("/graph")) - 1
    monkeypatch.setenv("SEMANTIC_SCHOLAR_API_KEY", "lamp")
    stub.asked.clear()
    stub.papers["DOI:10.1000/four"] = []
    run("--source", "semantic-scholar", "--only", "fourth2019four", "--max-age", "0")
    run("--source", "semantic-scholar", "--only", "first2020one", "--max-age", "0")
    assert all(asked.headers.get("X-Api-Key") == "lamp" for asked in stub.asked)


def test_a_file_that_cannot_be_written(run, root, stub, monkeypatch) -> None:
    fill(stub)

    def fail(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    result = run("--write", code=1)
    assert "citations.yml cannot be written" in result.stderr and "it is as it was" in result.stderr
    assert (root / "citations.yml").read_text(encoding="utf-8") == LISTS


def test_help_says_what_it_needs(run) -> None:
    result = CliRunner().invoke(app, ["citations", "refresh", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    for word in ("--only", "--source", "--limit", "--write", "--accept-titles", "--mailto", "--json",
                 "OPENALEX_API_KEY", "SEMANTIC_SCHOLAR_API_KEY"):
        assert word in result.stdout


def test_nothing_else_uses_the_network() -> None:
    """Only the client opens connections, and only this command imports it."""
    for path in [*ROOT.glob("catalog/**/*.py"), *ROOT.glob("compzoo/*.py"), *ROOT.glob("site_gen/**/*.py")]:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT).as_posix()
        if name != "catalog/refresh/client.py":
            assert "urllib.request" not in text and "import requests" not in text, name
        if not name.startswith("catalog/refresh/") and name != "compzoo/citation_commands.py":
            assert "catalog.refresh" not in text and "import refresh" not in text, name
