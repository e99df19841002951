"""What `prepare` asks of a sink: to say what a target holds of a split, to publish it there, and to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from ilsvrc.issues import Issue
from ilsvrc.readers.units import Unit
from ilsvrc.sinks.base import Planned, Receipt, Sink, State
from ilsvrc.sinks.buckets import BucketSink
from ilsvrc.sinks.links import Link
from ilsvrc.sinks.room import Need
from ilsvrc.stores.path import Location


class Target(Sink, Protocol):
    """A sink that gives a split its name in a folder or a bucket, and finds it there again.

    The driver calls these methods; those that write, while it holds the lock of the folder or the bucket.
    """

    @property
    def root(self) -> Location:
        """The folder that gets the split."""

    @property
    def pieces(self) -> str:
        """What it writes, in words: images, or shards."""

    @property
    def count(self) -> int | None:
        """Shards that there will be; None if images are written as files of their own."""

    @property
    def link(self) -> Link | None:
        """How images share bytes with the source; None if they never do."""

    @property
    def thorough(self) -> bool:
        """Whether `state` compares the bytes of a published split, not the sizes alone."""

    @property
    def sweep(self) -> BucketSink | None:
        """Writes a sweep of the source into bucket files, of which it can make shards; None if it can't."""

    def total(self, plan: Planned) -> int:
        """Return how many `pieces` a plan has."""

    def how(self, *, made_anew: bool) -> str:
        """Say in words how images come into the target."""

    def need(self, plan: Planned, units: Sequence[Unit]) -> Need:
        """Return the space that these units of a plan take."""

    def state(self, plan: Planned, begun: Sequence[Mapping[str, object]]) -> State:
        """Return what the target holds of a plan; nothing is written.

        Parameters
        ----------
        plan
            The plan.
        begun
            The journal's headers of plans of this split that were begun, oldest first.
        """

    def recorded(self) -> pa.Table:
        """Return the manifest of the published split.

        Raises
        ------
        OSError
            If it can't be read; FileNotFoundError if it is not there.
        ValueError
            If it is damaged.
        MachineError
            If something else has its name.
        """

    def start_over(self, begun: Sequence[Mapping[str, object]]) -> None:
        """Remove all that is unfinished of the split, for a run that begins with nothing.

        Parameters
        ----------
        begun
            The journal's headers of plans of this split that were begun: what they wrote is removed.
        """

    def resume_publishing(self, manifest: pa.Table) -> None:
        """Publish the rest of a split of which a part has its name already."""

    def lost(self, plan: Planned, missing: Sequence[Issue]) -> list[int]:
        """Return the places, among the units of a plan, of those that must be written again."""

    def mender(self) -> Sink:
        """Return the sink that writes again what is missing or changed, to where `mend` takes it from."""

    def refuse_to_mend(self, gone: Sequence[Issue]) -> None:
        """Refuse to write again where something of the user's is in the way.

        Raises
        ------
        UsageError
            Naming it.
        """

    def mend(self, receipts: Sequence[Receipt], gone: Sequence[Issue], manifest: pa.Table) -> None:
        """Give what was written again the places of what is missing or changed in the published split.

        Raises
        ------
        MachineError
            If what was written again is not what the manifest says of it; nothing is changed then.
        """

    def restore_lists(self, manifest: pa.Table) -> None:
        """Write the small files beside the published split that are not there."""

    def settle(self) -> None:
        """Make the published split survive a power cut."""

    def clear(self) -> None:
        """Remove what staging holds of the split."""
