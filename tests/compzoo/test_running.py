"""The commands that run algorithms: what they print, what they refuse, and what they leave behind."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compzoo import cli, measuring, recipes
from compzoo.recipes import Recipe, parse_options, parse_value
from reference_impls.core.contracts import options_of, training

KEYS = {"algorithm", "options", "protocol", "before", "after", "baseline", "storage", "seconds", "seed", "metrics"}
RTN = Recipe("rtn", "reference_impls.quantization.rtn:rtn", {"bits": 4, "group_size": 16})
GPTQ = Recipe(
    "gptq", "reference_impls.quantization.gptq:gptq", {"bits": 4, "group_size": 16}, {"bits": [2, 4]},
    ("rtn", {"bits": 4, "group_size": 16}),
)  # fmt: skip
WANDA = Recipe("wanda", "reference_impls.pruning.wanda:wanda", {"sparsity": 0.5})


def compzoo(*words: str):
    return CliRunner().invoke(cli.app, list(words))


def options(words: str, *entries: Recipe):
    return parse_options(words.split(), entries, ("--model", "--seed"))


def test_help_needs_neither_torch_nor_mkdocs():
    code = (
        "import sys; from typer.testing import CliRunner; from compzoo import cli; "
        "result = CliRunner().invoke(cli.app, ['--help']); assert result.exit_code == 0, result.output; "
        "assert all(c in result.output for c in ('run', 'compare', 'bench', 'list', 'cite', 'serve')); "
        "heavy = {'torch', 'transformers', 'mkdocs', 'igraph', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_entry_runs_by_its_declared_options():
    from reference_impls.bench.composition import plan

    files = recipes.entry_files()
    assert {"rtn", "gptq", "wanda"} <= files.keys()
    for name in files:
        entry = recipes.recipe(name)
        signature = options_of(entry.function())
        assert {**entry.options, **entry.sweep}.keys() <= signature.keys(), name
        assert not signature.keys() & {option.removeprefix("--") for option in cli.running.RUN_OPTIONS}, name
        assert plan(recipes.methods([entry], [{}]))
        if entry.baseline is not None:
            assert plan(recipes.baseline_methods([entry], [{}])), name


def test_run_prints_one_json_document(small_bench):
    result = compzoo("run", "gptq", "--bits", "3", "--group-size", "16", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document.keys() == KEYS
    assert document["algorithm"] == "gptq"
    assert document["options"]["bits"] == 3 and document["options"]["group_size"] == 16
    assert document["baseline"]["algorithm"] == "rtn" and document["baseline"]["options"]["bits"] == 3
    assert document["storage"].keys() == {"bytes_on_disk", "dense_bytes", "bits_per_weight"}
    assert 3 < document["storage"]["bits_per_weight"] < 5 and document["seed"] == 0
    for side in ("before", "after", "baseline"):
        assert {"perplexity", "kl", "top1_agreement", "bytes_on_disk"} <= document[side].keys()


def test_a_method_runs_on_the_model_that_its_entry_is_measured_on(small_bench, monkeypatch):
    from reference_impls.bench import run as bench_run

    asked = []

    def stop(steps, model, *_):
        asked.append(model)
        raise bench_run.CannotRun("seen")

    monkeypatch.setattr(bench_run, "make_bench", stop)
    for words in ("run smoothquant", "run smoothquant --model s", "run smoothquant+gptq", "run rtn"):
        assert compzoo(*words.split()).exit_code == 2
    assert asked == ["s-outliers", "s", None, None]


def test_options_are_those_that_the_entry_has_for_the_model(small_bench, monkeypatch):
    from reference_impls.bench import run as bench_run

    asked = []

    def stop(steps, *_):
        asked.append({name: value for step in steps for name, value in step.options.items()}["group_size"])
        raise bench_run.CannotRun("seen")

    monkeypatch.setattr(bench_run, "make_bench", stop)
    own = recipes.recipe("lut-gemm")
    there = own.on("smollm2").options["group_size"]
    for words in ("run lut-gemm", "run lut-gemm --model smollm2", "compare lut-gemm --model smollm2",
                  "run lut-gemm --model smollm2 --group-size 64"):  # fmt: skip
        assert compzoo(*words.split()).exit_code == 2
    assert asked == [own.options["group_size"], there, there, 64] and there != own.options["group_size"]


def test_run_shows_a_table(small_bench):
    result = compzoo("run", "wanda+gptq", "--sparsity", "0.5", "--bits=4", "--group-size=-1", "--seed", "3")
    assert result.exit_code == 0, result.output
    for words in ("wanda+gptq", "perplexity", "bytes on disk", "uncompressed", "wanda+rtn", "seed 3"):
        assert words in " ".join(result.stdout.split())  # lines are folded where they meet the edge of the terminal


def test_run_help_lists_the_options_of_the_algorithm():
    result = compzoo("run", "gptq", "--help")
    assert result.exit_code == 0
    assert "--group-size" in result.stdout and "--bits" in result.stdout and "--save" in result.stdout


@pytest.mark.parametrize("words, said", [
    ("run gtpq", "unknown algorithm 'gtpq'; did you mean 'gptq'?"),
    ("run wanda+gtpq", "did you mean 'gptq'?"),
    ("run gptq --bit 3", "unknown option of gptq '--bit'; did you mean '--bits'?"),
    ("run gptq --sed 3", "did you mean '--seed'?"),
    ("run gptq --bits three", "--bits: 'three' is not a whole number"),
    ("run gptq --bits", "--bits of gptq needs a value: a whole number"),
    ("run gptq 3", "unexpected '3'"),
    ("run --bits 3 gptq", "the algorithm comes first"),
    ("run gptq --group-size 24", "group_size is 24; it must divide"),
    ("run gptq+wanda", "put|other order"),
    ("run albert --share everything", "unknown value of --share 'everything'"),
    ("run gptq --device gpu", "unknown device 'gpu'"),
    ("run gptq --model ./no-such-folder", "unknown model './no-such-folder'"),
    ("run gptq --model digits", "gptq is for language models"),
    ("compare gptq tome", "do not belong in one table"),
    ("compare gptq:bits", "options are written option=value"),
    ("compare gptq:bitz=3", "did you mean '--bits'?"),
    ("bench", "name the entries to measure, or give --all"),
    ("bench gtpq", "did you mean 'gptq'?"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(words, said, small_bench):
    import re

    result = compzoo(*words.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert said in result.stderr or ("|" in said and re.search(said, result.stderr))


def test_run_without_an_algorithm_shows_how(small_bench):
    result = compzoo("run")
    assert result.exit_code == 2 and "Usage" in result.stdout


def test_save_writes_and_refuses_to_write_over(small_bench, tmp_path):
    folder = tmp_path / "out"
    result = compzoo("run", "rtn", "--group-size", "16", "--save", str(folder), "--json")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in folder.iterdir()) == ["packed", "result.json", "transformers"]
    assert json.loads((folder / "result.json").read_text()) == json.loads(result.stdout)
    again = compzoo("run", "rtn", "--save", str(folder))
    assert again.exit_code == 2 and "not empty" in again.stderr


def test_compare_is_one_table_in_one_run(small_bench):
    result = compzoo("compare", "rtn:bits=2,group_size=16", "gptq:bits=2,group-size=16", "wanda+gptq:group_size=-1",
                     "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [r["algorithm"] for r in document["results"]] == ["rtn", "gptq", "wanda+gptq"]
    assert document["results"][0]["options"]["group_size"] == 16
    assert document["results"][0]["kl"] > document["results"][1]["kl"]
    assert document["before"]["kl"] == 0


# Options from the command line


def test_spellings_of_options():
    assert options("--bits 3 --group-size 16", GPTQ) == [{"bits": 3, "group_size": 16}]
    assert options("--bits=3 --group_size=-1 --activation_bits=none", GPTQ) == [
        {"bits": 3, "group_size": -1, "activation_bits": None}
    ]
    assert options("--bits 3", WANDA, GPTQ) == [{}, {"bits": 3}]
    assert options("--gptq.bits 3 --rtn.bits 2", RTN, GPTQ) == [{"bits": 2}, {"bits": 3}]
    assert options("", RTN) == [{}]


def test_an_option_of_two_methods_must_say_whose(capsys):
    with pytest.raises(SystemExit):
        options("--bits 3", RTN, GPTQ)
    assert "write --rtn.bits or --gptq.bits" in capsys.readouterr().err


@training
def sample(*, flag: bool = False, names: tuple[str, ...] = ("a",), rate: float = 1.0, maybe: int | None = None):
    """A function with an option of every kind."""


SAMPLE = Recipe("sample", f"{__name__}:sample")


@pytest.mark.parametrize("text, name, value", [
    ("yes", "flag", True), ("false", "flag", False), ("q_proj,v_proj", "names", ("q_proj", "v_proj")),
    ("1e-3", "rate", 0.001), ("2", "rate", 2.0), ("none", "maybe", None), ("-1", "maybe", -1),
])  # fmt: skip
def test_values_get_the_type_of_the_option(text, name, value):
    found = parse_value(options_of(sample)[name], text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text, name", [("maybe", "flag"), ("nan", "rate"), ("inf", "rate"), ("1.5", "maybe")])
def test_values_of_another_type_are_refused(text, name):
    with pytest.raises(SystemExit):
        parse_value(options_of(sample)[name], text)


def test_switches(monkeypatch):
    monkeypatch.setattr(Recipe, "function", lambda self: sample)
    assert options("--flag", SAMPLE) == [{"flag": True}]
    assert options("--no-flag --rate 2", SAMPLE) == [{"flag": False, "rate": 2.0}]
    assert options("--flag --rate 2", SAMPLE) == [{"flag": True, "rate": 2.0}]


def test_the_baseline_follows_what_the_user_gives(monkeypatch):
    monkeypatch.setattr(recipes, "recipe", lambda name: {"rtn": RTN, "gptq": GPTQ}[name])
    (baseline,) = recipes.baseline_methods([GPTQ], [{"bits": 3, "damping": 0.1}])
    assert baseline.id == "rtn" and baseline.given == {"bits": 3, "group_size": 16}
    pruned, quantized = recipes.baseline_methods([WANDA, GPTQ], [{"sparsity": 0.6}, {}])
    assert (pruned.id, pruned.given, quantized.id) == ("wanda", {"sparsity": 0.6}, "rtn")
    # Where the entry means the two to differ, the baseline keeps its own value.
    other = Recipe("gptq", GPTQ.code, {"bits": 4}, {}, ("gptq", {"bits": 8}))
    (kept,) = recipes.baseline_methods([other], [{"bits": 3, "damping": 0.1}])
    assert kept.given == {"bits": 8, "damping": 0.1}


# The bench


@pytest.fixture
def counted(monkeypatch):
    """How often a compressed model was measured."""
    from reference_impls.bench.language_bench import LanguageBench

    calls: list[tuple] = []
    original = LanguageBench.measure

    def measure(self, steps, seed):
        calls.append((steps[0].id, steps[0].options.get("bits"), seed))
        return original(self, steps, seed)

    monkeypatch.setattr(LanguageBench, "measure", measure)
    monkeypatch.setattr(recipes, "recipe", lambda name: {"rtn": RTN, "gptq": GPTQ}[name])
    return calls


@pytest.fixture
def threads():
    """Gives the number of threads back."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def measure_entry(entry, seeds, *, folder, **options):
    """One entry, as a new process would measure it."""
    (found,) = measuring.measure_all([entry], measuring.Plan(seeds=tuple(seeds), folder=folder, **options))
    return found.state, found.path


