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
from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.prepare.destination import Destination, image_file
from ilsvrc.prepare.options import Options
from ilsvrc.prepare.seeking import WORTH, is_slow_to_seek
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.units import Unit
from ilsvrc.run.journal import Journal
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import Claim, claims_of
from ilsvrc.sinks.base import Stage, State
from ilsvrc.sinks.links import Link, on_one_file_system
from ilsvrc.sinks.room import Need, existing
from ilsvrc.sinks.target import Target
from ilsvrc.tree.layout import TEMPLATES
from ilsvrc.tree.manifest import metadata_of

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
    sink: Target
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
        swept = ", swept into buckets first" if self.buckets else ""
        linkable = "; --link hard would take no room" if self.could_be_linked else ""
        return f"{self.sink.how(made_anew=self.plan.transform is not None)}{swept}{linkable}"

    @property
    def could_be_linked(self) -> bool:
        """Whether images are copied that could be hard links."""
        if self.sink.link is not Link.COPY or self.plan.transform or not isinstance(self.sink.root, Path):
            return False
        image = image_file(self.plan)
        return image is not None and on_one_file_system(image, existing(self.sink.root))

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
            "link": None if self.sink.link is None else str(self.sink.link),
            "shards": self.sink.count,
            "how": self.how,
            "needs_bytes": self.need.bytes,
            "needs_inodes": self.need.inodes,
            "hashes": [f"{c.source.path.name} ({c.expected.digest.algorithm})" for c in self.claims],
            "proved_before": [one.digest for one in self.proved],
            "deletes": [printable(str(claim.source.path)) for claim in self.to_delete],
        }


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
    sink = to.sink(plan, options)
    begun = to.journal.plans(plan.split)
    state = sink.state(plan, begun)
    if state.stage is Stage.OTHER and not (sink.sweep and sink.sweep.staged.buckets.exists()):
        done = to.journal.done_units(str(begun[-1].get("plan")))
        state = state if done else replace(state, stage=Stage.STALE)  # it finished nothing: nothing is lost
    state = replace(state, missing=(*state.missing, *(changed or ())))
    _refuse_state(state, plan, sink, options)
    if options.source == "delete":
        _refuse_to_delete(plan, state, sink)
    if state.missing and not options.repair:
        raise _gutted(plan, state, sink, options)
    compared = changed is not None or sink.thorough
    action = _action(state, options, compared=compared)
    units = _units(plan, state, action, to.journal, sink)
    needs_proof = action not in (Action.KEEP, Action.PUBLISH) and (action is not Action.COMPARE or len(units) > 0)
    believed = needs_proof and options.source != "delete"  # what will be deleted is hashed before it is published
    proved = _proved_before(plan, options.verify) if believed else ()
    to_prove = _claims(plan, options.verify) if needs_proof and not proved else ()
    to_delete = _claims(plan, options.verify) if options.source == "delete" else ()
    need, buckets = sink.need(plan, units), _through_buckets(plan, units, action, sink, options)
    if buckets and sink.sweep:  # they are there until the last shard is
        need += Need(max(0, int(plan.reader.sizes[plan.rows].sum()) - _bytes_in(sink.sweep.staged.buckets)))
    return Decision(plan, sink, state, action, units, need, to_prove, proved, to_delete, buckets)


def _bytes_in(folder: Path) -> int:
    """Return the bytes of the files in a folder, which need not be there."""
    return sum(path.stat().st_size for path in folder.glob("*"))


def _through_buckets(plan: Plan, units: tuple[Unit, ...], action: Action, sink: Target, options: Options) -> bool:
    """Whether shards are made of bucket files: as the user says, as an interrupted run began, or as is measured."""
    writes = action in (Action.WRITE, Action.RESUME, Action.START_OVER)
    if sink.sweep is None or not writes or not units or options.order_by == "random":
        return False
    if options.order_by == "buckets" or (action is Action.RESUME and sink.sweep.staged.buckets.exists()):
        return True
    return sum(unit.bytes for unit in units) >= WORTH and is_slow_to_seek(plan.reader)


def _action(state: State, options: Options, *, compared: bool) -> Action:
    if state.stage is Stage.PUBLISHED:
        if options.repair and not compared:
            return Action.COMPARE
        return Action.REPAIR if state.missing else Action.KEEP
    if state.stage is Stage.UNFINISHED:
        return Action.START_OVER if options.restart else Action.RESUME
    actions = {Stage.FRESH: Action.WRITE, Stage.HALF_PUBLISHED: Action.PUBLISH, Stage.UNRECORDED: Action.ADOPT}
    return actions.get(state.stage, Action.START_OVER)


def _units(plan: Plan, state: State, action: Action, journal: Journal, sink: Target) -> tuple[Unit, ...]:
    """Return the units that will be written."""
    if action in (Action.KEEP, Action.PUBLISH, Action.ADOPT):
        return ()
    if action in (Action.REPAIR, Action.COMPARE):
        return tuple(plan.units[place] for place in sink.lost(plan, state.missing))
    done = journal.done_units(plan.digest) if action is Action.RESUME else set()
    return tuple(unit for unit in plan.units if unit.id not in done)


def _refuse_state(state: State, plan: Plan, sink: Target, options: Options) -> None:
    """Refuse to touch what this plan has no business with."""
    if state.stage is Stage.OCCUPIED:
        raise UsageError(state.obstacle, hint=_way_around(plan, state, sink))
    if state.stage is Stage.UNRECORDED:
        _refuse_to_adopt(state, plan, sink, options)
    if state.stage is Stage.OTHER and not options.restart:
        detail = f"{sink.root} holds an unfinished {plan.split} with other settings"
        hint = "run it again with the settings it was begun with, or add --restart to throw its work away"
        raise UsageError(detail, hint=hint)


def _way_around(plan: Plan, state: State, sink: Target) -> str:
    """Return a hint: what to do about a split that is in the way; `relabel` makes another layout of its folders."""
    hint = "choose another folder, or move it away; nothing was changed"
    if state.manifest is None:
        return hint
    made = metadata_of(state.manifest)
    try:
        settings = json.loads(made.get("settings", "{}"))
    except ValueError:
        return hint
    same_images = made.get("index") == plan.reader.identity and settings | {"layout": ""} == plan.settings | {
        "layout": ""
    }
    if same_images and plan.layout and plan.layout.name in TEMPLATES:
        command = f"ilsvrc relabel {shlex.quote(str(sink.root))} --layout {shlex.quote(plan.layout.name)}"
        return f"`{command}` gives its folders the other layout; or {hint}"
    return hint


def _refuse_to_adopt(state: State, plan: Plan, sink: Target, options: Options) -> None:
    """Refuse to vouch for a split without manifest, unless it is to be compared with a source other than itself."""
    published = sink.root / plan.split
    if plan.reader.path.resolve() == published.resolve():
        detail = f"{published} is source and target at once: it can't be compared with itself"
        raise UsageError(detail, hint="give another folder; nothing was changed")
    if not options.repair:
        again = "if `prepare` made it, add --repair: every image is compared with the source, then the manifest is"
        raise UsageError(state.obstacle, hint=f"{again} written anew; else choose another folder, or move it away")


def _gutted(plan: Plan, state: State, sink: Target, options: Options) -> DamageError:
    kept = f"; {plan.reader.path} is kept" if options.source == "delete" else ""
    detail = (
        f"{sink.root / plan.split} was complete once; now {len(state.missing):,} of "
        f"{sink.total(plan):,} {sink.pieces} are missing or have another size{kept}"
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


def _refuse_to_delete(plan: Plan, state: State, sink: Target) -> None:
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
