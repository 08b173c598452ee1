"""Cuts each domain into blocks of about 4 kB, holds out every 20th, and writes the bundled text and its manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from reference_impls.bench import assets
from reference_impls.bench.make.extract import READERS
from reference_impls.bench.make.sources import find_source

BLOCK_BYTES = 4096
HELD_OUT_EVERY = 20  # block i is held out where i % 20 == 19
CALIBRATION_BLOCKS = 50
TEST_BLOCKS = {"austen": 30, "bible": 30, "python-docs": 30, "wordnet": 30, "python-code": 20}


@dataclass(frozen=True)
class Domain:
    """The clean text of one domain, cut into blocks that end at line ends."""

    name: str
    versions: dict[str, str]
    blocks: list[str]

    @property
    def held_out(self) -> list[int]:
        """Indices of the blocks that training never sees."""
        return [i for i in range(len(self.blocks)) if is_held_out(i)]

    @property
    def training(self) -> list[int]:
        """Indices of the blocks that training sees."""
        return [i for i in range(len(self.blocks)) if not is_held_out(i)]

    def training_runs(self) -> list[str]:
        """The training text as runs of neighbouring blocks, broken where a block was held out."""
        span = HELD_OUT_EVERY
        return ["".join(self.blocks[i : i + span - 1]) for i in range(0, len(self.blocks), span)]


def is_held_out(block: int) -> bool:
    """Whether the block with this index belongs to the held-out text."""
    return block % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def cut(lines: list[str], size: int = BLOCK_BYTES) -> list[str]:
    """Join lines (a newline after each) into blocks of at least `size` bytes; the last may be shorter."""
    blocks: list[str] = []
    current: list[str] = []
    length = 0
    for line in lines:
        current.append(line + "\n")
        length += len(current[-1].encode())
        if length >= size:
            blocks.append("".join(current))
            current, length = [], 0
    return [*blocks, "".join(current)] if current else blocks


def read_domain(name: str, scratch: Path, download: bool) -> Domain:
    """Read one domain from its Debian packages. Raises MissingSource where one is missing."""
    source = find_source(name, scratch, download)
    return Domain(name, source.versions, cut(READERS[name](source.root)))


def _evenly(indices: list[int], count: int) -> list[int]:
    """`count` of the indices, evenly spaced."""
    return [indices[i * len(indices) // count] for i in range(count)]


def make_text(scratch: Path, download: bool) -> None:
    """Write assets/text/{calibration,test}/<domain>.txt and assets/text/manifest.json."""
    files: dict[str, dict[str, object]] = {}
    for name in assets.DOMAINS:
        domain = read_domain(name, scratch, download)
        chosen = {
            "calibration": _evenly(domain.training, CALIBRATION_BLOCKS),
            "test": _evenly(domain.held_out, TEST_BLOCKS[name]),
        }
        for split, indices in chosen.items():
            content = "".join(domain.blocks[i] for i in indices).encode()
            target = assets.ROOT / "text" / split / f"{name}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            files[f"{split}/{name}.txt"] = {
                "domain": name,
                "split": split,
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "packages": domain.versions,
                "blocks": indices,
                "blocks_in_domain": len(domain.blocks),
                "bytes_in_domain": sum(len(block.encode()) for block in domain.blocks),
                "seen_in_training": split == "calibration" and name in assets.TRAINING_DOMAINS,
            }
            print(f"text/{split}/{name}.txt: {len(content)} bytes", flush=True)
    manifest = {
        "block_bytes": BLOCK_BYTES,
        "held_out": f"block i is held out where i % {HELD_OUT_EVERY} == {HELD_OUT_EVERY - 1}",
        "files": files,
    }
    (assets.ROOT / "text" / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
