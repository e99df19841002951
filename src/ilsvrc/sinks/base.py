"""What a sink is, and what it says of its work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import pyarrow as pa

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import IlsvrcError
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Int, Reader
from ilsvrc.readers.units import Sample, Unit


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a sink wrote.

    path : below the sink's folder
    size : bytes
    digest : xxh3_128 of its bytes, in hex
    """

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a unit.

    unit : its id
    outputs : files that prove it done
    samples, bytes : what was taken
    issues : what was found in its images
    error : why it could not be done, or None
    worker : who did it, its host and process; empty if that was an earlier run
    seconds : how long that took
    synced : whether its files survive a power cut of the worker's machine, since the sink synced them there
    """

    unit: str
    outputs: tuple[Output, ...] = ()
    samples: int = 0
    bytes: int = 0
    issues: tuple[Issue, ...] = ()
    error: IlsvrcError | None = None
    worker: str = ""
    seconds: float = 0.0
    synced: bool = False


def left_out(receipts: Iterable[Receipt]) -> set[str]:
    """Return the paths of the images that were left out, since they can't be transformed."""
    return {issue.key for receipt in receipts for issue in receipt.issues if issue.code is Code.LEFT_OUT}


class Stage(Enum):
    """How far a split is, in a target."""

    FRESH = auto()
    """Nothing is there."""
    UNFINISHED = auto()
    """An interrupted run of this very plan can be resumed."""
    STALE = auto()
    """An interrupted run with these settings, from a source of other content: its work can't be trusted."""
    OTHER = auto()
    """An interrupted run with other settings."""
    HALF_PUBLISHED = auto()
    """The split has its name and was staged by this plan; lists or the manifest are still to be published."""
    PUBLISHED = auto()
    """The split is there, and its manifest names this source and these settings."""
    UNRECORDED = auto()
    """A folder has the name of the split, and no manifest that can be read says what is in it."""
    OCCUPIED = auto()
    """Something else has the name of the split, or of a list that goes beside it."""


@dataclass(frozen=True)
class State:
    """What a target holds of a plan.

    stage : how far it is
    obstacle : what has a name that the split needs, in words; empty if nothing has
    missing : images of a published split that are not there, or have another size
    manifest : of a split that is published, whole or half, or in another layout; else None
    """

    stage: Stage
    obstacle: str = ""
    missing: tuple[Issue, ...] = ()
    manifest: pa.Table | None = None


class Planned(Protocol):
    """What a sink asks of a plan."""

    @property
    def split(self) -> str:
        """Train, val or test."""

    @property
    def settings(self) -> dict[str, object]:
        """What the user chose."""

    @property
    def digest(self) -> str:
        """Equal for plans that write the same images to the same places."""

    @property
    def reader(self) -> Reader:
        """The images."""

    @property
    def rows(self) -> Int:
        """The reader's rows in the order in which they are written, shape (N,), int64."""

    @property
    def units(self) -> Sequence[Unit]:
        """The parts of the work, in the order of `rows`."""

    @property
    def share(self) -> float:
        """Bytes of all images as they are written by those in the source, about."""

    @property
    def sized(self) -> bool:
        """Whether the bytes of every image are known."""

    def images(self) -> Iterator[tuple[str, int]]:
        """Yield path and bytes of every image, UNKNOWN_SIZE where they are not known."""


class Sink(Protocol):
    """Takes the samples of units and keeps something of them.

    Pickles. `write` and `holds` are called in workers, for different units at once, and `write` again for a
    unit whose receipt was lost: the same samples leave the same files. The driver calls the other methods.
    """

    def begun(self) -> AbstractContextManager[None]:
        """Hold, from before the first write to after the last sync, what the driver needs for both."""

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Keep the samples of a unit and say what was kept."""

    def sync(self) -> None:
        """Make all that was written so far survive a power cut."""

    def holds(self, receipt: Receipt) -> bool:
        """Whether all that a receipt speaks of is still there, byte for byte; called in workers too."""

    def finish(
        self, receipts: Sequence[Receipt], proved: Sequence[Verified], images: Iterable[tuple[str, int]]
    ) -> None:
        """Publish the work of all units; called once, when every unit has a durable receipt without error.

        Parameters
        ----------
        receipts
            One per unit, in storage order.
        proved
            What was proved of the files that the images come from.
        images
            Path and bytes of every image that there must be, in any order, but for those that receipts name as left
            out; UNKNOWN_SIZE where the bytes are not known.
        """
