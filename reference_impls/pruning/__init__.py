"""Pruning: what matters little is removed."""
