"""Quantization: numbers with fewer bits."""
