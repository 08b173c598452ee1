"""How long the site takes with many entries: python -m benchmarks.site [COUNT ...] (100 400 1000; 10000 takes minutes).

For each count: a catalog of so many generated entries, each with a paper, an implementation and a measurement, built
cold by the project; and, for comparison, plain MkDocs with Material on as many hand-written pages as the site has, made
of the same words (an entry's Markdown form and its code), without search. The project's own scripts and templates were
compiled before, as they are from the second build on a machine on; nothing of the catalog was. Seconds of the
processor, all processes together, can be compared where other programs run too; seconds of the clock, which people
wait, only where none does. Memory is the largest of any one process. Plain MkDocs stands after "plain".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.site_gen import synthetic

BUILD = "import sys; from pathlib import Path; from site_gen.build import build; print(build(Path(sys.argv[1])).pages)"
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
    forms = sorted((source / "site/algorithms").glob("*.md"))
    _write(root / "mkdocs.yml", PLAIN)
    _write(root / "docs/index.md", "# Plain\n")
    for place in range(pages - 1):
        form = forms[place % len(forms)]
        code = form.with_suffix(".py").read_text(encoding="utf-8")
        text = form.read_text(encoding="utf-8")
        _write(root / f"docs/p/{place}.md", f"{text}\n```python\n{code}\n```\n")
    return root


def timed(command: list[str], folder: Path) -> tuple[float, float, float, str]:
    """Seconds of the processor, seconds of the clock, MiB of the largest process, what was printed."""
    code = ("import resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
            "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
            "print(used.ru_utime + used.ru_stime, used.ru_maxrss, done.stdout.strip())\n"
            "sys.exit(done.returncode)\n")  # fmt: skip
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True, check=True,
                          env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(folder)})
    seconds, memory, *said = done.stdout.split(maxsplit=2)
    scale = 1 if sys.platform == "darwin" else 1024
    return float(seconds), time.perf_counter() - start, float(memory) * scale / 2**20, said[0].strip() if said else ""


def main() -> None:
    """Prints the table."""
    counts = [int(word) for word in sys.argv[1:]] or [100, 400, 1000]
    here = Path(__file__).resolve().parents[1]
    print("| entries | pages | MiB | ms a page | processor s | plain | ratio | clock s | plain | ratio |")
    print("|" + " ---: |" * 10)
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            root = catalog(Path(folder) / "zoo", count)
            seconds, clock, memory, pages = timed([sys.executable, "-c", BUILD, str(root)], here)
            other = plain(Path(folder) / "plain", root, int(pages))
            command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", str(other / "mkdocs.yml")]
            theirs, waited, *_ = timed(command, here)
        print(f"| {count:,} | {int(pages):,} | {memory:,.0f} | {1000 * seconds / int(pages):.1f} | "
              f"{seconds:.1f} | {theirs:.1f} | {seconds / theirs:.2f} | "
              f"{clock:.1f} | {waited:.1f} | {clock / waited:.2f} |", flush=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