def test_bench_writes_what_the_catalog_reads(small_bench, counted, tmp_path):
    from catalog.measurements import read

    state, path = measure_entry(GPTQ, [0, 1, 2], folder=tmp_path)
    assert state == "measured" and path == tmp_path / "gptq.json"
    measurement, problems = read(path)
    assert problems == []
    assert [(run.role, run.algorithm, run.options.get("bits")) for run in measurement.runs] == [
        ("dense", None, None), ("baseline", "rtn", 4), ("declared", "gptq", 4),
        ("sweep", "gptq", 2), ("sweep", "gptq", 4),
    ]  # fmt: skip
    # The declared options are one of the sweep's points: they are measured once.
    assert counted == [("rtn", 4, 0), ("rtn", 4, 1), ("rtn", 4, 2), ("gptq", 4, 0), ("gptq", 4, 1), ("gptq", 4, 2),
                       ("gptq", 2, 0), ("gptq", 2, 1), ("gptq", 2, 2)]  # fmt: skip
    declared = measurement.of_role("declared")[0]
    kl = [record["kl"] for record in declared.seeds]
    assert [record["seed"] for record in declared.seeds] == [0, 1, 2] and len(set(kl)) == 3
    assert declared.median["kl"] == sorted(kl)[1] and declared.min["kl"] == min(kl) and declared.max["kl"] == max(kl)
    assert list(measurement.metrics)[0] == "perplexity" and measurement.protocol.varies


