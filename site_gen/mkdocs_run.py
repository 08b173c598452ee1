"""Runs MkDocs in a process of its own: it keeps state between builds, and starts while the pages are still written."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

HOOKS = Path(__file__).with_name("mkdocs_hooks.py")


class MkDocs:
    """A run that waits for its pages. `start()` once docs holds them all, then `wait()`; used as a context, it ends
    with it, whatever happens. The folder docs must exist.
    """

    def __init__(self, configuration: Path, docs: Path, out: Path):
        command = [sys.executable, "-m", "site_gen.mkdocs_run", str(configuration), str(docs.resolve()),
                   str(out.resolve())]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=configuration.parent, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        )

    def __enter__(self) -> MkDocs:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def start(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("start\n")
            self._process.stdin.close()
        except BrokenPipeError:  # it failed before; wait() says why
            pass
        self._process.stdin = None

    def wait(self) -> str:
        """What it complained of; empty where all went well."""
        said, _ = self._process.communicate()
        return said if self._process.returncode else ""


def main(configuration: str, docs: str, out: str) -> None:
    """Gets everything ready, waits for a line, and builds. Warnings are errors."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    config = load_config(configuration, docs_dir=docs, site_dir=out, strict=True, hooks=[str(HOOKS)])
    config.theme.get_env()  # brings what reading pages needs, and templates into the cache of the system
    if sys.stdin.readline():
        build(config)


if __name__ == "__main__":
    main(*sys.argv[1:])
