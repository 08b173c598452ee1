"""Files into a folder: only what changed is written, and what is no longer produced is deleted."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath


class Writer:
    """Collects the files of one build under `root`; `finish()` removes all others.

    `written`, `kept` and `deleted` count files. Raises ValueError where two parts of the generator write one path.
    """

    def __init__(self, root: Path):
        self.root = root
        self.written = self.kept = self.deleted = 0
        self._produced: set[Path] = set()

    def write(self, path: str, content: str | bytes) -> None:
        target = self._claim(path)
        data = content.encode("utf-8") if isinstance(content, str) else content
        if target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data:
            self.kept += 1
            return
        if target.is_dir():
            raise ValueError(f"{path}: a file is to stand where a folder is")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".new")
        temporary.write_bytes(data)
        os.replace(temporary, target)
        self.written += 1

    def copy_tree(self, source: Path, under: str) -> None:
        """Every file below `source`, under the folder `under`."""
        for file in sorted(source.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                self.write(f"{under}/{file.relative_to(source).as_posix()}", file.read_bytes())

    def finish(self) -> None:
        """Deletes the files of earlier builds that this one did not produce, then folders left empty."""
        if not self.root.is_dir():
            return
        for path in sorted(self.root.rglob("*"), reverse=True):  # children come before their folder
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in self._produced:
                path.unlink()
                self.deleted += 1

    def _claim(self, path: str) -> Path:
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise ValueError(f"{path!r}: not a path inside the output folder")
        target = self.root.joinpath(*relative.parts)
        if target in self._produced:
            raise ValueError(f"{path}: written twice in one build")
        self._produced.add(target)
        return target