def test_bench_passes_over_what_is_up_to_date(small_bench, counted, tmp_path, monkeypatch):
    measure_entry(RTN, [0], folder=tmp_path)
    assert measure_entry(RTN, [0], folder=tmp_path)[0] == "up to date" and len(counted) == 1
    for changed in (
        lambda: measure_entry(RTN, [0], folder=tmp_path, force=True),
        lambda: measure_entry(RTN, [0, 1], folder=tmp_path),
        lambda: measure_entry(Recipe("rtn", RTN.code, {"bits": 2, "group_size": 16}), [0], folder=tmp_path),
    ):
        before = len(counted)
        assert changed()[0] == "measured" and len(counted) > before
    measure_entry(RTN, [0, 1], folder=tmp_path)
    # More seeds than were asked for do no harm.
    assert measure_entry(RTN, [1], folder=tmp_path)[0] == "up to date"
    monkeypatch.setattr(measuring, "code_hash", lambda code: "0" * 64)
    assert measure_entry(RTN, [0], folder=tmp_path)[0] == "measured"
    (tmp_path / "rtn.json").write_text("{")
    assert measure_entry(RTN, [0], folder=tmp_path)[0] == "measured"


def test_what_is_recorded_is_measured_on_one_thread(small_bench, counted, tmp_path, threads, monkeypatch):
    """Otherwise its times, and so its protocol, would be others with every machine."""
    import torch

    from reference_impls.bench import protocol as protocols

    # Where nobody records, large models take all threads.
    monkeypatch.setattr(protocols, "LARGE_PARAMETERS", 0)
    torch.set_num_threads(2)
    _, path = measure_entry(RTN, [0], folder=tmp_path)
    protocol = json.loads(path.read_text())["protocol"]
    assert (protocol["threads"], protocol["clock"]) == (1, "processor time")


