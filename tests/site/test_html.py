"""The HTML of every type of page, by two checkers; duplicate ids on all pages are looked for in test_links."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site import checks
from tests.site.html_check import by_html_validate, by_nu, java

pytestmark = pytest.mark.xdist_group("site")

WRONG = """<!doctype html><html lang="en"><head><title>x</title></head><body><p id="a b">x</p>
<ul><p>not in a list</p></ul><i id="c"></i><i id="c"></i></body></html>"""


@pytest.fixture(scope="module")
def files(site_folder) -> list[Path]:
    """The file of each page type, and an entry page with everything that an entry can have."""
    names = [path.partition("?")[0] for path in checks.PAGES]
    return [site_folder / (name if name.endswith(".html") else f"{name}index.html") for name in names]


@pytest.fixture
def wrong(tmp_path) -> list[Path]:
    (tmp_path / "wrong.html").write_text(WRONG)
    return [tmp_path / "wrong.html"]


def test_by_html_validate(files):
    checks.tool("html-validate")
    assert by_html_validate(files) == []


def test_by_nu(files):
    checks.tool("vnu-jar")
    if java() is None:
        checks.absent("NO JAVA: the HTML is not checked by the Nu Html Checker. Install a Java runtime.")
    assert by_nu(files) == []


def test_what_is_wrong_is_seen(wrong):
    checks.tool("html-validate")
    found = "\n".join(by_html_validate(wrong))
    assert "valid-id" in found and "element-permitted-content" in found and "no-dup-id" in found
    if java() is not None:
        found = "\n".join(by_nu(wrong))
        assert "must not contain whitespace" in found and "not allowed as child" in found and "Duplicate ID" in found
