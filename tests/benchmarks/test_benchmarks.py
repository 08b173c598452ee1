"""Benchmarks: one comparison runs and leaves a whole record; what is absent, broken or unknown is said, never passed.

No timing is asserted.
"""

import json
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:       # the benchmarks are run from a checkout and are no part of the installed package
    sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as runner  # noqa: E402
from benchmarks.comparison import Comparison, Judgement, Sides, run  # noqa: E402
from benchmarks.render import render  # noqa: E402

FIELDS = {
    "name", "method", "package", "version", "problem", "remark", "counts", "errors", "agreement", "distance", "seconds",
    "time_ratio", "time_ratio_range", "repeats", "date", "machine", "python", "torch", "transformers",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """No figure of time is looked at, so none need be exact."""
    monkeypatch.setattr("benchmarks.comparison.SHORTEST", 1e-5)
    monkeypatch.setattr("benchmarks.comparison.gc.collect", lambda: 0)


def comparison(name="a-b", package="torch", ours=lambda: 2.0, theirs=lambda: 4.0, **more) -> Comparison:
    def prepare() -> Sides:
        return Sides(ours, theirs, lambda a, b: Judgement({"error": (a, b)}, agreement=0.5))

    return Comparison(name, "rtn", package, "a number", prepare, **more)


def test_one_comparison_leaves_a_record_and_a_table(tmp_path, capsys):
    file = tmp_path / "results.json"
    assert runner.main(["rtn-torchao-4bit-256", "--repeats", "1", "--json", str(file)]) == 0
    (record,) = json.loads(file.read_text())
    assert record.keys() == FIELDS
    assert record["version"] == "0.18.0" and record["repeats"] == 1
    assert record["agreement"] == 1 and record["distance"] == 0      # one grid, so one result
    assert record["errors"]["output"]["ratio"] == pytest.approx(1, abs=1e-6)
    assert 0.1 < record["errors"]["output"]["ours"] < 0.3
    assert record["seconds"]["ours"] > 0 and record["seconds"]["theirs"] > 0
    table = (tmp_path / "README.md").read_text()
    assert "`rtn-torchao-4bit-256` | torchao 0.18.0 |" in table
    assert "## Not measured" in table and "`lora-peft-forward` (peft)" in table
    assert "1 compared, 0 skipped, 0 failed" in capsys.readouterr().out


def test_names_are_unique_and_methods_are_entries_of_the_catalog():
    known = runner.comparisons()
    assert len({c.name for c in known}) == len(known)
    entries = {path.stem for path in (ROOT / "catalog" / "algorithms").rglob("*.yml")}
    assert {c.method for c in known} <= entries
    assert all(c.counts or c.remark for c in known), "what differs by design has to be said"


def test_every_reason_belongs_to_a_comparison():
    from benchmarks.render import REASONS

    assert REASONS.keys() <= {(c.method, c.package) for c in runner.comparisons()}


def test_absent_package_is_skipped_aloud_and_is_no_success(tmp_path, capsys):
    absent = comparison(package="no-such-package")
    assert runner.measure([absent], 1, tmp_path / "r.json", [absent]) == 1
    said = capsys.readouterr().out
    assert "SKIPPED  a-b: no-such-package is not installed" in said and "0 compared, 1 skipped" in said
    assert json.loads((tmp_path / "r.json").read_text()) == []


def test_failure_is_reported_and_hides_nothing(tmp_path, capsys):
    def broken():
        raise RuntimeError("kernel missing")

    both = [comparison("broken", theirs=broken), comparison("whole")]
    assert runner.measure(both, 1, tmp_path / "r.json", both) == 1
    assert "FAILED   broken: RuntimeError: kernel missing" in capsys.readouterr().out
    assert [record["name"] for record in json.loads((tmp_path / "r.json").read_text())] == ["whole"]


def test_records_are_merged_by_name_in_the_order_of_the_list(tmp_path):
    file, known = tmp_path / "r.json", [comparison("first"), comparison("second"), comparison("third")]
    runner.measure([known[2]], 1, file, known)
    runner.measure([known[0]], 1, file, known)
    runner.measure([comparison("third", ours=lambda: 8.0)], 1, file, known)
    records = json.loads(file.read_text())
    assert [(r["name"], r["errors"]["error"]["ratio"]) for r in records] == [("first", 0.5), ("third", 2.0)]
    runner.measure([known[0]], 1, file, known[:2])
    assert [r["name"] for r in json.loads(file.read_text())] == ["first"], "a comparison that is gone leaves the file"


def test_both_sides_run_in_turns_and_afresh(monkeypatch):
    monkeypatch.setattr("benchmarks.comparison.SHORTEST", 0.0)      # every measurement is one call
    calls: list[str] = []

    def side(name):
        return lambda: calls.append(name) or 1.0

    run(comparison(ours=side("o"), theirs=side("t")), repeats=4)
    assert calls[-8:] == ["o", "t"] * 4


def test_record_has_the_medians_and_gives_the_threads_back(monkeypatch):
    seconds = iter([1.0, 1.0, 3.0, 1.0, 2.0, 4.0, 9.0, 2.0])         # two to find the rounds, then three pairs
    monkeypatch.setattr("benchmarks.comparison._seconds", lambda side, rounds: next(seconds))
    threads = torch.get_num_threads()
    record = run(comparison(), repeats=3)
    assert torch.get_num_threads() == threads
    assert record["seconds"] == {"ours": 3.0, "theirs": 2.0}
    assert record["time_ratio"] == 1.5
    assert record["time_ratio_range"] == [0.5, 4.5]
    with pytest.raises(ValueError, match="repeats is 0"):
        run(comparison(), repeats=0)


def test_table_says_what_is_worse_slower_by_design_and_not_explained():
    worse = run(comparison("worse", ours=lambda: 4.1), 1)
    apart = run(comparison("apart", ours=lambda: 8.0, counts=False, remark="another grid"), 1)
    slow = {**run(comparison("slow"), 1), "time_ratio": 2.0, "package": "unheard-of", "agreement": 0.99999}
    table = render([{**worse, "time_ratio": 1.0}, {**apart, "time_ratio": 1.0}, slow], [])
    assert "3 comparisons, 2 of them on the same problem" in table
    assert "the error is at most that of the package in 1, and the time at most 1.5 times that of the package in 1" in (
        table.replace("\n", " ")
    )
    assert "Larger error: `worse`." in table
    assert "*By design:* another grid" in table
    assert "- **rtn** beside unheard-of: not looked into." in table
    assert "99.99 %" in table and "100 %" not in table, "what is not equal is not rounded up"


def test_rounding_is_not_counted_as_an_error():
    table = render([run(comparison("r", ours=lambda: 3e-7, theirs=lambda: 2e-7), 1)], [])
    assert "the error is at most that of the package in 1" in table and "Larger error" not in table


def test_bars_in_a_problem_do_not_end_its_cell():
    assert "sum of \\|w\\|" in render([{**run(comparison(), 1), "problem": "sum of |w|"}], [])


def test_unknown_name_is_refused(capsys):
    assert runner.main(["no-such-comparison"]) == 2
    assert "no comparison is named no-such-comparison" in capsys.readouterr().err
