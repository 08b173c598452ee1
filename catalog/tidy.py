"""`python -m catalog.tidy`: writes what is generated, references.bib in canonical form and the JSON Schema of an entry.

Run it after a change of the bibliography, the model or the vocabulary; tests say when it was forgotten.
"""

from catalog import bibliography, check, schema


def main() -> None:
    """Write both files of the project's own catalog, or print why that cannot be done."""
    catalog, problems = check()
    wrong = [problem for problem in problems if problem.file.endswith(("references.bib", "vocabulary.yml"))]
    if wrong:
        raise SystemExit("\n".join(map(str, wrong)))
    (catalog.root / "references.bib").write_text(bibliography.canonical(catalog.bibliography), encoding="utf-8")
    schema.FILE.write_text(schema.text(catalog.vocabulary), encoding="utf-8")
    print("references.bib and schema/algorithm.schema.json are as they are generated")


if __name__ == "__main__":
    main()