def test_new_labels_need_no_new_measurement(small_bench, counted, tmp_path, monkeypatch):
    from reference_impls.bench import measure

    _, path = measure_entry(RTN, [0], folder=tmp_path)
    before = json.loads(path.read_text())
    monkeypatch.setitem(measure.METRICS, "kl", {"label": "divergence", "better": "lower", "unit": "bits"})
    assert measure_entry(RTN, [0], folder=tmp_path)[0] == "up to date" and len(counted) == 1
    after = json.loads(path.read_text())
    assert after["metrics"].pop("kl") == {"label": "divergence", "better": "lower", "unit": "bits"}
    assert before["metrics"].pop("kl")["label"] == "KL divergence" and after == before


def test_bench_goes_on_where_it_was_interrupted(small_bench, counted, tmp_path, monkeypatch):
    from reference_impls.bench.language_bench import LanguageBench

    measure = LanguageBench.measure

    def interrupted(self, steps, seed):
        if len(counted) == 2:
            raise KeyboardInterrupt
        return measure(self, steps, seed)

    monkeypatch.setattr(LanguageBench, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_entry(RTN, [0, 1, 2], folder=tmp_path)
    assert not (tmp_path / "rtn.json").exists()
    monkeypatch.setattr(LanguageBench, "measure", measure)
    first = list(counted)
    measure_entry(RTN, [0, 1, 2], folder=tmp_path)
    assert first == [("rtn", 4, 0), ("rtn", 4, 1)] and counted[2:] == [("rtn", 4, 2)]
    assert len(json.loads((tmp_path / "rtn.json").read_text())["runs"][1]["seeds"]) == 3


def test_what_entries_share_is_measured_once(small_bench, counted, tmp_path):
    """The baseline of one entry is what another declares: its record serves both, in any order."""
    measurer = measuring.Measurer(measuring.Plan(seeds=(0, 1), folder=tmp_path))
    measurer.measure(GPTQ)
    assert [call for call in counted if call[0] == "rtn"] == [("rtn", 4, 0), ("rtn", 4, 1)]
    del counted[:]
    measuring.Measurer(measuring.Plan(seeds=(0, 1), folder=tmp_path)).measure(RTN)
    assert counted == []
    baseline = json.loads((tmp_path / "gptq.json").read_text())["runs"][1]
    declared = json.loads((tmp_path / "rtn.json").read_text())["runs"][1]
    assert baseline["seeds"] == declared["seeds"] and declared["role"] == "declared"


def test_a_record_is_of_its_key_alone(small_bench, tmp_path):
    records = measuring.Records(tmp_path / "records")
    key = {"seed": 0, "code_hash": "a", "run": [False, "rtn", {"bits": 4}]}
    records.put(key, {"kl": 1.0})
    assert records.get(key) == {"kl": 1.0}
    for changed in ({"seed": 1}, {"code_hash": "b"}, {"run": [False, "rtn", {"bits": 3}]}):
        assert records.get({**key, **changed}) is None
    records.forget(older_than=60)
    assert records.get(key) == {"kl": 1.0}
    records.forget(older_than=0)
    assert records.get(key) is None


def test_what_cannot_be_measured_does_not_stop_the_others(small_bench, counted, tmp_path):
    broken = replace(GPTQ, options={"bits": 99, "group_size": 16})
    failed, measured = measuring.measure_all([broken, RTN], measuring.Plan(seeds=(0,), folder=tmp_path))
    assert failed.state == "failed" and "99" in failed.problem and not failed.path.exists()
    assert measured.state == "measured" and measured.path.exists()
    assert measuring._last_seconds(failed.path) == float("inf") > 60 > measuring._last_seconds(measured.path)


def test_processes_side_by_side_report_to_the_first(tmp_path, monkeypatch):
    """On the bundled model, because a new process knows no patched one; refused before anything is computed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    broken = [Recipe(name, entry.code, {"bits": 99}) for name, entry in (("rtn", RTN), ("gptq", GPTQ))]
    found = list(measuring.measure_all(broken, measuring.Plan(seeds=(0,), folder=tmp_path), jobs=2))
    assert {one.algorithm for one in found} == {"rtn", "gptq"} and {one.state for one in found} == {"failed"}


def test_on_another_model_options_and_baseline_are_those_of_also_on():
    other = {"model": "smollm2", "options": {"bits": 3}, "baseline_options": {"bits": 3}}
    entry = replace(GPTQ, also_on={"smollm2": other})
    there = entry.on("smollm2")
    assert there.options == {**GPTQ.options, "bits": 3} and there.sweep == {} and there.model == "smollm2"
    assert there.baseline == ("rtn", {**GPTQ.baseline[1], "bits": 3})
    assert entry.on(None) is entry
    plan = measuring.Plan(model="smollm2", folder=Path("folder"))
    assert plan.path(entry) == Path("folder/smollm2/gptq.json")
    assert measuring.Plan(folder=Path("folder")).path(entry) == Path("folder/gptq.json")


def test_atomic_writing_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    measuring.write_atomically(path, "old")

    def interrupted(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measuring.write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_spread_passes_over_what_a_metric_lacks():
    found = measuring.spread([{"seed": 0, "a": 1.0, "b": None}, {"seed": 1, "a": 3.0, "b": None}])
    assert found == {"median": {"a": 2.0, "b": None}, "min": {"a": 1.0, "b": None}, "max": {"a": 3.0, "b": None}}
