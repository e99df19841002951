"""Decide: what a target holds of a split, and what will be done about it. Nothing is written here."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ilsvrc.archive.expected import SUMS_FILES
from ilsvrc.archive.sidecar import Verified, recorded
from ilsvrc.errors import ArchiveError, DamageError, MachineError, UsageError
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.prepare.options import Options
from ilsvrc.prepare.room import Need, Room, existing, need_of, need_of_shards
from ilsvrc.prepare.seeking import WORTH, is_slow_to_seek
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.units import Unit
from ilsvrc.run.journal import Journal
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import Claim, claims_of
from ilsvrc.sinks.base import Stage, State
from ilsvrc.sinks.folder import FolderSink
from ilsvrc.sinks.links import Link, on_one_file_system, refuse_impossible
from ilsvrc.sinks.shards import ShardSink
from ilsvrc.tree import paths
from ilsvrc.tree.layout import TEMPLATES
from ilsvrc.tree.manifest import metadata_of, read_manifest
from ilsvrc.words import counted

MOST_LISTED = 20
"""Images that an error lists; it tells how many there are in all."""


class Action(StrEnum):
    """What will be done about a split."""

    KEEP = "nothing: it is complete"
    WRITE = "write"
    RESUME = "resume an interrupted run"
    START_OVER = "remove the work of an interrupted run, and write"
    PUBLISH = "publish it: all of it is written"
    ADOPT = "compare every image with the source, and write the manifest anew"
    COMPARE = "compare every image with its digest in the manifest, and write missing and changed images again"
    REPAIR = "write missing and changed images again"


@dataclass(frozen=True)
class Decision:
    """What there is of a split, and what will be done.

    plan : the images and where each goes
    sink : writes them
    state : what the target holds
    action : what will be done
    units : what will be written
    need : the space that it takes
    claims : files that will be hashed while they are read, and the digests that they should have
    proved : what earlier runs proved of the source's files
    to_delete : files of the source that will be deleted at the end, once they are proved and compared
    buckets : whether the source is swept into bucket files first, of which the shards are made
    """

    plan: Plan
    sink: FolderSink | ShardSink
    state: State
    action: Action
    units: tuple[Unit, ...]
    need: Need
    claims: tuple[Claim, ...] = ()
    proved: tuple[Verified, ...] = ()
    to_delete: tuple[Claim, ...] = ()
    buckets: bool = False

    @property
    def images(self) -> int:
        """Images that will be written."""
        return sum(unit.images for unit in self.units)

    @property
    def bytes(self) -> int:
        """Bytes, in the source, of the images that will be written."""
        return sum(unit.bytes for unit in self.units)

    @property
    def writes_bytes(self) -> int:
        """Bytes of these images in the target, about, where they are made anew."""
        return round(self.bytes * self.plan.share)

    @property
    def how(self) -> str:
        """How images come into the target, in words."""
        if isinstance(self.sink, ShardSink):
            made = "made anew" if self.plan.transform else "byte for byte"
            swept = ", swept into buckets first" if self.buckets else ""
            shards = "one file" if self.sink.format.whole else counted(self.sink.count, "shard")
            return f"{shards} of {self.sink.format.name}, images {made}{swept}"
        if self.plan.transform:
            return "made anew"
        return f"{_HOW[self.sink.link]}{'; --link hard would take no room' if self.could_be_linked else ''}"

    @property
    def could_be_linked(self) -> bool:
        """Whether images are copied that could be hard links."""
        if isinstance(self.sink, ShardSink) or self.plan.transform:
            return False
        image = image_file(self.plan)
        copied = self.sink.link is Link.COPY and image is not None
        return copied and on_one_file_system(str(image), existing(self.sink.root))

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as plain values."""
        reader = self.plan.reader
        return {
            "split": self.plan.split,
            "source": printable(str(reader.path)),
            "form": reader.form,
            "there": self.state.stage.name.lower().replace("_", " "),
            "missing": len(self.state.missing),
            "action": str(self.action),
            "images": self.images,
            "of_images": len(reader),
            "bytes": self.bytes,
            "writes_bytes": self.writes_bytes,
            "link": str(self.sink.link) if isinstance(self.sink, FolderSink) else None,
            "shards": self.sink.count if isinstance(self.sink, ShardSink) else None,
            "how": self.how,
            "needs_bytes": self.need.bytes,
            "needs_inodes": self.need.inodes,
            "hashes": [f"{c.source.path.name} ({c.expected.digest.algorithm})" for c in self.claims],
            "proved_before": [one.digest for one in self.proved],
            "deletes": [printable(str(claim.source.path)) for claim in self.to_delete],
        }


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a run writes.

    root : the tree's folder
    journal : remembers finished units of all runs in it
    block : bytes of the smallest piece of its file system
    durable : a unit must survive a power cut of its worker's machine as soon as it is written
    """

    root: Path
    journal: Journal
    block: int
    durable: bool = False

    @classmethod
    def of(cls, root: Path, *, durable: bool = False) -> Destination:
        """Return the destination of a run that writes to a folder."""
        return cls(root, Journal(paths.journal(root)), Room.of(root).block, durable)


def decide(plan: Plan, to: Destination, options: Options, *, changed: tuple[Issue, ...] | None = None) -> Decision:
    """Return what will be done about one split; nothing is written.

    Parameters
    ----------
    plan
        The images and where each goes.
    to
        Where it is written.
    options
        The user's choices.
    changed
        Images of a published split whose bytes are not those in its manifest; None if they were not compared.

    Raises
    ------
    IlsvrcError
        If the target holds something else, a file has no digest to prove, or must not be deleted.
    """
    sink = _sink(plan, to, options)
    begun = to.journal.plans(plan.split)
    state = sink.state(plan, begun)
    if state.stage is Stage.OTHER and not sink.staged.buckets.exists():
        done = to.journal.done_units(str(begun[-1].get("plan")))
        state = state if done else replace(state, stage=Stage.STALE)  # it finished nothing: nothing is lost
    state = replace(state, missing=(*state.missing, *(changed or ())))
    _refuse_state(state, plan, sink, options)
    if options.source == "delete":
        _refuse_to_delete(plan, state, sink)
    if state.missing and not options.repair:
        raise _gutted(plan, state, sink, options)
    action = _action(state, options, compared=changed is not None)
    units = _units(plan, state, action, to.journal, sink)
    needs_proof = action not in (Action.KEEP, Action.PUBLISH) and (action is not Action.COMPARE or len(units) > 0)
    believed = needs_proof and options.source != "delete"  # what will be deleted is hashed before it is published
    proved = _proved_before(plan, options.verify) if believed else ()
    to_prove = _claims(plan, options.verify) if needs_proof and not proved else ()
    to_delete = _claims(plan, options.verify) if options.source == "delete" else ()
    need, buckets = _need(plan, units, to, sink), _through_buckets(plan, units, action, sink, options)
    if buckets:  # they are there until the last shard is
        need += Need(max(0, int(plan.reader.sizes[plan.rows].sum()) - _bytes_in(sink.staged.buckets)))
    return Decision(plan, sink, state, action, units, need, to_prove, proved, to_delete, buckets)


def _bytes_in(folder: Path) -> int:
    """Return the bytes of the files in a folder, which need not be there."""
    return sum(path.stat().st_size for path in folder.glob("*"))


def _through_buckets(
    plan: Plan, units: tuple[Unit, ...], action: Action, sink: FolderSink | ShardSink, options: Options
) -> bool:
    """Whether shards are made of bucket files: as the user says, as an interrupted run began, or as is measured."""
    writes = action in (Action.WRITE, Action.RESUME, Action.START_OVER)
    if not isinstance(sink, ShardSink) or not writes or not units or options.order_by == "random":
        return False
    if options.order_by == "buckets" or (action is Action.RESUME and sink.staged.buckets.exists()):
        return True
    return sum(unit.bytes for unit in units) >= WORTH and is_slow_to_seek(plan.reader)


def _sink(plan: Plan, to: Destination, options: Options) -> FolderSink | ShardSink:
    """Return what writes the split."""
    told = provenance(plan)
    if options.sharded:
        return ShardSink(
            to.root, plan.split, options.format_chosen(), len(plan.units), told, to.durable, options.repair
        )
    link = _link(plan, to.root, options)
    return FolderSink(to.root, plan.split, told, durable=to.durable, link=link)


def _need(plan: Plan, units: tuple[Unit, ...], to: Destination, sink: FolderSink | ShardSink) -> Need:
    """Return the space that these units take."""
    if isinstance(sink, ShardSink):
        return need_of_shards(plan, units, whole=sink.format.whole)
    return need_of(plan, units, to.block, sink.link)


def provenance(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return what the manifest of a split says of its making, by which a later run recognises it."""
    return (
        ("archive", printable(plan.reader.path.name)),
        ("index", plan.reader.identity),
        ("settings", json.dumps(plan.settings, sort_keys=True)),
    )


