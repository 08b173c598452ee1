"""Addresses inside the site, relative to the page that shows them, so that the site works under any path."""

from __future__ import annotations

import functools
from urllib.parse import quote


def algorithm(identifier: str) -> str:
    return f"algorithms/{identifier}/"


def family(identifier: str) -> str:
    return f"families/{identifier}/"


def survey(key: str) -> str:
    return f"surveys/{key}/"


def work(key: str) -> str:
    return f"works/{key}/"


def framework(identifier: str) -> str:
    return f"frameworks/{identifier}/"


def benchmark(identifier: str) -> str:
    return f"benchmarks/#{identifier}"


def metric(identifier: str) -> str:
    return f"metrics/#{identifier}"


def glossary(identifier: str) -> str:
    return f"glossary/#{identifier}"


def value(facet: str, name: str) -> str:
    return f"vocabulary/#{facet}-{name}".replace("_", "-").replace(" ", "-")


def catalog(**chosen: str | list[str]) -> str:
    """The catalog page with these values chosen, by facet: catalog(data="none", family=["pruning", "sharing"])."""
    parts = [f"{facet}={quote(','.join([values] if isinstance(values, str) else values), safe='/,')}"
             for facet, values in chosen.items()]
    return "algorithms/" + ("?" + "&".join(parts) if parts else "")


class Links:
    """Turns an address from the site's root ("algorithms/gptq/#code") into one relative to `page` ("families/x/")."""

    def __init__(self, page: str):
        self.page = page
        folder = page if page.endswith("/") else page.rpartition("/")[0]
        self._folder = [part for part in folder.split("/") if part]

    def __call__(self, target: str) -> str:
        target, hash_mark, fragment = target.partition("#")
        path, asked, query = target.partition("?")
        if path == self.page and hash_mark and not asked:
            return "#" + quote(fragment)
        # By hand: posixpath.relpath was a tenth of a build, since pages have tens of thousands of links.
        parts, folder = [part for part in path.split("/") if part], self._folder
        same = 0
        while same < len(parts) and same < len(folder) and parts[same] == folder[same]:
            same += 1
        relative = "/".join([".."] * (len(folder) - same) + parts[same:]) or "."
        if path.endswith("/") or not path:
            relative += "/"
        return _quoted(relative) + asked + query + (hash_mark + quote(fragment) if hash_mark else "")


_quoted = functools.lru_cache(maxsize=4096)(quote)
