"""Strict YAML: what stands in the file is what is read, and every refusal has a line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from catalog.reader import DEPTH_LIMIT, SIZE_LIMIT, parse, read


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2:4", "2:4"), ("no", "no"), ("yes", "yes"), ("on", "on"), ("True", "True"), ("NULL", "NULL"), ("~", "~"),
        ("2022-10", "2022-10"), ("2022-10-31", "2022-10-31"), ("010", "010"), ("0x1f", "0x1f"), ("0o17", "0o17"),
        ("1_000", "1_000"), ("12:30:45", "12:30:45"), (".5", ".5"), ("+5", "+5"), (".inf", ".inf"), (".nan", ".nan"),
        ("2211.10438v7", "2211.10438v7"), ("=", "="), ("<<", "<<"), ('"5"', "5"), ("'true'", "true"), ('""', ""),
        ("5", 5), ("-12", -12), ("0", 0), ("2.5", 2.5), ("3.10", 3.1), ("1e-5", 1e-5), ("-1.5e3", -1500.0),
        ("true", True), ("false", False), ("null", None), ("", None),
    ],
)  # fmt: skip
def test_only_decimal_numbers_true_false_and_null_are_not_text(written: str, value: object) -> None:
    document = parse(f"key: {written}\n")
    assert document.problems == []
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


def test_written_form_of_a_number_is_kept() -> None:
    document = parse("a: 2310.10\nb: [3.10]\n")
    assert document.written == {("a",): "2310.10", ("b", 0): "3.10"}


def test_every_part_knows_its_line() -> None:
    document = parse("a: 1\nb:\n  - x: 1\n\n    y: {z: 2,\n        w: 3}\n  - |\n    text\n")
    assert document.lines[("a",)] == 1
    assert document.lines[("b", 0, "x")] == 3
    assert document.lines[("b", 0, "y", "z")] == 5
    assert document.lines[("b", 0, "y", "w")] == 6
    assert document.lines[("b", 1)] == 7
    assert document.line(("b", 0, "gone", "deeper")) == 3  # the nearest thing around it


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a", "the key stands twice"),
        ("a:\n  - {x: 1, y: 2,\n     x: 3}\n", 3, "a[0].x", "the key stands twice"),
        ("a: 1\nb: &name 2\n", 2, "", "a YAML anchor"),
        ("a: 1\nb: *name\n", 2, "", "a YAML alias"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "", "a YAML tag"),
        ("a: 1\n\tb: 2\n", 2, "", "a tab character"),
        ("a: one\ttwo\n", 1, "", "a tab character"),
        ("a: 1\n---\nb: 2\n", 2, "", "a second YAML document"),
        ("? [a, b]\n: 1\n", 1, "", "a list or mapping as a key"),
        ("a: 1\nb: [1, 2\n", 3, "", "this is not YAML"),
        ("a: 1\n  b: 2\n", 2, "", "this is not YAML"),
        ("a: 1\nb: \x07\n", 2, "", "this is not YAML"),
    ],
)
def test_refusals(text: str, line: int, key: str, message: str) -> None:
    problems = parse(text, "file.yml").problems
    assert problems, "nothing was refused"
    assert (problems[0].file, problems[0].line, problems[0].key) == ("file.yml", line, key)
    assert problems[0].message.startswith(message)
    assert problems[0].expected


def test_first_of_two_equal_keys_is_kept_and_named() -> None:
    document = parse("a: 1\nb: 2\na: {c: 3}\n")
    assert document.data == {"a": 1, "b": 2}
    assert document.problems[0].expected == "one `a` (the first is in line 1)"


def test_several_faults_are_found_at_once() -> None:
    assert len(parse("a: 1\na: 2\nb: &x 1\nc: {d: 1, d: 2}\n").problems) == 3


def test_alias_bomb_costs_nothing() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40))
    start = time.process_time()
    problems = parse(bomb).problems
    assert time.process_time() - start < 2
    assert [problem.message for problem in problems][:2] == ["a YAML anchor", "a YAML anchor"]
    assert problems[-1].message == "a YAML alias"


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 50_000, "a:\n" * 3 + "? " * 50_000])
def test_nesting_bomb_is_refused(text: str) -> None:
    assert parse(text).problems


def test_depth_limit_is_exact() -> None:
    assert parse("[" * DEPTH_LIMIT + "]" * DEPTH_LIMIT).problems == []
    assert parse("[" * (DEPTH_LIMIT + 1) + "]" * (DEPTH_LIMIT + 1)).problems[0].message == "nested too deeply"


def test_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "file.yml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    problem = read(path).problems[0]
    assert (problem.line, problem.message, problem.value) == (2, "the file is not UTF-8", "byte 0xe9")


@pytest.mark.parametrize("text", ["", "\n \n", "# only a remark\n", "---\n"])
def test_empty_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yml"
    path.write_text(text)
    assert [problem.message for problem in read(path).problems] == ["the file is empty"]


def test_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file.yml"
    path.write_text("a: 1\n" * 2_000_000)
    problem = read(path).problems[0]
    assert problem.message == "the file is too large"
    assert problem.expected == f"at most {SIZE_LIMIT:,} bytes"
    path.write_text("a: " + "x" * (SIZE_LIMIT - 4) + "\n")
    assert read(path).problems == []


def test_missing_file_and_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path / "gone.yml").problems[0].message == "the file cannot be read"
    path = tmp_path / "file.yml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read(path).problems[0].message == "the file starts with a byte order mark"
