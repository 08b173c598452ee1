"""Debian packages that hold the training text: where they lie, which version they have, how to get a missing one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

# The domain of the bench, the Debian packages it is read from, and one file that proves the package is there.
PACKAGES: dict[str, dict[str, str]] = {
    "austen": {"r-cran-janeaustenr": "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"},
    "bible": {"bible-kjv-text": "usr/lib/bible.data"},
    "python-docs": {"python3.11-doc": "usr/share/doc/python3.11/html/library/index.html"},
    "wordnet": {"dict-wn": "usr/share/dictd/wn.dict.dz"},
    "python-code": {
        "libpython3.11-stdlib": "usr/lib/python3.11/argparse.py",
        "libpython3.11-minimal": "usr/lib/python3.11/ast.py",
    },
}


class MissingSource(RuntimeError):
    """A Debian package is neither installed nor unpacked in the scratch folder; the message says how to get it."""


@dataclass(frozen=True)
class Source:
    """One domain's unpacked packages: the folder that plays the root of the file system, and their versions."""

    root: Path
    versions: dict[str, str]


def find_source(domain: str, scratch: Path, download: bool) -> Source:
    """Return the unpacked packages of `domain`: those in `scratch` first, else those installed on this machine.

    With `download`, missing packages are fetched with `apt-get download` and unpacked under `scratch` (never
    installed). Raises MissingSource where a package is missing and may not or cannot be fetched.
    """
    wanted = PACKAGES[domain]
    root = scratch / "root"
    for package, proof in wanted.items():
        if not (root / proof).exists() and not Path("/", proof).exists():
            if not download:
                raise MissingSource(
                    f"{domain}: needs the Debian package {package} (file /{proof} not found). Either install it "
                    f"(apt-get install {package}) or run again with --download, which unpacks it under {scratch} "
                    f"without installing it."
                )
            _download(package, scratch, root)
    if all((root / proof).exists() for proof in wanted.values()):
        versions = {package: (scratch / "versions" / package).read_text().strip() for package in wanted}
        return Source(root, versions)
    versions = {package: _run(["dpkg-query", "-W", "-f=${Version}", package]).strip() for package in wanted}
    return Source(Path("/"), versions)


def _download(package: str, scratch: Path, root: Path) -> None:
    """Fetch `package` with apt-get download and unpack it under `root`, noting its version."""
    folder = scratch / "debs" / package
    folder.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", package], cwd=folder)
    (deb,) = sorted(folder.glob("*.deb"))
    _run(["dpkg", "-x", str(deb), str(root)])
    (scratch / "versions").mkdir(exist_ok=True)
    (scratch / "versions" / package).write_text(_run(["dpkg-deb", "-f", str(deb), "Version"]))


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        detail = (getattr(error, "stderr", "") or str(error)).strip()
        raise MissingSource(f"the command {' '.join(command)} failed: {detail}") from error
