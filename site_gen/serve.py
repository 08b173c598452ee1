"""Serves the built site on localhost and builds it again where a source changes. For writing, not for publishing.

Where the file of one entry changed, its page is made anew at once (`update`); the whole site follows in the background,
in a process of its own. Pages that are open in a browser load themselves again when they have changed.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import http.server
import io
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from site_gen.build import ROOT, swap

if TYPE_CHECKING:
    from site_gen.enrich.site import Site

WATCHED = ("catalog", "reference_impls", "site_gen", "mkdocs.yml", "CITATION.cff")
SUFFIXES = (".yml", ".bib", ".json", ".py", ".jinja", ".html", ".css", ".ts", ".mjs", ".cff")
UNWATCHED = ("node_modules", "__pycache__")
PAUSE = 0.3  # seconds between two looks
VERSION = "/-/version"  # counts the changes of what is served
TEXTS = (".html", ".css", ".js", ".json", ".svg", ".txt", ".md", ".py", ".bib", ".xml", ".csv", ".ris", ".ipynb")

# In every page that `compzoo serve` hands out: asks each second whether something changed, and loads the page again
# where it is another now.
_RELOAD = """<script>(() => {
  let seen = "SEEN";
  const own = async () => {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    return (await answer.text()).replace(/let seen.*/, "");
  };
  const first = own();
  setInterval(async () => {
    try {
      const now = await (await fetch("VERSION")).text();
      if (now !== seen && (await own()) !== (await first)) location.reload();
      seen = now;
    } catch {}
  }, 1000);
})()</script>""".replace("VERSION", VERSION)


class PortTaken(Exception):
    """The port is in use."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Static files with no caching, the right types for our data, and the site's own page where there is none."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".mjs": "text/javascript", ".md": "text/markdown; charset=utf-8",
        ".py": "text/plain; charset=utf-8", ".bib": "application/x-bibtex; charset=utf-8",
        ".ris": "application/x-research-info-systems; charset=utf-8", ".woff2": "font/woff2",
    }
    caching = "no-store"

    def end_headers(self) -> None:
        self.send_header("Cache-Control", self.caching)
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            super().send_error(code, message, explain)
            return
        self._answer(page.read_bytes(), "text/html; charset=utf-8", 404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """One line a request helps nobody here."""

    def _answer(self, body: bytes, kind: str, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self) -> Path | None:
        """The file that is asked for, where there is one."""
        path = Path(self.translate_path(self.path))
        if path.is_dir() and urlsplit(self.path).path.endswith("/"):
            path /= "index.html"
        return path if path.is_file() else None


class _Live(_Handler):
    """Pages that load themselves again after a change."""

    version: Callable[[], int]

    def do_GET(self) -> None:  # noqa: N802
        if self.path == VERSION:
            self._answer(str(self.version()).encode(), "text/plain")
            return
        file = self._file()
        if file is None or file.suffix != ".html":
            super().do_GET()
            return
        body = file.read_bytes()
        place = body.rfind(b"</body>")
        script = _RELOAD.replace("SEEN", str(self.version())).encode() if place >= 0 else b""
        self._answer(body[:place] + script + body[place:], "text/html; charset=utf-8")


class _Published(_Handler):
    """As a usual host of static pages answers: compressed, and kept for ten minutes."""

    protocol_version = "HTTP/1.1"
    caching = "public, max-age=600"

    def do_GET(self) -> None:  # noqa: N802
        file = self._file()
        if file is None or file.suffix not in TEXTS or "gzip" not in self.headers.get("Accept-Encoding", ""):
            super().do_GET()
            return
        body = _compressed(file, file.stat().st_mtime_ns)
        self._answer(body, self.guess_type(str(file)), Content_Encoding="gzip", Vary="Accept-Encoding")


@functools.lru_cache(maxsize=2000)
def _compressed(file: Path, changed: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0) as packed:
        packed.write(file.read_bytes())
    return out.getvalue()


def server(
    folder: Path, port: int = 0, handler: type[http.server.SimpleHTTPRequestHandler] = _Handler
) -> http.server.ThreadingHTTPServer:
    """A server of `folder` on localhost; port 0 takes a free one. Raises PortTaken."""
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(handler, directory=str(folder)))
    except OSError as error:
        raise PortTaken(f"port {port} is in use") from error


