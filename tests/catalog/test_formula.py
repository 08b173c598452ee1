"""Formulas: arithmetic, and nothing that could do anything else."""

from __future__ import annotations

import pytest

from catalog.formula import Formula


def test_value_and_names() -> None:
    formula = Formula("bits + (16 + bits) / group_size")
    assert formula.names == {"bits", "group_size"}
    assert formula({"bits": 4, "group_size": 64}) == pytest.approx(4.3125)
    assert Formula("max(ceil(log2(levels)), -1) % 4 // 1")({"levels": 100}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "().__class__", "a.b", "a[0]", "lambda: 1", "2 ** 99999999", "'x' * 9", "True", "print(1)",
        "[1]", "open('x')", "max()", "max(a, key=b)", "a; b", "", "a +", "1 if 1", "(" * 200, "a" * 301, "a < b", "1j",
        "a and b", "a if b else c",
    ],
)  # fmt: skip
def test_all_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Formula(text)


@pytest.mark.parametrize("values", [{}, {"a": None}, {"a": "4"}, {"a": True}, {"a": 0}, {"a": float("nan")}])
def test_no_value(values: dict) -> None:
    with pytest.raises(ValueError):
        Formula("1 / a")(values)
