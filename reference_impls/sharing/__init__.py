"""Sharing: one parameter serves several places."""