_HOW = {
    Link.AUTO: "by reflinks, which share blocks with the source until one of both changes; else copied",
    Link.HARD: "by hard links: writing to an image of the tree changes the image of the source, and the other way",
    Link.REFLINK: "by reflinks, which share blocks with the source until one of both changes",
    Link.COPY: "copied",
}


def _link(plan: Plan, root: Path, options: Options) -> Link:
    """Return how the images of a plan come into a folder; refuse links that can't be made."""
    if plan.transform:
        return Link.COPY
    return refuse_impossible(Link(options.link), image_file(plan), existing(root), plan.reader.path)


def image_file(plan: Plan) -> str | None:
    """Return the file of the first image, None if it lies in an archive."""
    place = plan.reader.where(0) if len(plan.reader) else None
    return None if place is None or place.member else place.file


def _action(state: State, options: Options, *, compared: bool) -> Action:
    if state.stage is Stage.PUBLISHED:
        if options.repair and not options.sharded and not compared:  # shards are compared when their state is
            return Action.COMPARE
        return Action.REPAIR if state.missing else Action.KEEP
    if state.stage is Stage.UNFINISHED:
        return Action.START_OVER if options.restart else Action.RESUME
    actions = {Stage.FRESH: Action.WRITE, Stage.HALF_PUBLISHED: Action.PUBLISH, Stage.UNRECORDED: Action.ADOPT}
    return actions.get(state.stage, Action.START_OVER)


