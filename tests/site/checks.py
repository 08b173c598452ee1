"""What test_axe, test_html and the commands share: the page types, and programs that a machine may lack."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import warnings
from pathlib import Path

import pytest

from site_gen.frontend_build import FrontendError, ensure_packages

TOOLS = Path(__file__).parent / "tools"

# One page of each type.
PAGES = (
    "", "algorithms/", "algorithms/gptq/", "families/", "families/quantization/", "graph/", "surveys/",
    "surveys/wang2024/", "crosswalk/", "bibliography/", "works/xu2024besa/", "measured/", "combinations/", "reported/",
    "trends/", "vocabulary/", "frameworks/", "frameworks/vllm/", "benchmarks/", "metrics/", "compare/?a=gptq&a=awq",
    "choose/", "maps/", "glossary/", "cite/", "contribute/", "health/", "404.html",
)  # fmt: skip


def absent(message: str) -> None:
    """Skips the test, and says so where it cannot be overlooked."""
    warnings.warn(message, stacklevel=2)
    pytest.skip(message)


def tool(name: str) -> Path:
    """The folder of a package of tools/package.json; skips loudly where it cannot be installed."""
    try:
        ensure_packages(TOOLS)
    except FrontendError as error:
        absent(f"NO {name.upper()}: the site is not checked with it. {error}")
    return TOOLS / "node_modules" / name


def program(name: str) -> str | None:
    """The path of a program beside this Python or on the path of the system."""
    beside = Path(sysconfig.get_path("scripts")) / (name + (".exe" if sys.platform == "win32" else ""))
    return str(beside) if beside.is_file() else shutil.which(name)
