"""The data of the zoo and the typed way to read it. Needs no torch."""
