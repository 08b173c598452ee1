"""Code that makes the bundled models and texts again; `python -m reference_impls.bench.make --help`."""
