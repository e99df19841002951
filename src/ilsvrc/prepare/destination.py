"""Where a run writes: a folder on a disk, or one in a bucket."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ilsvrc.errors import IlsvrcError, UsageError
from ilsvrc.events import Listener
from ilsvrc.files import printable, read_own, remove_leftovers, write_text
from ilsvrc.prepare.options import Options
from ilsvrc.run.claim import Hold, claimed
from ilsvrc.run.journal import Journal
from ilsvrc.run.plan import Plan
from ilsvrc.sinks.folder import FolderSink
from ilsvrc.sinks.formats.base import Format
from ilsvrc.sinks.formats.whole import Whole
from ilsvrc.sinks.links import Link, refuse_impossible
from ilsvrc.sinks.objects.folder import ObjectFolderSink
from ilsvrc.sinks.objects.shards import ObjectShardSink
from ilsvrc.sinks.objects.staging import ObjectStaging, remove_scratch
from ilsvrc.sinks.onefile import Places
from ilsvrc.sinks.room import existing
from ilsvrc.sinks.shards import ShardSink
from ilsvrc.sinks.target import Target
from ilsvrc.stores.lock import Lock
from ilsvrc.stores.log import StoreLog
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.tree import paths


class Destination(Protocol):
    """Where a run writes."""

    @property
    def root(self) -> Location:
        """The folder that gets the splits."""

    @property
    def journal(self) -> Journal:
        """Remembers finished units of all runs in it."""

    @property
    def room(self) -> Path:
        """A folder on the file system that must have room."""

    @property
    def way_to_room(self) -> str:
        """What a user may do where there is too little, in words."""

    def refuse_impossible(self, options: Options) -> None:
        """Refuse a destination that can't be a folder, and options that it can't do.

        Raises
        ------
        UsageError
            Then.
        """

    def claimed(self, listener: Listener) -> AbstractContextManager[Hold]:
        """Hold the destination for this run.

        Raises
        ------
        MachineError
            If another run holds it.
        """

    def sink(self, plan: Plan, options: Options) -> Target:
        """Return what writes a split."""

    def save(self, report: Mapping[str, Any]) -> None:
        """Write the report, with what an earlier one says of splits that this one does not speak of."""


def destination(root: Location, *, durable: bool = False) -> Destination:
    """Return where a run writes that is given this folder.

    Parameters
    ----------
    root
        The folder.
    durable
        A unit must survive a power cut of its worker's machine as soon as it is written.
    """
    return BucketDestination(root) if isinstance(root, StorePath) else FolderDestination(root.absolute(), durable)


@dataclass(frozen=True, slots=True)
class FolderDestination:
    """A folder on a disk.

    root : the folder
    durable : a unit must survive a power cut of its worker's machine as soon as it is written
    """

    root: Path
    durable: bool = False

    @property
    def journal(self) -> Journal:
        """Remembers finished units: a file in `.ilsvrc`."""
        return Journal(paths.journal(self.root))

    @property
    def room(self) -> Path:
        """The folder itself."""
        return self.root

    @property
    def way_to_room(self) -> str:
        """What a user may do where there is too little, in words."""
        return "choose another folder"

    def refuse_impossible(self, options: Options) -> None:  # noqa: ARG002
        """Refuse a target that can't be a folder."""
        if os.path.lexists(self.root) and not self.root.is_dir():
            raise UsageError(f"{self.root} is not a folder", hint="give the folder that is to hold train and val")

    @contextlib.contextmanager
    def claimed(self, listener: Listener) -> Iterator[Hold]:
        """Hold the folder; a call that is refused before anything is written leaves nothing behind."""
        own = paths.own(self.root)
        new = [folder for folder in (own, self.root) if not folder.exists()]
        try:
            with claimed(self.root, listener) as claim:
                remove_leftovers(self.root, own)
                yield claim
        except IlsvrcError:
            if new and not paths.journal(self.root).exists() and not paths.staging(self.root).exists():
                with contextlib.suppress(OSError):
                    paths.lock(self.root).unlink()
                    for folder in new:
                        folder.rmdir()
            raise

    def sink(self, plan: Plan, options: Options) -> Target:
        """Return what writes a split."""
        told = provenance(plan)
        if options.sharded:
            form, count = options.format_chosen(), len(plan.units)
            places = None if self.durable else _places(plan, form)
            return ShardSink(self.root, plan.split, form, count, told, self.durable, options.repair, places)
        link = _link(plan, self.root, options)
        return FolderSink(self.root, plan.split, told, durable=self.durable, link=link)

    def save(self, report: Mapping[str, Any]) -> None:
        """Write the report."""
        path = paths.report(self.root)
        try:
            before = read_own(path)
        except (OSError, ValueError):
            before = ""
        write_text(path, with_earlier(report, before))


