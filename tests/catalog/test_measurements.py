"""Measurements: the format that the bench writes, and when one is stale."""

from __future__ import annotations

import json

import pytest

from catalog.measurements import code_hash

RECORD = {"seed": 0, "perplexity": 40.1, "bytes_on_disk": 10, "tokens_per_second": None}


def measurement(repository, **changes) -> dict:
    values = {"perplexity": 40.1, "bytes_on_disk": 10, "tokens_per_second": None}
    data = {
        "schema": 1, "algorithm": "alpha", "code": "reference_impls.quantization.alpha:alpha",
        "code_hash": code_hash("reference_impls.quantization.alpha:alpha", repository), "date": "2026-11-21",
        "protocol": {"name": "language-s", "version": 1, "model": "s", "seeds": [0], "torch": "2.13.0", "threads": 1},
        "metrics": {"perplexity": {"label": "perplexity", "better": "lower", "unit": ""}},
        "runs": [{"role": "declared", "algorithm": "alpha", "options": {"bits": 4}, "seeds": [RECORD],
                  "median": values, "min": values, "max": values}],
    }  # fmt: skip
    return data | changes


def write(zoo, data, name="alpha.json") -> None:
    path = zoo.root / "measurements" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


def test_a_measurement_is_read(zoo) -> None:
    write(zoo, measurement(zoo.repository))
    catalog, problems = zoo.read()
    assert problems == []
    found = catalog.measurements["alpha"]
    assert found.of_role("declared")[0].median["perplexity"] == 40.1
    assert found.protocol.model_extra == {"torch": "2.13.0", "threads": 1}
    assert not catalog.is_stale(found)


@pytest.mark.parametrize("name", ["quantization/alpha.py", "core/contracts.py"])
def test_it_is_stale_when_the_code_has_changed(zoo, name: str) -> None:
    write(zoo, measurement(zoo.repository))
    path = zoo.repository / "reference_impls" / name
    path.write_text(path.read_text() + "\n# another line\n")
    catalog, problems = zoo.read()
    assert problems == []
    assert catalog.is_stale(catalog.measurements["alpha"])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"algorithm": "beta"}, "algorithm"), ({"code": "reference_impls.quantization.beta:beta"}, "code"),
        ({"schema": 2}, "schema"), ({"code_hash": "abc"}, "code_hash"), ({"runs": []}, "runs"), ({"extra": 1}, "extra"),
        ({"date": "today"}, "date"),
    ],
)  # fmt: skip
def test_faults(zoo, changes: dict, key: str) -> None:
    write(zoo, measurement(zoo.repository, **changes))
    problem = zoo.only_problem()
    assert (problem.file, problem.key) == ("catalog/measurements/alpha.json", key)


def test_measurement_of_nothing(zoo) -> None:
    write(zoo, measurement(zoo.repository, algorithm="alhpa"), "alhpa.json")
    problem = zoo.only_problem()
    assert (problem.message, problem.nearest) == ("no entry of this id", "alpha")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "[" * 100_000, '{"schema": NaN}'])
def test_files_that_are_no_measurements(zoo, text: str) -> None:
    write(zoo, text)
    assert {problem.file for problem in zoo.problems} == {"catalog/measurements/alpha.json"}
