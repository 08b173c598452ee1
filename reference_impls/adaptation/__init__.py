"""Adaptation: tune few parameters of a frozen model."""