@dataclass(frozen=True, slots=True)
class BucketDestination:
    """A folder in a bucket.

    root : the folder
    """

    root: StorePath
    lock: Lock = field(init=False)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lock", Lock(paths.lock(self.root)))
        object.__setattr__(self, "journal", Journal(StoreLog(paths.own(self.root) / "journal", self.lock.require)))

    @property
    def room(self) -> Path:
        """The folder of temporary files, in which shards are laid out: TMPDIR says which."""
        return Path(tempfile.gettempdir())

    @property
    def way_to_room(self) -> str:
        """What a user may do where there is too little, in words."""
        return "name another folder by the variable TMPDIR"

    def refuse_impossible(self, options: Options) -> None:
        """Refuse web servers, and options that only a folder on a disk knows."""
        if not self.root.bucket.lists:
            hint = "give a bucket: s3://BUCKET/FOLDER, gs:// or az://"
            raise UsageError(f"{self.root} is a web server, to which ilsvrc can't write", hint=hint)
        if options.link in (Link.HARD, Link.REFLINK):
            raise UsageError(f"link={options.link!r} shares files, and a bucket has none", hint="leave link out")
        if options.order_by == "buckets":
            detail = "order_by='buckets' makes shards of a sweep that lies beside them, and a bucket can't hold it"
            raise UsageError(detail, hint="leave order_by out, or prepare into a folder and copy it")

    def claimed(self, listener: Listener) -> AbstractContextManager[Hold]:
        """Hold the lock, an object that is renewed for as long as this process lives."""
        remove_scratch()
        return self.lock.held(listener)

    def sink(self, plan: Plan, options: Options) -> Target:
        """Return what writes a split."""
        staged = ObjectStaging(self.root, plan.split, plan.digest, provenance(plan), self.lock.require)
        if options.sharded:
            return ObjectShardSink(staged, options.format_chosen(), len(plan.units), thorough=options.repair)
        return ObjectFolderSink(staged, thorough=options.repair)

    def save(self, report: Mapping[str, Any]) -> None:
        """Write the report."""
        path = paths.report(self.root)
        try:
            before = path.read_text(errors="replace")
        except FileNotFoundError:
            before = ""
        self.lock.require()
        path.bucket.put(path.key, with_earlier(report, before).encode())


def with_earlier(report: Mapping[str, Any], before: str) -> str:
    """Return a report as text, with what the text of an earlier one says of other splits, if it is one."""
    try:
        earlier = [split for split in json.loads(before)["splits"] if isinstance(split, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        earlier = []
    told = {split["split"] for split in report["splits"]}
    kept = [split for split in earlier if split.get("split") not in told]
    return json.dumps({**report, "splits": [*report["splits"], *kept]}, indent=2) + "\n"


def provenance(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return what the manifest of a split says of its making, by which a later run recognises it."""
    return (
        ("archive", printable(plan.reader.path.name)),
        ("index", plan.reader.identity),
        ("settings", json.dumps(plan.settings, sort_keys=True)),
    )


def _places(plan: Plan, form: Format) -> Places | None:
    """Return where images go in the one file of a split, if their sizes are known, and one machine writes to it.

    Machines that share a file system by a network may each hold another state of a page that two of them write to.
    """
    if not isinstance(form, Whole) or not plan.sized:
        return None
    bounds = [*(unit.start for unit in plan.units), len(plan.rows)]
    return Places.of(form, plan.reader.sizes[plan.rows], bounds)


def image_file(plan: Plan) -> str | None:
    """Return the file of the first image, None if it lies in an archive."""
    place = plan.reader.where(0) if len(plan.reader) else None
    return None if place is None or place.member else place.file


def _link(plan: Plan, root: Path, options: Options) -> Link:
    """Return how the images of a plan come into a folder; refuse links that can't be made."""
    if plan.transform:
        return Link.COPY
    return refuse_impossible(Link(options.link), image_file(plan), existing(root), plan.reader.path)