def _units(
    plan: Plan, state: State, action: Action, journal: Journal, sink: FolderSink | ShardSink
) -> tuple[Unit, ...]:
    """Return the units that will be written."""
    if action in (Action.KEEP, Action.PUBLISH, Action.ADOPT):
        return ()
    if action is Action.REPAIR and isinstance(sink, ShardSink):
        return tuple(plan.units[number] for number in sink.lost(plan, state.missing))
    if action in (Action.REPAIR, Action.COMPARE):
        missing = {issue.key for issue in state.missing}
        gone = [path in missing for path, _ in plan.images()]
        return tuple(unit for unit in plan.units if any(gone[unit.start : unit.stop]))
    done = journal.done_units(plan.digest) if action is Action.RESUME else set()
    return tuple(unit for unit in plan.units if unit.id not in done)


def _refuse_state(state: State, plan: Plan, sink: FolderSink | ShardSink, options: Options) -> None:
    """Refuse to touch what this plan has no business with."""
    if state.stage is Stage.OCCUPIED:
        raise UsageError(state.obstacle, hint=_way_around(plan, sink))
    if state.stage is Stage.UNRECORDED:
        _refuse_to_adopt(state, plan, sink, options)
    if state.stage is Stage.OTHER and not options.restart:
        detail = f"{sink.root} holds an unfinished {plan.split} with other settings"
        hint = "run it again with the settings it was begun with, or add --restart to throw its work away"
        raise UsageError(detail, hint=hint)


def _way_around(plan: Plan, sink: FolderSink | ShardSink) -> str:
    """Return a hint: what to do about a split that is in the way; `relabel` makes another layout of its folders."""
    hint = "choose another folder, or move it away; nothing was changed"
    if isinstance(sink, ShardSink):
        return hint
    try:
        made = metadata_of(read_manifest(sink.manifest))
        settings = json.loads(made.get("settings", "{}"))
    except (OSError, ValueError, MachineError):
        return hint
    same_images = made.get("index") == plan.reader.identity and settings | {"layout": ""} == plan.settings | {
        "layout": ""
    }
    if same_images and plan.layout and plan.layout.name in TEMPLATES:
        command = f"ilsvrc relabel {shlex.quote(str(sink.root))} --layout {shlex.quote(plan.layout.name)}"
        return f"`{command}` gives its folders the other layout; or {hint}"
    return hint


