"""`compzoo choose`: the page "Choose" on the command line, with the same facts, rules and sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compzoo.catalog_commands import AsJson, _print, _print_json, _table, load_catalog
from compzoo.errors import fail, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST = 12  # methods that fall which are named one by one


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("choose")(choose)


def choose(
    model: Annotated[str | None, typer.Option(help="A well-known model, such as llama-2-7b; `list` names all.")] = None,
    config: Annotated[Path | None, typer.Option(help="Instead of --model: a config.json.")] = None,
    tokens: Annotated[int, typer.Option(help="Tokens of a sequence.")] = 4096,
    batch: Annotated[int, typer.Option(help="Sequences at once.")] = 1,
    memory: Annotated[str | None, typer.Option(help="What the device has: 8GB, 24GiB.")] = None,
    size: Annotated[str | None, typer.Option(help="What the weights may take: 4GB.")] = None,
    compress: Annotated[str | None, typer.Option(help="What is to become smaller: weights,kv-cache.")] = None,
    data: Annotated[str | None, typer.Option(help="Data you have: none, or calibration,task-labels.")] = None,
    training: Annotated[str | None, typer.Option(help="Training you can do: none, light or full.")] = None,
    gradients: Annotated[bool, typer.Option(help="Whether gradients can be computed.")] = True,
    hardware: Annotated[str | None, typer.Option(help="It has to be faster there: cpu, gpu-ampere; `list` names all.")]
    = None,
    offers: Annotated[str | None, typer.Option(help="Or what the device offers: dequantizing-kernel,fused-kernel.")]
    = None,
    shown: Annotated[bool, typer.Option("--shown", help="Only what was shown on this kind and size of model.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="Attention keeps all its scores (no fused kernel).")] = False,
    by: Annotated[str | None, typer.Option(help="The protocol to order by, or `needs`; `list` names all.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also every method that falls, with all reasons.")] = False,
    as_json: AsJson = False,
) -> None:
    """Which methods fit a model, a device, data and training, and what each would leave in memory."""
    from catalog import choosing

    facts = choosing.data(load_catalog())
    models = {one["id"]: one for one in facts["models"]}
    protocols = {one["id"]: one for one in facts["protocols"]}
    for name, value, known in (("model", model, models), ("hardware", hardware, facts["hardware"]),
                               ("protocol", by, protocols)):  # fmt: skip
        if value == "list":
            _list(name, known)
            return
    if model is not None and config is not None:
        fail("give --model or --config, not both")
    if hardware is not None and offers is not None:
        fail("give --hardware or --offers, not both")
    shape, note = (_from_file(facts, config) if config is not None
                   else (_one_of("model", model, models), ""))  # fmt: skip
    if shape is None and (memory is not None or size is not None):
        fail("--memory and --size are those of a model; give --model or --config")
    if _one_of("hardware", hardware, facts["hardware"]) is not None:
        offered = facts["hardware"][hardware]["offers"]
    else:
        offered = _several("--offers", offers, facts["values"]["needs_for_speed"])
    if training is not None and training not in facts["training"]:
        unknown("training", training, facts["training"])
    order = by or (next(iter(protocols)) if protocols else "needs")
    if order != "needs":
        _one_of("protocol", order, [*protocols, "needs"])
    asked = {
        "shape": shape and {"architecture": shape["architecture"], "numbers": shape["numbers"]},
        "tokens": _count("--tokens", tokens, facts["limits"]["tokens"]),
        "batch": _count("--batch", batch, facts["limits"]["batch"]),
        "memory": _amount("--memory", memory), "size": _amount("--size", size),
        "compress": _several("--compress", compress, facts["values"]["compresses"]) or [],
        "data": _several("--data", data, facts["values"]["data"]),
        "training": training, "gradients": gradients, "offers": offered, "shown": shown, "scores": scores,
        "protocol": None if order == "needs" else order,
    }  # fmt: skip
    found = choosing.answer(facts, asked)
    if as_json:
        _print_json({"question": asked, **found})
        return
    if note:
        _print(note, style="dim")
    _tell(facts, asked, found, protocols.get(order), show_all)


def _tell(facts: Any, asked: Any, found: Any, protocol: Any, show_all: bool) -> None:
    from catalog.choosing import digits, large_number
    from catalog.choosing import size as amount

    names = {one["id"]: one["name"] for one in facts["entries"]}
    if found["model"] is not None:
        plain = found["model"]
        _print(f"Uncompressed: {large_number(plain['parameters'])} parameters; {amount(plain['total'])} in "
               f"16 bit: weights {amount(plain['weights'])}, cache {amount(plain['cache'])}, activations "
               f"{amount(plain['activations'])}. To train all weights takes {amount(plain['training'])} and "
               "activations (mixed precision, Adam).")  # fmt: skip
    quality = "measured"
    if protocol is not None:
        quality = f"{protocol['label'].partition(',')[0]}{' ratio' if protocol['better'] == 'lower' else ''}"
    table = _table("method", "setting", "weights", "cache", "in all", quality)
    for row in found["rows"][: found["stay"]]:
        takes = row["takes"]
        cells = [amount(takes[part]) for part in ("weights", "cache", "total")] if takes else ["", "", ""]
        value = digits(row["measured"], 4) if "measured" in row else ""
        table.add_row(row["id"], row["setting"], *cells, value)
    if found["stay"]:
        _print(table)
    falls = found["rows"][found["stay"]:]
    goal = asked["memory"] is not None or asked["size"] is not None
    best = "best value first" if goal else "what leaves least at a small loss first"
    _print(f"{found['stay']} of {len(found['rows'])} methods stay"
           + (f", ordered by {protocol['name']} v{protocol['version']} on {protocol['model']}, {best}, then by fewest"
              " needs." if protocol else ", ordered by fewest needs."))  # fmt: skip
    for row in falls if show_all else falls[:FIRST]:
        reasons = [one["text"] for one in row["reasons"] if show_all or one["holds"] is False]
        _print(f"- {names[row['id']]}: {' '.join(reasons)}")
    if len(falls) > FIRST and not show_all:
        _print(f"{len(falls) - FIRST} more fall; --all shows them.", style="dim")


def _list(name: str, known: dict[str, Any]) -> None:
    table = _table(name, "what it is")
    for id, one in known.items():
        what = f"{one['name']} v{one['version']} on {one['model']}" if name == "protocol" else one["name"]
        table.add_row(id, what)
    _print(table)


def _one_of(kind: str, value: str | None, known: Any) -> Any:
    if value is None:
        return None
    if value not in known:
        unknown(kind, value, known)
    return known[value] if isinstance(known, dict) else value


def _several(option: str, text: str | None, known: Iterable[str]) -> list[str] | None:
    if text is None:
        return None
    values = [value.strip() for value in text.split(",") if value.strip()]
    for value in values:
        if value not in known:
            unknown(f"value of {option}", value, known)
    return values


def _amount(option: str, text: str | None) -> float | None:
    from catalog.choosing import bytes_of

    if text is None:
        return None
    found = bytes_of(text)
    if found is None:
        fail(f"{option} is {text!r}, which is no amount of memory; write 8GB, 900MB or 24GiB")
    return found


def _count(option: str, value: int, most: int) -> int:
    if not 1 <= value <= most:
        fail(f"{option} is {value}; it has to be from 1 to {most:,}")
    return value


def _from_file(facts: Any, path: Path) -> tuple[dict[str, Any], str]:
    from catalog.choosing import read_config

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}")
    found = read_config(facts, text)
    if "error" in found:
        fail(f"{path}: {found['error']}")
    return found, found["note"]
