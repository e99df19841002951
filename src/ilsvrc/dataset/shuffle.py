"""A random order that reads the disk in long stretches: random blocks of neighbours, shuffled in a buffer."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import IlsvrcError, UsageError

Int = npt.NDArray[np.int64]


class Stored(Protocol):
    """A data set that knows the order of its images on the disk. Safe to use from many threads."""

    def __len__(self) -> int:
        """Return the number of images."""

    def storage_order(self) -> Int:
        """Return all indices in the order in which they lie on the disk."""

    def will_need(self, indices: Sequence[int] | Int) -> None:
        """Let the system prefetch these images."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of images; equal values give equal orders.

    images : number of images
    block : neighbours that are read together
    buffer : blocks whose images are shuffled together
    seed : seed of all random draws, 0 to 2**32 - 1
    rank, ranks : this part of the images, 0 to ranks - 1, and the number of parts
    """

    images: int
    block: int
    buffer: int
    seed: int
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        for name in ("block", "buffer", "ranks"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, but must be 1 or more")
        if not 0 <= self.seed < 1 << 32:
            raise UsageError(f"seed is {self.seed}, but must be between 0 and {(1 << 32) - 1:,}")
        if not 0 <= self.rank < self.ranks:
            raise UsageError(f"rank is {self.rank}, but must be between 0 and {self.ranks - 1}")

    @property
    def start(self) -> int:
        """First position of this rank in the row of all drawn blocks; parts differ by at most one image."""
        return self.images * self.rank // self.ranks

    @property
    def stop(self) -> int:
        """Position after the last one of this rank."""
        return self.images * (self.rank + 1) // self.ranks

    def buffers(self, epoch: int) -> list[Int]:
        """Return the positions in the storage order of each buffer's images, ascending within each block.

        All blocks are put into a row in random order, and every rank takes its stretch of the row: with any number of
        ranks, no image is lost or read twice.
        """
        blocks = self._random(epoch).permutation(math.ceil(self.images / self.block))
        firsts = blocks * self.block
        ends = np.cumsum(np.minimum(self.block, self.images - firsts))
        first, last = np.searchsorted(ends, [self.start, self.stop], side="right").tolist()
        pieces = [self._piece(firsts[i], ends[i]) for i in range(first, min(last + 1, len(blocks)))]
        pieces = [piece for piece in pieces if len(piece)]
        return [np.concatenate(pieces[i : i + self.buffer]) for i in range(0, len(pieces), self.buffer)]

    def shuffled(self, positions: Int, epoch: int, number: int) -> Int:
        """Return the positions of a buffer in the order in which they are used."""
        return self._random(epoch, self.rank + 1, number + 1).permutation(positions)

    def _piece(self, first: np.int64, end: np.int64) -> Int:
        """Return this rank's positions in a block that starts at `first` on the disk and ends at `end` in the row."""
        size = min(self.block, self.images - int(first))
        low = max(0, self.start - (int(end) - size))
        high = min(size, self.stop - (int(end) - size))
        return np.arange(first + low, first + max(low, high))

    def _random(self, *words: int) -> np.random.RandomState:
        """Return a generator seeded with these words; NEP 19 freezes RandomState, so states survive upgrades."""
        return np.random.RandomState([self.seed, *words])