def _refuse_to_adopt(state: State, plan: Plan, sink: FolderSink | ShardSink, options: Options) -> None:
    """Refuse to vouch for a split without manifest, unless it is to be compared with a source other than itself."""
    published = sink.root / plan.split
    if plan.reader.path.resolve() == published.resolve():
        detail = f"{published} is source and target at once: it can't be compared with itself"
        raise UsageError(detail, hint="give another folder; nothing was changed")
    if not options.repair:
        again = "if `prepare` made it, add --repair: every image is compared with the source, then the manifest is"
        raise UsageError(state.obstacle, hint=f"{again} written anew; else choose another folder, or move it away")


def _gutted(plan: Plan, state: State, sink: FolderSink | ShardSink, options: Options) -> DamageError:
    kept = f"; {plan.reader.path} is kept" if options.source == "delete" else ""
    whole = len(sink.paths) if isinstance(sink, ShardSink) else len(plan.reader)
    detail = (
        f"{sink.root / plan.split} was complete once; now {len(state.missing):,} of "
        f"{whole:,} {sink.pieces} are missing or have another size{kept}"
    )
    hint = "add --repair to write them again from the source"
    return DamageError(detail, state.missing[:MOST_LISTED], hint=hint)


def _proved_before(plan: Plan, verify: str) -> tuple[Verified, ...]:
    """Return the records of earlier proofs, if there is one for every file by a digest that will do; else none."""
    found = [recorded(container.path) for container in plan.reader.containers()] if verify != "none" else []
    official = plan.reader.form == ArchiveReader.form
    proved = tuple(one for one in found if one and (not official or one.digest.startswith(f"{verify}:")))
    return proved if len(proved) == len(found) else ()


def _claims(plan: Plan, verify: str) -> tuple[Claim, ...]:
    """Return the digests to prove: those of all files, or none where nothing can be proved.

    An official archive must have the digest asked for. Of another form any digest that is known will do: Hugging Face
    tells sha256, others list md5.

    Raises
    ------
    ArchiveError
        If the digest asked for is not known of an official archive.
    """
    if verify == "none":
        return ()
    claims = claims_of(plan.reader, verify)
    if plan.reader.form != ArchiveReader.form:
        claims = claims or claims_of(plan.reader)
        if claims is None and verify != "md5":  # which nobody asked for
            sums = SUMS_FILES[verify]
            detail = f"no {sums} beside it says what its {verify} should be"
            hint = f"put {sums} beside it, as {verify}sum writes it, or leave --verify out"
            raise ArchiveError(Code.NO_DIGEST, detail, plan.reader.path, hint=hint)
        return claims or ()
    if claims is None:
        path, sums = plan.reader.path, SUMS_FILES[verify]
        detail = f"not the official archive, and no {sums} beside it says what its {verify} should be"
        hint = f"put {sums} beside it (`{verify}sum {path.name} > {sums}`), or use --verify none"
        raise ArchiveError(Code.NO_DIGEST, detail, path, hint=hint)
    return claims


def _refuse_to_delete(plan: Plan, state: State, sink: FolderSink | ShardSink) -> None:
    """Refuse to delete a source that was not proved, a link to one, and files that hold more than the split."""
    containers = plan.reader.containers()
    if plan.reader.form != ArchiveReader.form:
        detail = f"{plan.reader.path} is no official archive, and --source delete deletes no other form"
        raise UsageError(
            detail, hint="leave the option out; delete the source yourself once `ilsvrc check` is content"
        )
    for container in containers:
        if container.path.is_symlink():
            detail = f"{container.path} is a link: deleting it would leave the archive where it is"
            raise UsageError(detail, hint="give the folder that holds the archive itself; nothing was changed")
    if state.manifest is not None and state.stage is Stage.PUBLISHED and "digest" not in metadata_of(state.manifest):
        path = plan.reader.path
        detail = f"{sink.root / plan.split} was made without proof of the archive's digest: {path} is kept"
        raise UsageError(detail, hint="prepare it again into another folder, with --verify md5")