def as_published(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server that compresses and lets browsers keep files, as the hosts of static pages do. Raises PortTaken."""
    return server(folder, port, _Published)


class Watcher:
    """Serves `folder`, looks for changes below `root`, and brings the folder up to date.

    builder: a command that builds the site into the folder that is put behind it. site: what `folder` was built from,
    None where it is not known yet. `turn()` is one look; `version` counts the changes of what is served.
    """

    def __init__(self, folder: Path, root: Path, work: Path, builder: list[str], say: Callable[[str], None],
                 site: Site | None = None) -> None:  # fmt: skip
        self.folder, self.root, self.work, self.builder, self.say = folder, root, work, builder, say
        self.version = 0
        self._next = folder.with_name(f".{folder.name}.next")
        self._known = snapshot(root)
        self._site = site
        self._building: subprocess.Popen | None = None
        self._reading: threading.Thread | None = None

    def turn(self) -> None:
        """Looks once, and acts on what it sees."""
        now = snapshot(self.root)
        changed = {path for path in now.keys() | self._known.keys() if now.get(path) != self._known.get(path)}
        if changed:
            names = sorted(changed)
            self.say(f"changed: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}")
            self._known = now
            self._stop_building()
            self._update(changed)
            self._start_building()
        elif self._building is not None and self._building.poll() is not None:
            self._finish_building()

    def close(self) -> None:
        """Ends what still runs."""
        self._stop_building()

    def read(self) -> None:
        """Begins to read what the pages are made from, beside everything else."""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        from catalog import CatalogError
        from site_gen.enrich.site import enrich
        from site_gen.load import load

        with contextlib.suppress(CatalogError):  # the build says what is wrong
            self._site = enrich(load(self.root))

    def _update(self, changed: set[str]) -> None:
        """The page of the one entry that changed, at once; everything else has to wait for the whole build."""
        from catalog import CatalogError
        from site_gen.update import TooMuch, entry_of, update

        if self._reading is not None:
            self._reading.join()
        if self._site is None:
            return
        start = time.perf_counter()
        try:
            identifier = entry_of(self._site, changed)
            self._site = update(self._site, identifier, self.root, self.folder, self.work)
        except (TooMuch, CatalogError):  # the build says what is wrong
            return
        self.version += 1
        self.say(f"algorithms/{identifier}/ is new ({time.perf_counter() - start:.1f} s); the other pages follow")

    def _start_building(self) -> None:
        shutil.rmtree(self._next, ignore_errors=True)
        quietly = {"preexec_fn": lambda: os.nice(10)} if hasattr(os, "nice") else {}
        self._building = subprocess.Popen([*self.builder, str(self._next)], start_new_session=True, **quietly)

    def _stop_building(self) -> None:
        if self._building is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self._building.pid, signal.SIGKILL)  # with MkDocs and node, which it has started
            else:
                self._building.kill()
        self._building.wait()
        self._building = None
        for left in (self._next, self._next.with_name(f".{self._next.name}.new")):
            shutil.rmtree(left, ignore_errors=True)

    def _finish_building(self) -> None:
        assert self._building is not None
        built, self._building = self._building.returncode == 0, None
        if built and self._next.is_dir():
            swap(self._next, self.folder)
            self.version += 1
            self.read()


def serve_and_watch(
    folder: Path, port: int, builder: list[str], say: Callable[[str], None], site: Site | None = None,
    root: Path = ROOT, work: Path | None = None, stop: threading.Event | None = None,
) -> None:  # fmt: skip
    """Serves until Ctrl-C (or until `stop` is set) and keeps the site up to date; see Watcher. Raises PortTaken."""
    watcher = Watcher(folder, root, work or root / "build", builder, say, site)

    class Live(_Live):
        version = staticmethod(lambda: watcher.version)

    running = server(folder, port, Live)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    say(f"http://127.0.0.1:{running.server_port}/ (Ctrl-C ends it)")
    if site is None:
        watcher.read()
    stop = stop or threading.Event()
    try:
        while not stop.wait(PAUSE):
            watcher.turn()
    except KeyboardInterrupt:
        say("")
    finally:
        watcher.close()
        running.shutdown()
        running.server_close()


def snapshot(root: Path) -> dict[str, int]:
    """Path -> time of the last change, for every source of the site."""
    found = {}
    for name in WATCHED:
        start = root / name
        if start.is_file():
            found[name] = start.stat().st_mtime_ns
        for folder, folders, files in os.walk(start):
            folders[:] = [inner for inner in folders if inner not in UNWATCHED]
            for file in files:
                if file.endswith(SUFFIXES):
                    path = Path(folder, file)
                    with contextlib.suppress(FileNotFoundError):
                        found[path.relative_to(root).as_posix()] = path.stat().st_mtime_ns
    return found
