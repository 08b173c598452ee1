"""Two halves of the work at the same time, on machines that have the cores and systems that can fork."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from typing import BinaryIO, TypeVar

A = TypeVar("A")
B = TypeVar("B")


def both(here: Callable[[], A], beside: Callable[[], B]) -> tuple[A, B]:
    """What the two give. `beside` runs in a copy of this process where that helps: what it changes stays there, and
    what it gives is copied back. Otherwise it runs here, after `here`.

    Raises what `here` raises; what `beside` raises is raised by running it again here, so that its trace is whole.
    """
    if not _worth_it():
        return here(), beside()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(reading, writing, beside)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            reader = _Reader(pipe)
            first = here()
            answer = reader.all()
    finally:
        os.waitpid(child, 0)
    return first, pickle.loads(answer) if answer else beside()


def _worth_it() -> bool:
    """A copy of a process with threads would miss what they hold."""
    return hasattr(os, "fork") and (os.cpu_count() or 1) > 1 and threading.active_count() == 1


def _answer(reading: int, writing: int, beside: Callable[[], object]) -> None:
    """Life of the copy: nothing of the original's exit handlers, open files or tests runs in it."""
    try:
        os.close(reading)
        answer = pickle.dumps(beside(), protocol=5)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
    except BaseException:  # the original does the work again and meets the same
        os._exit(1)
    os._exit(0)


class _Reader:
    """Reads a pipe to its end in a thread, so that its writer need not wait."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pieces: list[bytes] = []
        self._thread = threading.Thread(target=lambda: self._pieces.append(pipe.read()), daemon=True)
        self._thread.start()

    def all(self) -> bytes:
        self._thread.join()
        return b"".join(self._pieces)
