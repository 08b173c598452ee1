"""A small repository on disk: two families, a plain and a hostile entry, a survey, citations, a measurement."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

from catalog.measurements import code_hash

ROOT = Path(__file__).resolve().parents[2]

# What an author with bad intentions may write into any text field. None of it may come alive.
HOSTILE = (
    "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>[a](javascript:window.pwned=1)"
    "<a href=\"javascript:window.pwned=1\">b</a>[c](<data:text/html,x>)![d](https://evil.invalid/x.png)"
    "\"><svg onload=window.pwned=1>{{ 7*7 }}{% raw %}"
)
HOSTILE_LINE = HOSTILE + "</div></section></p>&lt;script&gt; \\<b\\> `<i>` $x<y$ --> <!-- "

TAXONOMY = """\
families:
  quantization:
    name: Quantization
    also_called: [Coarsening, 'Fewer <b onclick="window.pwned=1">bits</b> & less']
    tagline: numbers with fewer bits
    definition: Numbers are stored on a coarser grid.
    not_here: Numbers are removed.
    order: Ask first.
    groups:
      rounding:
        name: Rounding
        also_called: ['Nearest <img src="x" onerror="window.pwned=1">', grid search of levels]
        definition: Each number is rounded.
        in_if: there is a grid
        neighbours:
          - {when: numbers go, node: pruning/magnitude}
        examples: [gray2021third]
  pruning:
    name: Pruning
    tagline: remove what matters little
    definition: Weights go for good.
    groups:
      magnitude:
        name: Magnitude
        definition: Small weights go.
        in_if: the weights alone are the score
        examples: [black2020second]
"""

BIBLIOGRAPHY = """\
@inproceedings{white2019first,
  title = {A {First} Work},
  author = {White, Ann and van der Berg, Bo and Roe, Cy},
  booktitle = {Proceedings of Things},
  year = {2019},
  eprint = {1901.00001},
  archivePrefix = {arXiv},
  zoo_name = {Plain},
  zoo_id = {plain},
  zoo_role = {algorithm},
  zoo_venue = {Things 2019},
}

