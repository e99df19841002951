"""Ranges that were announced: what is fetched how often, what is kept, and that bytes are right whatever happens."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ilsvrc.stores import prefetch as module
from ilsvrc.stores.prefetch import Prefetch, Ranges

CONTENT = bytes(range(256)) * 40


class Store:
    """An object, and the ranges that were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.failing = False

    def fetch(self, start: int, length: int) -> bytes:
        self.asked.append((start, length))
        if self.failing:
            raise OSError("the server is away")
        return CONTENT[start : start + length]


def test_an_announced_range_is_fetched_once() -> None:
    store, ahead = Store(), Prefetch()
    ranges = Ranges(store.fetch)
    ahead.announce(ranges, 100, 200)
    ahead.announce(ranges, 150, 250)
    assert ahead.read(ranges, 120, 230) == CONTENT[120:230]
    assert ahead.read(ranges, 90, 260) == CONTENT[90:260]
    assert sorted(store.asked) == [(90, 10), (100, 100), (200, 50), (250, 10)]


def test_a_long_range_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 1000)
    store, ahead = Store(), Prefetch()
    ranges = Ranges(store.fetch)
    assert ahead.read(ranges, 5, 4000) == CONTENT[5:4000]
    ahead.announce(ranges, 0, 2500)
    assert ahead.read(ranges, 0, 2500) == CONTENT[:2500]
    assert sorted(store.asked) == [
        (0, 1000),
        (5, 1000),
        (1000, 1000),
        (1005, 1000),
        (2000, 500),
        (2005, 1000),
        (3005, 995),
    ]


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    store, ahead = Store(), Prefetch(memory=300)
    ranges = Ranges(store.fetch)
    for start in (0, 100, 200, 300):
        ahead.announce(ranges, start, start + 100)
    assert [piece.start for piece in ranges.pieces] == [100, 200, 300]
    ahead.announce(ranges, 1000, 5000)
    assert sum(piece.stop - piece.start for piece in ranges.pieces) <= 300
    assert ahead.read(ranges, 0, 400) == CONTENT[:400]


def test_what_is_given_back_is_asked_for_again() -> None:
    store, ahead = Store(), Prefetch()
    ranges = Ranges(store.fetch)
    ahead.announce(ranges, 0, 100)
    ahead.drop(ranges, 50, 60)
    assert not ranges.pieces
    assert ahead.read(ranges, 0, 100) == CONTENT[:100]


def test_a_failure_is_told_to_who_reads_and_not_kept() -> None:
    store, ahead = Store(), Prefetch()
    ranges = Ranges(store.fetch)
    store.failing = True
    ahead.announce(ranges, 0, 100)
    with pytest.raises(OSError, match="away"):
        ahead.read(ranges, 0, 10)
    store.failing = False
    assert ahead.read(ranges, 0, 10) == CONTENT[:10]


def test_so_many_are_asked_for_at_once_and_no_more() -> None:
    going, most, together = 0, 0, threading.Barrier(4)
    lock = threading.Lock()

    def fetch(start: int, length: int) -> bytes:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        together.wait(30)  # is passed only if four are asked for at once
        with lock:
            going -= 1
        return CONTENT[start : start + length]

    ahead = Prefetch(at_once=4)
    ranges = Ranges(fetch)
    for start in range(0, 80, 10):
        ahead.announce(ranges, start, start + 10)
    assert ahead.read(ranges, 0, 80) == CONTENT[:80]
    assert most == 4


Steps = st.lists(
    st.tuples(st.sampled_from(["announce", "drop", "read"]), st.integers(0, 999), st.integers(1, 300)), max_size=30
)


@given(Steps, st.integers(100, 1000))
@settings(max_examples=60, deadline=None)
def test_bytes_are_right_whatever_was_announced_before(steps: list[tuple[str, int, int]], memory: int) -> None:
    store, ahead = Store(), Prefetch(memory, at_once=2)
    ranges = Ranges(store.fetch)
    for what, start, length in steps:
        if what == "read":
            assert ahead.read(ranges, start, start + length) == CONTENT[start : start + length]
        else:
            getattr(ahead, what)(ranges, start, start + length)
        places = [(piece.start, piece.stop) for piece in ranges.pieces]
        assert all(stop <= following for (_, stop), (following, _) in pairwise(places))
        assert sum(stop - start for start, stop in places) <= memory
    ahead.pool.shutdown()
