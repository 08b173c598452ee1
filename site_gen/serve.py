"""Serves the built site on localhost and builds it again where a source changes. For writing, not for publishing."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable
from pathlib import Path

from site_gen.build import ROOT

WATCHED = ("catalog", "reference_impls", "site_gen", "mkdocs.yml", "CITATION.cff")
SUFFIXES = (".yml", ".bib", ".json", ".py", ".jinja", ".html", ".css", ".ts", ".mjs", ".cff")
PAUSE = 0.7  # seconds between two looks


class PortTaken(Exception):
    """The port is in use."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Static files with no caching, the right types for our data, and the site's own page where there is none."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".mjs": "text/javascript", ".md": "text/markdown; charset=utf-8",
        ".py": "text/plain; charset=utf-8", ".bib": "application/x-bibtex; charset=utf-8",
        ".ris": "application/x-research-info-systems; charset=utf-8", ".woff2": "font/woff2",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            super().send_error(code, message, explain)
            return
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """One line a request helps nobody here."""


def server(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of `folder` on localhost; port 0 takes a free one. Raises PortTaken."""
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise PortTaken(f"port {port} is in use") from error


def serve_and_watch(folder: Path, port: int, rebuild: Callable[[], bool], say: Callable[[str], None]) -> None:
    """Serves until Ctrl-C; calls `rebuild` after a change of a source. Raises PortTaken."""
    running = server(folder, port)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    say(f"http://127.0.0.1:{running.server_port}/ (Ctrl-C ends it)")
    known = snapshot(ROOT)
    wait = threading.Event()
    try:
        while True:
            wait.wait(PAUSE)
            now = snapshot(ROOT)
            if now != known:
                changed = sorted(dict(set(now.items()) ^ set(known.items())))
                say(f"changed: {', '.join(changed[:3])}{' ...' if len(changed) > 3 else ''}")
                known = now
                rebuild()
    except KeyboardInterrupt:
        say("")
    finally:
        running.shutdown()
        running.server_close()


def snapshot(root: Path) -> dict[str, int]:
    """Path -> time of the last change, for every source of the site."""
    found = {}
    for name in WATCHED:
        start = root / name
        files = [start] if start.is_file() else start.rglob("*")
        for path in files:
            if path.suffix in SUFFIXES and "node_modules" not in path.parts:
                try:
                    found[path.relative_to(root).as_posix()] = path.stat().st_mtime_ns
                except FileNotFoundError:
                    continue
    return found
