"""The browser's side: its types hold, its lock file names no host, its bundle carries everything it needs."""

from __future__ import annotations

import json
import re

from site_gen import frontend_build


def test_types_hold():
    frontend_build.check_types()


def test_lock_file_names_packages_and_not_where_they_came_from():
    text = (frontend_build.FRONTEND / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)


def test_bundle_is_whole_and_local(tmp_path):
    out = tmp_path / "bundle"
    assert frontend_build.bundle(out) is True
    assert frontend_build.bundle(out) is False  # nothing changed
    style = (out / "zoo-style.css").read_text()
    fonts = {address for address in re.findall(r'url\("?([^")]+)"?\)', style) if not address.startswith("data:")}
    assert fonts and all(address.startswith("./fonts/") and address.endswith(".woff2") for address in fonts)
    assert all((out / address).is_file() for address in fonts)
    scripts = [path.read_text() for path in out.rglob("*.js")]
    assert scripts and not any(re.search(r"(fetch|import)\(\s*[\"'`]https?:", text) for text in scripts)
