"""Work in two processes at the same time, on machines that have the cores and systems that can fork."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, TypeVar

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

STEP = 4  # items taken at a time


def both(here: Callable[[Iterable[T]], A], beside: Callable[[Iterable[T]], B], items: Sequence[T]) -> tuple[A, B]:
    """What the two give, each called with its share of the items: whichever asks first gets the next, so that the two
    end together however their other work differs.

    `beside` runs in a copy of this process where that helps: what it changes stays there, and what it gives is copied
    back. Otherwise it runs here, after `here` had all items. Raises what `here` raises; what `beside` raises is raised
    by running it again here with all items, so that its trace is whole.
    """
    if not _worth_it():
        return here(items), beside(())
    shares = _Shares(items)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(reading, writing, lambda: beside(shares))
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            reader = _Reader(pipe)
            first = here(shares)
            answer = reader.all()
    finally:
        os.waitpid(child, 0)
    return first, pickle.loads(answer) if answer else beside(items)


class _Shares(Iterable[T]):
    """Gives each item to one of the processes that iterate over it."""

    def __init__(self, items: Sequence[T]):
        self._items = items
        self._taken = multiprocessing.Value("q", 0)

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._taken.get_lock():
                start = self._taken.value
                self._taken.value = start + STEP
            if start >= len(self._items):
                return
            yield from self._items[start:start + STEP]


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
