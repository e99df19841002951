"""What a sink is, and what it says of its work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import IlsvrcError
from ilsvrc.issues import Issue
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
    """

    unit: str
    outputs: tuple[Output, ...] = ()
    samples: int = 0
    bytes: int = 0
    issues: tuple[Issue, ...] = ()
    error: IlsvrcError | None = None


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

    def finish(self, receipts: Sequence[Receipt], proved: Verified | None, images: Iterable[tuple[str, int]]) -> None:
        """Publish the work of all units; called once, when every unit has a durable receipt without error.

        Parameters
        ----------
        receipts
            One of every unit, in archive order.
        proved
            What was proved of the archive that they come from, or None.
        images
            Path and bytes of every image that there must be, in any order.
        """
