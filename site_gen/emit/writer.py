"""Files into a folder: only what changed is written, and what is no longer produced is deleted."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path, PurePosixPath


class Writer:
    """Collects the files of one build under `root`; `finish()` removes all others.

    `written`, `kept` and `deleted` count files. Raises ValueError where two parts of the generator write one path.
    """

    def __init__(self, root: Path):
        self.root = root
        self._start = str(root)
        self.written = self.kept = self.deleted = 0
        self._produced: set[str] = set()  # relative, with /
        self._folders: set[str] = set()  # those that are there

    def write(self, path: str, content: str | bytes) -> None:
        target = self._claim(path)
        data = content.encode("utf-8") if isinstance(content, str) else content
        try:
            before = os.stat(target)
        except (FileNotFoundError, NotADirectoryError):
            self._create(target, data)
            self.written += 1
            return
        if stat.S_ISDIR(before.st_mode):
            raise ValueError(f"{path}: a file is to stand where a folder is")
        if before.st_size == len(data) and Path(target).read_bytes() == data:
            self.kept += 1
            return
        self._create(f"{target}.new", data)  # never into the old file: a built site may share it, see lay_beside
        os.replace(f"{target}.new", target)
        self.written += 1

    def _create(self, target: str, data: bytes) -> None:
        folder = os.path.dirname(target)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        with open(target, "wb") as file:
            file.write(data)

    def copy_tree(self, source: Path, under: str) -> None:
        """Every file below `source`, under the folder `under`."""
        for file in sorted(source.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                self.write(f"{under}/{file.relative_to(source).as_posix()}", file.read_bytes())

    def finish(self, suffix: str = "") -> None:
        """Deletes the files of earlier builds that this one did not produce, then folders left empty.

        suffix: deletes only those whose names end so, and no folder.
        """
        for folder, _, names in os.walk(self.root, topdown=False):
            for name in names:
                path = Path(folder, name)
                if name.endswith(suffix) and path.relative_to(self.root).as_posix() not in self._produced:
                    path.unlink()
                    self.deleted += 1
            if not suffix and folder != str(self.root) and not os.listdir(folder):
                os.rmdir(folder)

    def lay_beside(self, out: Path, pages: str = ".md") -> None:
        """Everything but the pages into `out`, over what is there. Hard links where there can be some, since it is
        thousands of files.
        """
        folders: set[str] = set()
        for path in sorted(self._produced):
            if path.endswith(pages):
                continue
            target = os.path.join(out, path)
            folder = os.path.dirname(target)
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)
                folders.add(folder)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)
            try:
                os.link(os.path.join(self.root, path), target)
            except OSError:  # another disk, or one that knows no links
                shutil.copyfile(os.path.join(self.root, path), target)

    def _claim(self, path: str) -> str:
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise ValueError(f"{path!r}: not a path inside the output folder")
        name = relative.as_posix()
        if name in self._produced:
            raise ValueError(f"{path}: written twice in one build")
        self._produced.add(name)
        return os.path.join(self._start, name)
