"""`compzoo choose`, as a person or a script meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from catalog import check, choosing
from compzoo import catalog_commands, choose_command
from tests.catalog.shape_cases import LLAMA

CATALOG, _ = check()
app = typer.Typer()
catalog_commands.register(app)
choose_command.register(app)


@pytest.fixture(autouse=True)
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog is read once for all of these tests."""
    monkeypatch.setattr(choose_command, "load_catalog", lambda: CATALOG)


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["choose", *words])
    assert result.exit_code == code, result.output + result.stderr
    return result


def test_it_answers_as_the_page() -> None:
    words = "--model llama-2-7b --memory 8GB --data none --training none --compress weights".split()
    found = json.loads(run(*words, "--json").output)
    stays = [row["id"] for row in found["rows"] if row["stays"]]
    assert {"rtn", "hqq"} <= set(stays) and "gptq" not in stays and found["stay"] == len(stays)
    facts = choosing.data(CATALOG)
    shape = next(one for one in facts["models"] if one["id"] == "llama-2-7b")
    assert found["question"]["shape"]["numbers"] == shape["numbers"]
    again = choosing.answer(facts, found["question"])
    assert json.loads(json.dumps(again["rows"])) == found["rows"]
    text = run(*words).output
    assert f"{len(stays)} of {len(CATALOG.algorithms)} methods stay" in text and "--all shows them" in text
    whole = " ".join(run(*words, "--all").output.split())
    assert "GPTQ: It compresses weights. It needs a few hundred samples, without labels. You have none." in whole


def test_a_config_file_takes_the_place_of_a_model(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"text_config": LLAMA}))
    assert "`text_config`" in run("--config", str(file)).output
    file.write_text(json.dumps({**LLAMA, "hidden_size": "big"}))
    assert '`hidden_size` is "big"' in run("--config", str(file), code=2).stderr
    assert "cannot be read" in run("--config", str(tmp_path / "none.json"), code=2).stderr
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in run("--config", str(file), code=2).stderr


@pytest.mark.parametrize(("words", "says"), [
    (["--model", "lama-2-7b"], "did you mean 'llama-2-7b'"), (["--memory", "8GB"], "give --model or --config"),
    (["--model", "gpt2", "--memory", "8 parsecs"], "no amount of memory"), (["--data", "calibraton"], "'calibration'"),
    (["--training", "ligth"], "did you mean 'light'"), (["--hardware", "gpu-ampre"], "did you mean 'gpu-ampere'"),
    (["--hardware", "cpu", "--offers", "nothing"], "not both"), (["--model", "gpt2", "--tokens", "0"], "from 1 to"),
    (["--by", "nothing-such"], "unknown protocol"), (["--compress", "weights,wieghts"], "'weights'"),
    (["--offers", "fused-kernl"], "'fused-kernel'"), (["--model", "gpt2", "--config", "x"], "not both"),
])  # fmt: skip
def test_faults_are_said_in_words(words: list[str], says: str) -> None:
    assert says in run(*words, code=2).stderr


def test_lists() -> None:
    assert "mixtral-8x7b" in run("--model", "list").output
    assert "gpu-hopper" in run("--hardware", "list").output
    assert "language-1-s" in run("--by", "list").output
    assert "ordered by fewest needs" in run("--by", "needs", "--no-gradients").output
