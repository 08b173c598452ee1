"""The same folder also builds with Zensical, the successor of MkDocs and Material: no page is lost, none is bare."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings

import pytest

from site_gen.build import ROOT


def test_zensical_builds_the_same_pages(built, repository, tmp_path):
    try:
        import zensical  # noqa: F401
    except ModuleNotFoundError:
        message = "zensical is not installed, so nobody checks that the site also builds with it"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    out, _ = built
    shutil.copy(ROOT / "mkdocs.yml", tmp_path / "mkdocs.yml")
    shutil.copytree(ROOT / "site_gen/templates/theme", tmp_path / "site_gen/templates/theme")
    shutil.copytree(repository / "build/docs", tmp_path / "build/docs")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "-f", str(tmp_path / "mkdocs.yml")],
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    def pages(folder) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*.html")}

    assert pages(tmp_path / "site") == pages(out)
    page = (tmp_path / "site/algorithms/plain/index.html").read_text(encoding="utf-8")
    for part in ("<title>Plain · Compression Zoo</title>", "data-zoo-search", 'src="../../assets/zoo/zoo.js"',
                 'name="citation_title"', '<h2 id="facts"', 'class="katex"', "assets/zoo/zoo-style.css"):
        assert part in page, part
    hostile = (tmp_path / "site/algorithms/hostile/index.html").read_text(encoding="utf-8")
    assert "<script>window.pwned" not in hostile and "<img src=x" not in hostile
