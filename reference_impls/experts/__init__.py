"""Experts: many parallel parts, few of them at work."""
