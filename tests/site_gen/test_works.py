"""The pages of works: what ties a work to the rest, and that all of it stands on its page."""

from __future__ import annotations

import re
from types import SimpleNamespace

from site_gen.enrich.ties import ties
from tests.site_gen.test_build import elements


def page(built, key: str) -> str:
    return (built[0] / f"works/{key}/index.html").read_text(encoding="utf-8")


def links(built, key: str) -> list[str]:
    found = elements(built[0] / f"works/{key}/index.html")
    return [attributes["href"] for tag, attributes in found.tags if tag == "a" and attributes.get("href")]


def test_ties_come_from_every_field_and_not_from_the_own_paper(site):
    third = site.ties["gray2021third"]
    plain, = (named for named in third.named_by if named.entry == "plain")
    assert plain.ways == ("source of a claim", "in its text", "further reading")
    assert [relation.type for relation in plain.relations] == ["alternative_to"]
    assert third.example_of == ["quantization/rounding"]
    assert (third.cites, third.cited_by) == ([], ["black2020second"])
    assert site.ties["white2019first"].named_by[0].entry == "hostile"  # its numbers come from there; not from plain
    assert all(named.entry != "plain" for named in site.ties["white2019first"].named_by)
    assert site.ties["black2020second"].cites == ["white2019first", "gray2021third"]  # the oldest first


def test_works_without_ties_have_empty_ones():
    work = SimpleNamespace(year=2020)
    catalog = SimpleNamespace(bibliography={"lone2020work": work}, algorithms={}, reported=[],
                              taxonomy=SimpleNamespace(nodes=lambda: []))
    found = ties(catalog, [])["lone2020work"]
    assert (found.named_by, found.cites, found.cited_by, found.example_of) == ([], [], [], [])


def test_page_of_a_work_with_an_entry(built):
    text, found = page(built, "white2019first"), links(built, "white2019first")
    assert "Ann White, Bo van der Berg, Cy Roe" in text
    assert "known as Plain" in text and "https://arxiv.org/abs/1901.00001" in found
    assert "../../algorithms/plain/" in found and "../../algorithms/plain/#reported" in found
    assert "source of numbers" in text  # of the hostile entry, whose number stands in this paper
    assert "../../surveys/survey2024/" in found and "full text" in text
    assert "../black2020second/" in found  # it cites this work
    assert {f"../../bibliography/white2019first.{end}" for end in ("bib", "ris", "csl.json")} <= set(found)
    assert "@inproceedings" in re.sub("<[^>]+>", "", text)


def test_page_says_what_is_not_known(built):
    third = page(built, "gray2021third")
    assert "is an alternative to it" in third and "also source of a claim, in its text, further reading" in third
    assert "Not confirmed by any source" in third and "recalled, not seen there" in third
    assert "has not been read yet" in third
    assert "read whole" in page(built, "black2020second")
    survey = page(built, "survey2024things")
    assert "read in part" in survey and "more may be missing here" in survey
    assert "../../surveys/survey2024/" in links(built, "survey2024things")


def test_highwire_tags_and_machine_forms_of_a_work(built):
    tags = elements(built[0] / "works/black2020second/index.html").tags
    named = {a["name"]: a["content"] for tag, a in tags if tag == "meta" and a.get("name")}
    assert named["citation_title"] == "Second Über Work" and named["citation_doi"] == "10.1000/xyz"
    forms = [a["href"] for tag, a in tags if tag == "link" and a.get("rel") == "describedby"]
    assert "../../bibliography/black2020second.bib" in forms
    assert all((built[0] / "works/black2020second" / form).resolve().is_file() for form in forms)
