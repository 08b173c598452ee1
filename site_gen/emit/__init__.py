"""Emit: writes what was enriched into files; the third of the generator's three stages. Decides how, never what."""
