"""Two halves of the work at the same time: what they give, and what happens where one fails."""

from __future__ import annotations

import os
import threading

import pytest

from site_gen import side_by_side
from site_gen.side_by_side import both

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.fixture(params=[True, False], ids=["forked", "one after the other"])
def forked(request, monkeypatch) -> bool:
    if request.param and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    monkeypatch.setattr(side_by_side, "_worth_it", lambda: request.param)
    return request.param


def test_gives_what_both_give(forked):
    here, beside = both(lambda _: os.getpid(), lambda _: (os.getpid(), "x" * 3_000_000), [])  # more than a pipe holds
    assert here == os.getpid()
    assert (beside[0] != here) == forked and beside[1] == "x" * 3_000_000


@pytest.mark.parametrize("count", [0, 1, 4, 97])
def test_each_item_is_given_once(forked, count):
    here, beside = both(list, list, range(count))
    assert sorted([*here, *beside]) == list(range(count))
    assert forked or not beside


@forks
def test_who_is_free_takes_what_is_left(monkeypatch):
    monkeypatch.setattr(side_by_side, "_worth_it", lambda: True)
    reading, writing = os.pipe()

    def busy(items):
        assert os.read(reading, 1)  # until the other is through
        return list(items)

    def free(items):
        given = list(items)
        os.write(writing, b"x")
        return given

    assert both(busy, free, range(40)) == ([], list(range(40)))


def test_raises_what_either_raises(forked):
    def fails(items: object) -> None:
        raise KeyError("no such page")

    with pytest.raises(KeyError, match="no such page"):
        both(lambda _: 1, fails, [])
    with pytest.raises(KeyError, match="no such page"):
        both(fails, lambda _: "x" * 3_000_000, [])


def test_what_cannot_be_copied_back_is_made_here_with_all_items(forked):
    _, (process, lock, items) = both(lambda _: 1, lambda items: (os.getpid(), threading.Lock(), list(items)), range(9))
    assert process == os.getpid() and items == (list(range(9)) if forked else [])


@forks
def test_changes_of_the_copy_stay_there(monkeypatch):
    monkeypatch.setattr(side_by_side, "_worth_it", lambda: True)
    seen: list[str] = []
    both(lambda _: seen.append("here"), lambda _: seen.append("beside"), [])
    assert seen == ["here"]


def test_a_process_with_threads_is_not_copied(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    if threading.active_count() == 1:
        assert side_by_side._worth_it() == hasattr(os, "fork")
    wait = threading.Event()
    other = threading.Thread(target=wait.wait, daemon=True)
    other.start()
    try:
        assert not side_by_side._worth_it()
    finally:
        wait.set()
        other.join()