@article{black2020second,
  title = {Second {\\"U}ber Work},
  author = {Black, Dee},
  journal = {Journal of Things},
  year = {2020},
  pages = {1--9},
  doi = {10.1000/xyz},
  zoo_role = {algorithm},
}

@misc{gray2021third,
  title = {Third Work},
  author = {Gray, Eve and Gold, Flo},
  year = {2021},
  url = {https://example.org/third},
  zoo_role = {foundation},
  zoo_unconfirmed = {authors},
}

@misc{survey2024,
  title = {A Survey of Things},
  author = {Survey, Gus},
  year = {2024},
  zoo_role = {survey},
}
""".replace("survey2024,", "survey2024things,")

SURVEY = """\
work: survey2024things
name: Survey 2024
read: The whole of it.
special:
  - {text: It is small., read: full text, place: Section 1}
slips:
  - {text: It misspells things., read: full text}
sections:
  - title: Quantization
    family: quantization
    works:
      - {work: white2019first, depth: described, read: full text, says: Rounds things.}
    sections:
      - title: Deeper
        works:
          - {work: gray2021third, depth: mentioned, read: recalled}
  - title: Pruning
    works:
      - {work: black2020second, depth: table, read: secondary}
"""

CODE = '''"""Plain: rounds each number.

Symbols  W  (out, in)  the weight [eq-round]
"""

from reference_impls.core.contracts import layer


@layer()
def {name}(weight, inputs, *, bits: int = 4):
    """Round."""
    return weight.round()  # [eq-round] <script>window.pwned=1</script>
'''


def entry(name: str, **changes: object) -> dict:
    """The fields of a valid entry, as they stand in its file."""
    fields: dict = {
        "name": name, "family": "quantization/rounding", "paper": "white2019first", "introduced": "2019-01",
        "checked": "full text", "summary": "Rounds every number to the nearest one of a grid.",
        "plain": "Long numbers become short.",
        "facts": {
            "compresses": ["weights"], "stage": "post-training", "data": "none", "training": "none",
            "uses_gradients": False, "structure": "not-applicable", "granularity": ["group", "channel"],
            "bits": {"weights": [2, 4]}, "needs_for_speed": "dequantizing-kernel", "modality": "language",
            "model_kind": "decoder", "scale": "large", "cost": {"time": "O(n)"},
        },
        "idea": "Each weight is rounded, see [eq-round] and [@gray2021third], with $q = 2^b$ levels:\n\n$$x \\le y$$\n",
        "equations": {"eq-round": "\\hat W = \\mathrm{round}(W)"},
        "steps": ["Round [eq-round].", "Store."],
        "strengths": ["It is quick.", {"text": "It is known.", "checked": "full text",
                                       "source": {"work": "gray2021third", "place": "Table 2"}}],
        "limits": [{"text": "It is rough.", "measured": True}],
        "relations": [{"type": "alternative_to", "target": "gray2021third", "why": "Both make less."}],
        "reference": {
            "code": f"reference_impls.quantization.{name.lower()}:{name.lower()}", "contract": "layer",
            "options": {"bits": 4}, "sweep": {"bits": [2, 4]}, "baseline": None,
            "also_on": [{"model": "smollm2", "sweep": {"bits": [2, 4]}}],
            "tests": f"tests/reference_impls/quantization/test_{name.lower()}.py",
            "faithful": "The rounding.", "shows": "The bench shows little.",
        },
        "software": {"official": {"repository": "someone/plain", "licence": "MIT"},
                     "libraries": [{"name": "lib", "call": "Plain"}]},
        "further_reading": ["gray2021third"],
    }
    return fields | changes


def reported() -> dict[str, dict]:
    """The files of catalog/reported: a paper with two methods under one protocol, and a repository full of malice."""
    bad = HOSTILE_LINE
    paper = {
        "source": {"work": "white2019first"},
        "tables": [{
            "place": "Table 1", "checked": "full text", "metric": "perplexity", "dataset": "Text",
            "setting": {"activation_bits": 16}, "from_code": ["dataset"], "note": "As printed.",
            "rows": [
                {"method": "white2019first", "model": "M-1B", "setting": {"bits": 4}, "value": 6.1, "baseline": 5.5},
                {"method": "white2019first", "model": "M-2B", "setting": {"bits": 4}, "value": 6.3, "baseline": 5.6},
                {"method": "white2019first", "model": "M-1B", "setting": {"bits": 2}, "value": 9.9, "baseline": 5.5},
                {"method": "black2020second", "model": "M-1B", "setting": {"bits": 4}, "value": 5.9, "baseline": 5.5},
                {"method": "gray2021third", "model": "M-1B", "value": 12345.5, "not_stated": ["bits"]},
            ],
        }],
    }
    malice = {
        "source": {"repository": "someone/plain\"onmouseover=window.pwned=1><script>", "of": ["black2020second"]},
        "tables": [{"place": bad, "checked": "secondary", "note": bad, "rows": [
            {"method": method, "model": bad, "metric": bad, "dataset": bad, "unit": bad, "setting": {"odd": bad},
             "value": value, "baseline": 1, "baseline_is": bad, "note": bad}
            for method, value in (("black2020second", 2), ("gray2021third", 3))
        ]}],
    }
    return {"white2019first": paper, 'someone--plain"onmouseover=window.pwned=1><script>': malice}


def protocols() -> dict:
    """The words of `reported`."""
    bad = HOSTILE_LINE
    return {
        "settings": {
            "bits": {"part": "compression", "meaning": "Bits of a weight."},
            "activation_bits": {"part": "compression", "meaning": "Bits of an activation."},
            "odd": {"part": "evaluation", "meaning": bad, "name": bad},
        },
        "metrics": {"perplexity": {"better": "lower"}, bad: {"better": "higher", "meaning": bad}},
    }


def kinds() -> dict[str, dict]:
    """The files of frameworks, benchmarks and metrics: a plain one each, and one with every text field hostile."""
    bad = HOSTILE_LINE
    page = {"address": "https://example.org/runner", "seen": "2026-01-02"}
    runner = {
        "name": "Runner", "kind": ["inference-engine", "serving"], "does": "Runs models.", "licence": "MIT",
        "repository": "someone/runner", "pages": {"docs": page | {"version": "1.2", "place": "Docs"}},
        "supports": [
            {"algorithm": "plain", "does": ["applies", "runs"], "how": "By its flag.", "since": "1.0",
             "source": {"page": "docs", "place": "Flags"}},
            {"algorithm": "gray2021third", "does": ["implements"], "how": "Built in.",
             "source": {"work": "survey2024things", "place": "Table 3"}},
        ],
    }
    malice = {
        "name": f"Malice {bad}", "aliases": [f"Alias {bad}"], "kind": ["compiler"], "does": bad, "compression": bad,
        "licence": bad, "status": {"text": bad, "source": {"page": "docs", "place": bad}},
        "pages": {"docs": page | {"version": bad, "place": bad}, "unused": page | {"version": bad}},
        "supports": [{"algorithm": "plain", "does": ["runs"], "how": bad, "since": bad, "until": bad,
                      "source": {"page": "docs", "place": bad}}],
    }
    alone = {"name": "Alone", "kind": ["hardware"], "does": "Computes."}
    text = {"name": "Text", "kind": "corpus", "measures": "Prediction.", "task": "The next word.",
            "size": {"text": "9 words", "source": {"work": "gray2021third", "place": "Table 1"}},
            "metrics": ["perplexity"], "part_of": ["trap"], "beware": "Its tokens differ."}
    trap = {"name": f"Trap {bad}", "aliases": [f"Alias {bad}"], "kind": "suite", "measures": bad, "task": bad,
            "size": {"text": bad, "source": page | {"version": bad, "place": bad}}, "beware": bad}
    perplexity = {"name": "Perplexity", "of": "quality", "definition": "The mean of $-\\log p$, exponentiated.",
                  "formula": "e^{-\\frac1n \\sum \\log p}", "better": "lower", "hides": "Rare words.",
                  "bench": ["perplexity"]}
    snare = {"name": f"Snare {bad}", "aliases": [f"Alias {bad}"], "of": "size", "definition": bad, "unit": bad,
             "better": "neither", "hides": bad}
    return {
        "frameworks": {"runner": runner, "malice": malice, "alone": alone},
        "benchmarks": {"text": text, "trap": trap}, "metrics": {"perplexity": perplexity, "snare": snare},
    }


def hostile_entry() -> dict:
    """An entry with every text field hostile."""
    bad = HOSTILE_LINE
    fields = entry(
        "Hostile", paper="black2020second", aliases=[f"Alias {HOSTILE}"], plain=bad, idea=f"{bad}\n\n# {bad}\n",
        steps=[bad], strengths=[bad, {"text": bad, "checked": "full text",
                                      "source": {"work": "gray2021third", "place": bad}}], limits=[bad],
        relations=[{"type": "builds_on", "target": "plain", "why": bad}],
        software={"official": {"repository": "a/b\"onmouseover=window.pwned=1><script>", "licence": bad},
                  "libraries": [{"name": bad, "call": bad}]},
    )
    fields["facts"]["cost"] = {"time": bad, "memory": bad}
    fields["reference"] |= {"faithful": bad, "leaves_out": bad, "differs": [bad], "shows": bad}
    fields["summary"] = HOSTILE.partition("[a]")[0] + '"><svg onload=window.pwned=1> ends.'
    fields["name"] = f"Hostile {HOSTILE}"
    return fields


def measurement(name: str, code: str, root: Path) -> dict:
    """What `compzoo bench` writes, with a sweep over two widths."""
    def run(role: str, algorithm: str, options: dict, value: float, varied: str | None = None) -> dict:
        size = {"bits_per_weight": float(options.get("bits", 16)), "bytes_on_disk": 1_700_000}
        seeds = [{"seed": seed, "perplexity": value + seed / 10, **size} for seed in (0, 1, 2)]
        return {
            "role": role, "algorithm": algorithm, "options": options, "varied": varied, "seeds": seeds,
            "median": {"perplexity": value + 0.1, **size}, "min": {"perplexity": value, **size},
            "max": {"perplexity": value + 0.2, **size},
        }

    return {
        "schema": 1, "algorithm": name, "code": code, "code_hash": code_hash(code, root), "date": "2026-01-02",
        "protocol": {"name": "language", "version": 1, "model": "s", "seeds": [0, 1, 2]},
        "metrics": {"perplexity": {"label": "perplexity", "better": "lower", "unit": ""},
                    "bits_per_weight": {"label": "bits a weight", "better": "lower", "unit": "bits"},
                    "bytes_on_disk": {"label": "size", "better": "lower", "unit": "B"}},
        "runs": [
            run("dense", name, {}, 20.0), run("declared", name, {"bits": 4}, 21.0),
            run("sweep", name, {"bits": 2}, 30.0, "bits"), run("sweep", name, {"bits": 4}, 21.0, "bits"),
        ],
    }


LOGS = {  # log-perplexity over three seeds, of no method, of each alone, and of both orders
    (): (3.0, 3.0, 3.0), ("plain",): (3.2, 3.1, 3.3), ("hostile",): (3.5, 3.5, 3.5),
    ("plain", "hostile"): (3.35, 3.55, 3.9), ("hostile", "plain"): (4.0, 4.1, 4.2),
}  # fmt: skip


def combinations(logs: dict, refused: dict | None = None, hashes: dict | None = None) -> dict:
    """What `compzoo combine` writes, for runs with these log-perplexities; `refused`: order to reason."""
    def run(names: tuple[str, ...], values: list[float]) -> dict:
        parts = {"median": sorted(values)[len(values) // 2], "min": min(values), "max": max(values)}
        return {
            "methods": list(names),
            "seeds": [{"seed": i, "perplexity": value, "bits_per_weight": 4.0} for i, value in enumerate(values)],
            **{part: {"perplexity": value, "bits_per_weight": 4.0} for part, value in parts.items()},
        }

    runs = [run(names, [math.exp(log) for log in found]) for names, found in logs.items()]
    runs += [{"methods": list(names), "refused": why} for names, why in (refused or {}).items()]
    methods = [names[0] for names in logs if len(names) == 1]
    return {
        "schema": 1, "date": "2026-01-02",
        "protocol": {"name": "language", "version": 1, "model": "s", "seeds": [0, 1, 2]},
        "metrics": {"perplexity": {"label": "perplexity", "better": "lower"}},
        "code_hashes": hashes or {name: "0" * 64 for name in methods},
        "options": {name: {"bits": 4} if name == "plain" else {} for name in methods}, "runs": runs,
    }


def write(root: Path, hostile: bool = True) -> Path:
    """Lays the repository out below `root`; returns `root`."""
    catalog = root / "catalog"
    for folder in ("algorithms/quantization", "surveys", "measurements", "reported"):
        (catalog / folder).mkdir(parents=True, exist_ok=True)
    for name in ("vocabulary.yml", "synonyms.yml"):
        shutil.copy(ROOT / "catalog" / name, catalog / name)
    (catalog / "taxonomy.yml").write_text(TAXONOMY, encoding="utf-8")
    (catalog / "references.bib").write_text(BIBLIOGRAPHY, encoding="utf-8")
    (catalog / "surveys" / "survey2024.yml").write_text(SURVEY, encoding="utf-8")
    (catalog / "protocols.yml").write_text(json.dumps(protocols()), encoding="utf-8")
    for name, found in kinds().items():
        (catalog / f"{name}.yml").write_text(json.dumps(found), encoding="utf-8")
    for name, tables in reported().items():
        (catalog / "reported" / f"{name}.yml").write_text(json.dumps(tables), encoding="utf-8")
    (catalog / "retired.yml").write_text("plane: plain\n", encoding="utf-8")
    both = ["gray2021third", "white2019first"]
    citations = {"black2020second": {"witness": "its PDF", "complete": True, "cited": both},
                 "survey2024things": {"witness": "its PDF", "complete": False, "cited": ["black2020second"]}}
    (catalog / "citations.yml").write_text(json.dumps(citations), encoding="utf-8")
    shutil.copytree(ROOT / "reference_impls" / "core", root / "reference_impls" / "core", dirs_exist_ok=True)
    names = ["plain", "hostile"] if hostile else ["plain"]
    for name in names:
        fields = hostile_entry() if name == "hostile" else entry("Plain")
        (catalog / "algorithms" / "quantization" / f"{name}.yml").write_text(json.dumps(fields), encoding="utf-8")
        code = root / "reference_impls" / "quantization" / f"{name}.py"
        code.parent.mkdir(parents=True, exist_ok=True)
        code.write_text(CODE.replace("{name}", name), encoding="utf-8")
        tests = root / "tests" / "reference_impls" / "quantization" / f"test_{name}.py"
        tests.parent.mkdir(parents=True, exist_ok=True)
        tests.write_text("def test_it():\n    pass\n", encoding="utf-8")
    data = measurement("plain", "reference_impls.quantization.plain:plain", root)
    (catalog / "measurements" / "plain.json").write_text(json.dumps(data), encoding="utf-8")
    data["protocol"] |= {"name": "language-large", "model": "smollm2"}
    data["code_hash"] = "0" * 64  # stale
    (catalog / "measurements" / "smollm2").mkdir(exist_ok=True)
    (catalog / "measurements" / "smollm2" / "plain.json").write_text(json.dumps(data), encoding="utf-8")
    return root
