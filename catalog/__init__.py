"""The data of the zoo and the typed way to read it. Needs no torch."""

from catalog.loading import Catalog, check, load
from catalog.problems import CatalogError, Problem

__all__ = ["Catalog", "CatalogError", "Problem", "check", "load"]
