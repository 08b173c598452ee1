"""Enrich: computes what follows from the catalog and stands nowhere in it; the second of the three stages."""
