"""How long the site takes with many entries: python -m benchmarks.site [COUNT ...] (100 400 1000; 10000 takes minutes).

For each count: a catalog of so many generated entries, each with a paper, an implementation and a measurement, built
cold by the project; and, for comparison, plain MkDocs with Material on as many hand-written pages as the site has, made
of the same words (an entry's Markdown form and its code), without search. The project's own scripts and templates were
compiled before, as they are from the second build on a machine on; nothing of the catalog was.

The two take turns, three times each (once from 5,000 entries on); what is printed are medians, the ratio is that of the
medians. Seconds of the processor, all processes together, can be compared where other programs run too; seconds of the
clock, which people wait, only where none does. Memory is the most that all processes held together, shared pages
counted once. Plain MkDocs stands after "plain". Nothing is deleted before the end: ext4 is slow to make files where
many were deleted minutes ago (another folder, by TMPDIR, helps).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from tests.site_gen import synthetic

BUILD = """import sys
from pathlib import Path
from site_gen.build import build
root, turn = Path(sys.argv[1]), sys.argv[2]
print(build(root, out=root / f"site-{turn}", work=root / f"build-{turn}").pages)
"""
PLAIN = """site_name: Plain
theme: {name: material, font: false}
plugins: []
markdown_extensions: [attr_list, {toc: {permalink: true}}, pymdownx.highlight, pymdownx.superfences]
not_in_nav: /p/
nav: [index.md]
"""


def catalog(root: Path, count: int) -> Path:
    """A repository with `count` entries; each builds on the one before."""
    synthetic.write(root, hostile=False)
    records = []
    for number in range(1, count):
        identifier, key = f"method-{number}", f"author{number}2019method"
        records.append(f"@misc{{{key},\n  title = {{Method number {number} of many}},\n"
                       f"  author = {{Author, A. {number}}},\n  year = {{2019}},\n  zoo_role = {{algorithm}},\n}}\n")
        module = identifier.replace("-", "_")
        before = f"method-{number - 1}" if number > 1 else "plain"
        fields = synthetic.entry(f"Method {number}", paper=key,
                                 relations=[{"type": "builds_on", "target": before, "why": "It came before."}])
        fields["reference"] |= {"code": f"reference_impls.quantization.{module}:{module}",
                                "tests": f"tests/reference_impls/quantization/test_{module}.py"}
        _write(root / f"catalog/algorithms/quantization/{identifier}.yml", json.dumps(fields))
        _write(root / f"reference_impls/quantization/{module}.py", synthetic.CODE.replace("{name}", module))
        _write(root / f"tests/reference_impls/quantization/test_{module}.py", "def test_it():\n    pass\n")
        data = synthetic.measurement(identifier, f"reference_impls.quantization.{module}:{module}", root)
        _write(root / f"catalog/measurements/{identifier}.json", json.dumps(data))
    with open(root / "catalog/references.bib", "a", encoding="utf-8") as file:
        file.write("\n".join(records))
    return root


def plain(root: Path, source: Path, pages: int) -> Path:
    """`pages` hand-written pages with the words of the entries."""
    forms = sorted((source / "site-0/algorithms").glob("*.md"))
    _write(root / "mkdocs.yml", PLAIN)
    _write(root / "docs/index.md", "# Plain\n")
    for place in range(pages - 1):
        form = forms[place % len(forms)]
        code = form.with_suffix(".py").read_text(encoding="utf-8")
        text = form.read_text(encoding="utf-8")
        _write(root / f"docs/p/{place}.md", f"{text}\n```python\n{code}\n```\n")
    return root


@dataclass
class Run:
    """Seconds of the processor and of the clock, MiB held at most, and what was printed."""

    processor: float
    clock: float
    memory: float
    said: str


def run(command: list[str], folder: Path) -> Run:
    """A command that finds the project's packages in `folder`. Raises CalledProcessError where it fails."""
    code = ("import resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
            "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
            "print(used.ru_utime + used.ru_stime, done.stdout.strip())\n"
            "sys.exit(done.returncode)\n")  # fmt: skip
    command = [sys.executable, "-c", code, *command]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(folder)}) as process:
        most = 0
        while process.poll() is None:
            most = max(most, held(process.pid))
            time.sleep(0.2)
        clock = time.perf_counter() - start
        processor, *said = (process.stdout.read() if process.stdout else "").split(maxsplit=1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(float(processor), clock, most / 2**20, said[0].strip() if said else "")


def held(identifier: int) -> int:
    """Bytes of a process and all below it; pages that some of them share count once where the system tells."""
    total = 0
    with contextlib.suppress(psutil.Error):
        for process in [(top := psutil.Process(identifier)), *top.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                memory = process.memory_full_info()
                total += getattr(memory, "pss", memory.uss)
    return total


def main() -> None:
    """Prints the table."""
    counts = [int(word) for word in sys.argv[1:]] or [100, 400, 1000]
    here = Path(__file__).resolve().parents[1]
    print("| entries | pages | MiB | ms a page | processor s | plain | ratio | clock s | plain | ratio |")
    print("|" + " ---: |" * 10)
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            root, other, ours, theirs = catalog(Path(folder, f"zoo-{count}"), count), None, [], []
            for turn in range(1 if count >= 5000 else 3):
                ours.append(run([sys.executable, "-c", BUILD, str(root), str(turn)], here))
                pages = int(ours[0].said)
                other = other or plain(Path(folder, f"plain-{count}"), root, pages)
                theirs.append(run([sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", str(other / "mkdocs.yml"),
                                   "-d", str(other / f"site-{turn}")], here))  # fmt: skip
            processor, plain_processor = (median(one.processor for one in runs) for runs in (ours, theirs))
            clock, plain_clock = (median(one.clock for one in runs) for runs in (ours, theirs))
            print(f"| {count:,} | {pages:,} | {max(one.memory for one in ours):,.0f} | "
                  f"{1000 * processor / pages:.1f} | "
                  f"{processor:.1f} | {plain_processor:.1f} | {processor / plain_processor:.2f} | "
                  f"{clock:.1f} | {plain_clock:.1f} | {clock / plain_clock:.2f} |", flush=True)  # fmt: skip


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
