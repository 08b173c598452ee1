"""The generator: catalog and source text in, site out."""
