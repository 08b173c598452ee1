"""The readers and the cutting behind the bundled text, on inputs small enough to check by eye."""

import gzip
import struct
import zlib
from pathlib import Path

import pytest

from reference_impls.bench import assets
from reference_impls.bench.make import extract
from reference_impls.bench.make.__main__ import main
from reference_impls.bench.make.sources import MissingSource, find_source
from reference_impls.bench.make.text import Domain, cut


def write(root: Path, name: str, content: bytes) -> None:
    target = root / name
    target.parent.mkdir(parents=True)
    target.write_bytes(content)


def r_vector(lines: list[str]) -> bytes:
    """An R character vector, serialised as XDR version 3, in the frame of a lazy-load database."""
    data = b"X\n" + struct.pack(">iii", 3, 0x40201, 0x30500) + struct.pack(">i", 5) + b"UTF-8"
    data += struct.pack(">ii", 16, len(lines))
    for line in lines:
        data += struct.pack(">ii", 0x40009, len(line.encode())) + line.encode()
    return struct.pack(">I", len(data)) + zlib.compress(data)


def test_austen_joins_the_printed_lines_of_a_paragraph(tmp_path):
    novels = r_vector(["EMMA", "", "Emma Woodhouse, handsome,", "clever, and rich", ""]) + r_vector(["Café “x”"])
    write(tmp_path, "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb", novels)
    assert extract.austen(tmp_path) == ["EMMA", "Emma Woodhouse, handsome, clever, and rich", 'Café "x"']


def test_austen_refuses_another_serialisation(tmp_path):
    ascii_form = b"\0\0\0\2" + zlib.compress(b"A\n" + b"\0" * 20)
    write(tmp_path, "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb", ascii_form)
    with pytest.raises(ValueError, match="version 3"):
        extract.austen(tmp_path)


def test_python_docs_keep_prose_and_leave_code_out_and_say_nothing_twice(tmp_path):
    page = """<html><body><p>Navigation that is long enough to keep.</p><div class="body" role="main">
    <h1>Heap queue algorithm today<a class="headerlink">\u00b6</a></h1>
    <p>A paragraph with <code>inline code</code> &amp; a break<br>in it.</p>
    <div class="highlight-python"><div class="highlight"><pre>code = that_is_long_enough()</pre></div></div>
    <dl><dt>signature(of, a, long, function)</dt><dd><p>gh-123: What the long function does.</p></dd></dl>
    <ul><li><p>short</p></li></ul></div><p>A footer that is long enough to keep.</p></body></html>"""
    write(tmp_path, "usr/share/doc/python3.11/html/a/one.html", page.encode())
    write(tmp_path, "usr/share/doc/python3.11/html/b/two.html", page.encode())
    assert extract.python_docs(tmp_path) == [
        "Heap queue algorithm today",
        "A paragraph with inline code & a breakin it.",
        "What the long function does.",
    ]


def test_wordnet_gives_each_gloss_once_without_its_synonyms(tmp_path):
    text = (
        "00-database-info\n    n 1: about the dictionary\n"
        "hood\n    n 1: (slang) a neighborhood\n    2: a cover [syn: {bonnet}, {hood},\n         {cowl}]\n"
        "'hood\n    n 1: (slang) a neighborhood [syn: {hood}]\n    v 1: to cover; \"hood the\n         bread\"\n"
    )
    write(tmp_path, "usr/share/dictd/wn.dict.dz", gzip.compress(text.encode()))
    assert extract.wordnet(tmp_path) == [
        "hood (n): (slang) a neighborhood",
        "hood (n): a cover",
        "'hood (v): to cover; \"hood the bread\"",
    ]


def test_python_code_leaves_out_what_has_its_own_licence(tmp_path):
    folder = "usr/lib/python3.11"
    write(tmp_path, f"{folder}/kept.py", b"x = 1  \ny = 2\n")
    others = {"other.py": b"# Copyright 1999 somebody\n", "logging/x.py": b"z = 3\n", "n.py": "é = 1".encode()}
    for name, content in others.items():
        target = tmp_path / folder / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
    assert extract.python_code(tmp_path) == ["x = 1", "y = 2"]


def test_blocks_end_at_line_ends_and_lose_nothing():
    lines = [("é" * (i % 37)) + str(i) for i in range(500)]
    blocks = cut(lines, size=200)
    assert "".join(blocks) == "".join(line + "\n" for line in lines)
    assert all(block.endswith("\n") for block in blocks)
    assert all(len(block.encode()) >= 200 for block in blocks[:-1])
    assert all(len("".join(block.splitlines(True)[:-1]).encode()) < 200 for block in blocks)


@pytest.mark.parametrize("count", [1, 19, 20, 21, 59, 60])
def test_training_runs_are_all_blocks_but_every_twentieth(count):
    domain = Domain("x", {}, [f"{i}\n" for i in range(count)])
    assert domain.held_out == list(range(19, count, 20))
    assert "".join(domain.training_runs()) == "".join(domain.blocks[i] for i in domain.training)
    assert all(int(run.splitlines()[0]) % 20 == 0 for run in domain.training_runs())


NO_PACKAGES = {"austen": {"no-such-package": "usr/no/such/file"}}


def test_a_missing_package_is_named_with_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("reference_impls.bench.make.sources.PACKAGES", NO_PACKAGES)
    with pytest.raises(MissingSource, match="(?s)no-such-package.*apt-get install no-such-package.*--download"):
        find_source("austen", tmp_path, download=False)


def test_the_command_reports_a_missing_package_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("reference_impls.bench.make.sources.PACKAGES", NO_PACKAGES)
    monkeypatch.setattr(assets, "ROOT", tmp_path / "assets")
    assert main(["text", "--scratch", str(tmp_path / "scratch")]) == 1
    assert "cannot make text: austen: needs the Debian package no-such-package" in capsys.readouterr().err
    assert not (tmp_path / "assets").exists()
