"""One synthetic repository, built once, for all tests of the generator."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the site needs the extra [site]")

from site_gen.build import Report, build  # noqa: E402
from site_gen.enrich.site import Site, enrich  # noqa: E402
from site_gen.load import load  # noqa: E402
from tests.site_gen import synthetic  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker takes all tests of this folder, so that what they share is built once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("site_gen"))


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a plain and a hostile entry. Tests that change it take a copy."""
    return synthetic.write(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def site(repository: Path) -> Site:
    return enrich(load(repository))


@pytest.fixture(scope="session")
def built(repository: Path) -> tuple[Path, Report]:
    """The built site's folder, and what the build reported."""
    report = build(repository)
    return report.out, report
