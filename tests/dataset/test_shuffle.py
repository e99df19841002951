"""The shuffle is a permutation, splits without loss, repeats itself, goes on where it stopped, and stays local."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable
from copy import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import BlockShuffle, ImageNet
from ilsvrc.errors import UsageError

shuffles = st.builds(
    lambda size, block, buffer, seed: BlockShuffle(range(size), block, buffer, seed=seed),
    st.integers(0, 300),
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)


@given(shuffles, st.integers(0, 9), st.integers(1, 7), st.integers(1, 4))
def test_ranks_and_workers_share_without_loss(shuffle: BlockShuffle, epoch: int, ranks: int, workers: int) -> None:
    shuffle.set_epoch(epoch)
    parts = [shuffle.share(r, ranks).share(w, workers) for r in range(ranks) for w in range(workers)]
    drawn = [list(part) for part in parts]
    assert [len(part) for part in parts] == list(map(len, drawn))
    assert max(map(len, drawn)) - min(map(len, drawn)) <= 1
    assert sorted(itertools.chain(*drawn)) == list(range(len(shuffle)))


@given(shuffles)
def test_depends_on_seed_and_epoch_alone(one: BlockShuffle) -> None:
    other = copy(one)
    assert list(one) == list(other) == list(one)
    other.set_epoch(1)
    assert sorted(one) == sorted(other)


def test_epochs_and_seeds_differ() -> None:
    orders = set()
    for seed, epoch in itertools.product(range(4), range(4)):
        shuffle = BlockShuffle(range(500), 8, 4, seed=seed)
        shuffle.set_epoch(epoch)
        orders.add(tuple(shuffle))
    assert len(orders) == 16


def test_order_is_the_same_for_ever() -> None:
    assert list(BlockShuffle(range(12), 3, 2, seed=5)) == [10, 3, 5, 9, 4, 11, 0, 2, 7, 6, 8, 1]


@given(shuffles, st.data())
def test_goes_on_where_it_stopped(drawn: BlockShuffle, data: st.DataObject) -> None:
    shuffle = drawn.share(1, 3)
    shuffle.set_epoch(2)
    whole = list(shuffle)
    stops = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    done: list[int] = []
    for stop in stops:
        resumed = drawn.share(1, 3)
        resumed.load_state_dict(json.loads(json.dumps(shuffle.state_dict(used=len(done)))))
        done += itertools.islice(resumed, stop - len(done))
        assert resumed.state_dict()["used"] == len(done)
        shuffle = resumed
    last = drawn.share(1, 3)
    last.load_state_dict(shuffle.state_dict(used=len(done)))
    assert done + list(last) == whole
    assert list(last) == whole  # the epoch after is a whole one again


def test_state_of_another_order_is_refused() -> None:
    state = BlockShuffle(range(100), 8, 4).state_dict()
    for other in (BlockShuffle(range(99), 8, 4), BlockShuffle(range(100), 8, 4, seed=1)):
        with pytest.raises(UsageError, match=r"images 100, now 99|seed 0, now 1"):
            other.load_state_dict(state)
    with pytest.raises(UsageError, match="ranks 1, now 2"):
        BlockShuffle(range(100), 8, 4).share(0, 2).load_state_dict(state)


@pytest.mark.parametrize("packed", [True, False])
def test_buffers_are_stretches_of_the_archive(mini: Path, tree: Path, packed: bool) -> None:
    dataset = ImageNet(mini if packed else tree, exclude="n01440764_18.JPEG", fraction=0.8)
    place = {index: at for at, index in enumerate(dataset.storage_order().tolist())}
    drawn = [place[index] for index in BlockShuffle(dataset, block=3, buffer=2, seed=1)]
    assert sorted(drawn) == list(range(len(dataset)))
    for start in range(0, len(drawn) - 6, 6):
        near = sorted(drawn[start : start + 6])
        assert sum(after - before == 1 for before, after in itertools.pairwise(near)) >= 4


def test_whole_range_is_mixed() -> None:
    drawn = np.array(list(BlockShuffle(range(10_000), 10, 100)))
    assert abs(np.corrcoef(drawn, np.arange(10_000))[0, 1]) < 0.05
    assert np.ptp(drawn[:100]) > 9_000


class Recorder(list[int]):
    """A dataset that notes what is fetched ahead."""

    def __init__(self, size: int) -> None:
        super().__init__(range(size))
        self.fetched: list[list[int]] = []

    def storage_order(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.arange(len(self))[::-1]

    def will_need(self, indices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        self.fetched.append(indices.tolist())


def test_fetches_every_buffer_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Now:
        def __init__(self, target: Callable[..., None], args: tuple[object, ...], daemon: bool) -> None:
            self.start = partial(target, *args)

    monkeypatch.setattr("ilsvrc.dataset.shuffle.threading.Thread", Now)
    dataset = Recorder(50)
    for index in BlockShuffle(dataset, 5, 2):
        assert any(index in fetched for fetched in dataset.fetched)
    assert {len(fetched) for fetched in dataset.fetched} == {10}


def test_pickles(mini: Path) -> None:
    shuffle = BlockShuffle(ImageNet(mini), 2, 3, seed=4)
    assert list(pickle.loads(pickle.dumps(shuffle))) == list(shuffle)


def test_senseless_orders_are_refused() -> None:
    for block, buffer, seed in ((0, 1, 0), (1, 0, 0), (1, 1, -1)):
        with pytest.raises(UsageError):
            BlockShuffle(range(9), block, buffer, seed=seed)
    with pytest.raises(UsageError):
        BlockShuffle(range(9)).share(2, 2)
