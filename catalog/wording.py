"""How values of the vocabulary read to people: ids are for files and addresses, `kv-cache` reads "KV cache"."""

from __future__ import annotations

_HYPHENATED = {
    "encoder-decoder", "feed-forward", "fine-tuning", "post-training", "pre-training", "semi-structured",
    "teacher-generated",
}  # fmt: skip
_WORDS = {
    "during-fine-tuning": "during fine-tuning", "kv-cache": "KV cache", "low-bit-matmul": "low-bit matmul",
    "nm-sparse-hardware": "N:M sparse hardware", "vision-transformer": "vision Transformer",
}  # fmt: skip


def word(value: str) -> str:
    """The value in words. A hyphen is a space unless the field writes the term with one."""
    return _WORDS.get(value) or (value if value in _HYPHENATED else value.replace("-", " "))