class BlockShuffle:
    """A sampler for torch's DataLoader, or any loop over indices: nearly random, and read in long stretches.

    Blocks of neighbours on the disk are drawn at random, and the images of `buffer` blocks are shuffled. While one
    buffer is used, the system prefetches the next one into the page cache. In archives neighbours are of one class,
    so a buffer should have many small blocks: a batch is drawn from `buffer` places of the archive. Of a data set in
    a store nothing is prefetched but the batch: a buffer of as many images as a batch has, such as 16 blocks of 16,
    makes it 16 requests of 2 MB each in place of 256.

    The order depends on seed, epoch and rank alone. Call `set_epoch` before every epoch, or all have the same order.

    Parameters
    ----------
    dataset
        An `ImageNet`, or any object with a length: its images are taken to lie on the disk in the order of indices.
    block
        Images that are read together, about 110 kB each.
    buffer
        Blocks that are shuffled together. Two buffers should fit in memory: 1.8 GB each with the preset values.
    seed
        Seed of the order.

    >>> sorted(BlockShuffle(range(1000), block=10, buffer=4)) == list(range(1000))
    True
    """

    def __init__(self, dataset: Stored | Sized, block: int = 64, buffer: int = 256, *, seed: int = 0) -> None:
        self._dataset = dataset
        self._order = Order(len(dataset), block, buffer, seed)
        self._epoch = 0
        self._given = 0
        self._resumed = 0

    def share(self, rank: int, ranks: int) -> BlockShuffle:
        """Return the sampler of one rank, which can be shared again; all ranks together give each image once.

        Raises
        ------
        UsageError
            If the rank is not below the number of ranks.
        """
        if not 0 <= rank < ranks:
            raise UsageError(f"rank is {rank}, but must be between 0 and {ranks - 1}")
        own = self._order
        shared = BlockShuffle(self._dataset)
        shared._order = replace(own, rank=own.rank * ranks + rank, ranks=own.ranks * ranks)
        shared._epoch = self._epoch
        return shared

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch at its first image."""
        self._epoch, self._given, self._resumed = epoch, 0, 0

    def __len__(self) -> int:
        return self._order.stop - self._order.start

    def __iter__(self) -> Iterator[int]:
        self._given, self._resumed = self._resumed, 0
        skip = self._given
        buffers, storage = self._order.buffers(self._epoch), self._storage_order()
        for number, positions in enumerate(buffers):
            if skip >= len(positions):
                skip -= len(positions)
                continue
            self._fetch([storage[near] for near in buffers[number : number + 2]])
            for index in storage[self._order.shuffled(positions, self._epoch, number)][skip:].tolist():
                self._given += 1
                yield index
            skip = 0

    def state_dict(self, used: int | None = None) -> dict[str, Any]:
        """Return the state of the epoch, for another process to resume from.

        Parameters
        ----------
        used
            Images that were trained on in this epoch, before an interruption too. If left out, all images drawn
            count; loaders draw more than were trained on.
        """
        return {"epoch": self._epoch, "used": self._given if used is None else used, **asdict(self._order)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from the state of another run: the next iteration begins after the images that were used.

        Raises
        ------
        UsageError
            If the state is of another order: another number of images, block, buffer, seed or rank.
        """
        state = dict(state)
        epoch, used = state.pop("epoch"), state.pop("used")
        own = asdict(self._order)
        other = [f"{name} {state.get(name)}, now {own[name]}" for name in own if state.get(name) != own[name]]
        if other:
            raise UsageError(
                f"the state is of another order: {'; '.join(other)}",
                hint="begin the epoch anew with set_epoch, or restore those values",
            )
        self._epoch, self._given, self._resumed = epoch, used, used

    def _storage_order(self) -> Int:
        order = getattr(self._dataset, "storage_order", None)
        found: Int = order() if order else np.arange(self._order.images)
        return found

    def _fetch(self, buffers: list[Int]) -> None:
        """Prefetch buffers, in a thread: the request itself waits while the disk's queue is full.

        Of a store, nothing: DataLoader's workers have none of this process's memory, and ask for their batches.
        """
        will_need = getattr(self._dataset, "will_need", None)
        if will_need and not getattr(self._dataset, "is_remote", False):
            threading.Thread(target=_fetch_all, args=(will_need, buffers), daemon=True).start()


def _fetch_all(will_need: Callable[[Int], None], buffers: list[Int]) -> None:
    with contextlib.suppress(IlsvrcError, OSError):  # reading the same images raises the error where it is seen
        for indices in buffers:
            will_need(indices)
