"""What a sink is, and what it says of its work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ilsvrc.archive.sidecar import Verified
from ilsvrc.errors import IlsvrcError
from ilsvrc.issues import Issue
from ilsvrc.readers.units import Sample, Unit


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a sink wrote: its path below the sink's folder and its size in bytes."""

    path: str
    size: int


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

    Pickles. `write` is called in workers, for different units at once, and again for a unit whose receipt was lost:
    the same samples leave the same files. The other methods are called in the driver.
    """

    def write(self, unit: Unit, samples: Iterable[Sample]) -> Receipt:
        """Keep the samples of a unit and say what was kept."""

    def sync(self) -> None:
        """Make all that was written so far survive a power cut."""

    def holds(self, receipt: Receipt) -> bool:
        """Whether all that a receipt speaks of is still there, at its size."""

    def finish(self, receipts: Sequence[Receipt], proved: Verified | None) -> None:
        """Publish the work of all units; called once, when every unit has a durable receipt without error.

        Parameters
        ----------
        receipts
            One of every unit, in archive order.
        proved
            What was proved of the archive that they come from, or None.
        """
