"""Execution: the same result from a cheaper run."""
