"""The local server: the site's own page for what is not there, types, a taken port; what is watched."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import pytest

from site_gen.serve import PortTaken, server, snapshot


@pytest.fixture
def address(built):
    out, _ = built
    running = server(out)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize(("path", "kind"), [
    ("/", "text/html"), ("/algorithms/plain/", "text/html"), ("/algorithms/plain.json", "application/json"),
    ("/algorithms/plain.md", "text/markdown; charset=utf-8"), ("/algorithms/plain.py", "text/plain; charset=utf-8"),
    ("/assets/zoo/zoo.js", "text/javascript"), ("/assets/zoo/zoo-style.css", "text/css"),
])  # fmt: skip
def test_types_of_answers(address, path, kind):
    with urllib.request.urlopen(address + path) as answer:
        assert answer.headers["Content-Type"] == kind
        assert answer.headers["Cache-Control"] == "no-store"


def test_page_that_is_not_there(address):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(address + "/algorithms/nothing/")
    assert caught.value.code == 404
    assert b"No such page" in caught.value.read()


def test_nothing_outside_the_site_is_served(address):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(address + "/../catalog/taxonomy.yml")
    assert caught.value.code == 404


def test_taken_port(tmp_path):
    first = server(tmp_path)
    try:
        with pytest.raises(PortTaken, match=str(first.server_port)):
            server(tmp_path, first.server_port)
    finally:
        first.server_close()


def test_change_of_a_source_is_seen(tmp_path):
    entry = tmp_path / "catalog/algorithms/quantization/x.yml"
    package = tmp_path / "site_gen/frontend/node_modules/p/index.ts"
    for path in (entry, package, tmp_path / "site_gen/templates/a.jinja"):
        path.parent.mkdir(parents=True)
        path.write_text("a")
    (tmp_path / "catalog" / "notes.swp").write_text("a")
    first = snapshot(tmp_path)
    assert set(first) == {"catalog/algorithms/quantization/x.yml", "site_gen/templates/a.jinja"}
    import os

    os.utime(entry, ns=(1, 1))
    assert snapshot(tmp_path) != first
