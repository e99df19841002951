"""Random order that a disk can follow: blocks of neighbours drawn at random, their images shuffled in a buffer."""

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
    """A dataset that knows how its images lie on the disk."""

    def __len__(self) -> int:
        """Return the number of images."""

    def storage_order(self) -> Int:
        """Return all indices in the order in which they lie on the disk."""

    def will_need(self, indices: Sequence[int] | Int) -> None:
        """Let the system fetch these images ahead."""


@dataclass(frozen=True, slots=True)
class Order:
    """What an order of images depends on, and nothing else.

    images : how many there are
    block : neighbours that are read together
    buffer : blocks whose images are shuffled together
    seed : draws it
    rank, ranks : which part of the images, of how many
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
                raise UsageError(f"{name} is {getattr(self, name)}, which is not 1 or more")
        if not 0 <= self.seed < 1 << 32:
            raise UsageError(f"seed is {self.seed}, which is not in 0 to {(1 << 32) - 1:,}")
        if not 0 <= self.rank < self.ranks:
            raise UsageError(f"rank is {self.rank}, which is not in 0 to {self.ranks - 1}")

    @property
    def start(self) -> int:
        """Where this rank's part of the drawn blocks begins; parts differ by one image at most."""
        return self.images * self.rank // self.ranks

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.images * (self.rank + 1) // self.ranks

    def buffers(self, epoch: int) -> list[Int]:
        """Return where each buffer's images lie, in disk order within each block: positions of the storage order.

        The blocks of all images are drawn into a row, and every rank takes its stretch of the row: so no image is
        lost or read twice, whatever the number of ranks.
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
        """Return what this rank takes of the block at position `first`, which ends the row at `end`."""
        size = min(self.block, self.images - int(first))
        low = max(0, self.start - (int(end) - size))
        high = min(size, self.stop - (int(end) - size))
        return np.arange(first + low, first + max(low, high))

    def _random(self, *words: int) -> np.random.RandomState:
        """Return a stream for these words: RandomState is frozen (NEP 19), so resuming outlives upgrades."""
        return np.random.RandomState([self.seed, *words])


class BlockShuffle:
    """A sampler for torch's DataLoader, or any loop over indices: nearly random, and read in long stretches.

    Random blocks of neighbours on the disk are drawn, and the images of `buffer` blocks shuffled; while one buffer is
    used, the next is fetched into the page cache in one sweep. In archives neighbours are of one class, so blocks
    must be many and small: a batch is drawn from `buffer` places of the archive.

    The order depends on seed, epoch and rank alone. Call `set_epoch` before every epoch, or each is like the last.

    Parameters
    ----------
    dataset
        An `ImageNet`; or anything that has a length, whose images are then taken to lie in their order.
    block
        Images that are read together, about 110 kB each.
    buffer
        Blocks that are shuffled together; two buffers should fit in memory, 1.8 GB each with what is preset.
    seed
        Draws the order.

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
        """Return the sampler of one rank of several, or of one worker of a rank; together they give each image once.

        Raises
        ------
        UsageError
            If the rank is not below the number of ranks.
        """
        if not 0 <= rank < ranks:
            raise UsageError(f"rank is {rank}, which is not in 0 to {ranks - 1}")
        own = self._order
        shared = BlockShuffle(self._dataset)
        shared._order = replace(own, rank=own.rank * ranks + rank, ranks=own.ranks * ranks)
        shared._epoch = self._epoch
        return shared

    def set_epoch(self, epoch: int) -> None:
        """Begin at the start of an epoch."""
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
        """Return where the epoch stands, to go on from there in another process.

        Parameters
        ----------
        used
            Images that were trained on in this epoch, those before an interruption too. Loaders draw ahead of them:
            if it is left out, all that was drawn counts.
        """
        return {"epoch": self._epoch, "used": self._given if used is None else used, **asdict(self._order)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another run stood: the next iteration begins behind the images that were used.

        Raises
        ------
        UsageError
            If that run had other images, or another order of them.
        """
        state = dict(state)
        epoch, used = state.pop("epoch"), state.pop("used")
        own = asdict(self._order)
        other = [f"{name} {state.get(name)}, now {own[name]}" for name in own if state.get(name) != own[name]]
        if other:
            raise UsageError(f"the state is of another order: {'; '.join(other)}", hint="begin the epoch anew")
        self._epoch, self._given, self._resumed = epoch, used, used

    def _storage_order(self) -> Int:
        order = getattr(self._dataset, "storage_order", None)
        found: Int = order() if order else np.arange(self._order.images)
        return found

    def _fetch(self, buffers: list[Int]) -> None:
        """Let the system fetch buffers, in a thread: asking waits where the disk's queue is full."""
        will_need = getattr(self._dataset, "will_need", None)
        if will_need:
            threading.Thread(target=_fetch_all, args=(will_need, buffers), daemon=True).start()


def _fetch_all(will_need: Callable[[Int], None], buffers: list[Int]) -> None:
    with contextlib.suppress(IlsvrcError, OSError):  # whoever reads the images says what is wrong
        for indices in buffers:
            will_need(indices)
