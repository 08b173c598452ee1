"""`compzoo build` and `compzoo serve`: the static site, also on localhost and built again after each change."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from site_gen.build import Report


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the command line."""
    app.command()(build)
    app.command()(serve)


def build(
    out: Annotated[Path | None, typer.Option(help="Folder of the site; `site/` of the project by default.")] = None,
) -> None:
    """Build the static site. A catalog with problems builds nothing and leaves the old site as it was."""
    if _build(out) is None:
        raise typer.Exit(1)


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on localhost; 0 takes a free one.")] = 8000,
    out: Annotated[Path | None, typer.Option(help="Folder of the site; `site/` of the project by default.")] = None,
) -> None:
    """Build the site, serve it on localhost, and build it again where the catalog, the code or a template changes.

    The page of an entry follows its file within seconds, all other pages when the whole site has been built.
    """
    report = _build(out)
    if report is None:
        raise typer.Exit(1)
    from site_gen.serve import PortTaken, serve_and_watch

    builder = [sys.executable, "-m", "compzoo.cli", "build", "--out"]
    try:
        serve_and_watch(_folder(out), port, builder, print, report.site)
    except PortTaken as taken:
        from compzoo.errors import fail

        fail(f"{taken}; choose another one with --port, or --port 0 for any free one")


def _folder(out: Path | None) -> Path:
    from site_gen.build import ROOT

    return out.resolve() if out else ROOT / "site"


def _build(out: Path | None) -> Report | None:
    """Builds and reports on standard error. None, with every problem printed, where it cannot."""
    try:
        from site_gen.build import BuildError
        from site_gen.build import build as build_site
        from site_gen.frontend_build import FrontendError
    except ModuleNotFoundError as missing:
        from compzoo.errors import fail

        fail(f"building the site needs the package {missing.name}; `make site` in the folder of the project brings it")
    from rich.console import Console

    from catalog import CatalogError

    console = Console(stderr=True)
    start = time.perf_counter()
    try:
        with console.status("building the site") as status:
            report = build_site(out=_folder(out), tell=lambda step: status.update(f"building the site: {step}"))
    except CatalogError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        count = len(error.problems)
        print(f"{count} problem{'s' if count != 1 else ''}; no site was built", file=sys.stderr)
        return None
    except (BuildError, FrontendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return None
    print(f"{report.pages} pages in {report.out} ({time.perf_counter() - start:.1f} s)", file=sys.stderr)
    return report
