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
    """Return the packages of `domain`, with their versions.

    With `download` they are fetched with `apt-get download` and unpacked under `scratch` (never installed), unless an
    earlier call left them there. Without it they are those left there, else those installed on this machine.
    Raises MissingSource where a package is not there, or cannot be fetched.
    """
    wanted = PACKAGES[domain]
    root = scratch / "root"
    if not download and not all((root / proof).exists() for proof in wanted.values()):
        missing = [package for package, proof in wanted.items() if not Path("/", proof).exists()]
        if missing:
            raise MissingSource(
                f"{domain}: needs the Debian package {' and '.join(missing)} (no file /{wanted[missing[0]]}). "
                f"Either install it (apt-get install {' '.join(missing)}) or run again with --download, which unpacks "
                f"it under {scratch} without installing it."
            )
        versions = {package: _run(["dpkg-query", "-W", "-f=${Version}", package]).strip() for package in wanted}
        return Source(Path("/"), versions)
    for package, proof in wanted.items():
        if not (root / proof).exists():
            _download(package, scratch, root)
    versions = {package: (scratch / "versions" / package).read_text().strip() for package in wanted}
    return Source(root, versions)


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
