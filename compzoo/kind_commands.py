"""What `compzoo show` and `compzoo search` say of frameworks, benchmarks and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catalog.loading import Catalog


def kind_of(catalog: Catalog, identifier: str) -> str | None:
    """The kind that has this id, or None; algorithms come first."""
    if identifier in catalog.algorithms or identifier in catalog.retired:
        return None
    return next((kind for kind, found in catalog.kinds().items() if identifier in found), None)


def as_data(catalog: Catalog, kind: str, identifier: str) -> dict[str, Any]:
    """One as plain data: its fields as in the file."""
    one = catalog.kinds()[kind][identifier]
    return {"id": identifier, "is": kind, **one.model_dump(mode="json", exclude_none=True)}


def sentence(catalog: Catalog, kind: str, identifier: str) -> str:
    """What it is, in the words of its file."""
    field = {"framework": "does", "benchmark": "measures", "metric": "definition"}[kind]
    return getattr(catalog.kinds()[kind][identifier], field)


def show(catalog: Catalog, kind: str, identifier: str) -> None:
    """Print one for people."""
    from rich.panel import Panel

    from compzoo.catalog_commands import _escape, _print, _table

    one = catalog.kinds()[kind][identifier]
    title = one.name + (f" ({', '.join(one.aliases)})" if one.aliases else "")
    what = ", ".join(one.kind) if kind == "framework" else one.kind if kind == "benchmark" else one.of
    text = _escape(sentence(catalog, kind, identifier))
    _print(Panel(text, title=_escape(title), subtitle=_escape(f"{kind}: {what}")))
    for name in ("compression", "task", "beware", "formula", "unit", "hides"):
        if getattr(one, name, None):
            _print(f"[bold]{name}[/bold]  {_escape(getattr(one, name))}")
    if kind == "framework":
        if one.status is not None:
            _print(_escape(one.status.text), style="yellow")
        if one.supports:
            table = _table("supports", "does", "how", "seen")
            for support in one.supports:
                witness = one.witness(support.source)
                ended = f" (until {support.until})" if support.until else ""
                table.add_row(support.algorithm, ", ".join(support.does) + ended, support.how,
                              witness.seen or f"[@{witness.work}]")
            _print(table)
        else:
            _print("No source was seen that says which algorithms it supports.", style="dim")
    if kind == "metric":
        _print(f"Better: {one.better}", style="dim")
    if one.work and one.work in catalog.bibliography:
        from catalog import citing

        _print(_escape(citing.text(catalog.bibliography[one.work])))
