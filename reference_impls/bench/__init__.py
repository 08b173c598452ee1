"""The bench: bundled models and data, protocols, measuring."""
