"""From the user's source to plans: one for each split that is to be prepared."""

from __future__ import annotations

import hashlib
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.archive.find import expected_names, look_alikes
from ilsvrc.archive.names import NO_LABEL
from ilsvrc.errors import ArchiveError, DamageError, MissingExtraError, UsageError
from ilsvrc.events import Listener, Note
from ilsvrc.facts.names import image_split, val_number
from ilsvrc.files import printable
from ilsvrc.images.inspect import ending_of
from ilsvrc.labels.verify import read_val_labels
from ilsvrc.prepare.options import Options
from ilsvrc.prepare.sample import shrinking
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.readers.locate import find_all, nothing_found, refuse_downloading
from ilsvrc.readers.reader import Found, Reader
from ilsvrc.readers.shards import ShardReader
from ilsvrc.readers.subset import SubsetReader, relabelled, select_classes
from ilsvrc.readers.tree import TreeReader
from ilsvrc.run.order import Order, cut, shuffled
from ilsvrc.run.plan import Damaged, Plan
from ilsvrc.sinks.formats.base import Format, Limited, Undecoded
from ilsvrc.stores.path import Location, fetch_folder
from ilsvrc.tree.counts import NEEDS_SCIPY, Expectation, count_issues, counts_of, expectation, official_counts
from ilsvrc.tree.layout import TEMPLATES, Layout, refuse_collisions

_NAMES_BEGIN = {"train": "n", "val": "ILSVRC2012_val_", "test": "ILSVRC2012_test_"}
"""How the names of a split's images begin."""

_MOST_NAMED = 3
"""Images that a warning names."""


def plans_of(src: Location, options: Options, listener: Listener) -> list[Plan]:
    """Return a plan for each split to prepare, once its source is indexed and nothing speaks against it."""
    layout, labels = Layout.parse(options.layout), _val_labels(options)
    classes = select_classes(options.classes) if options.classes else None
    plans = []
    for found in _sources(src, options, listener):
        reader = _opened(found, options, listener)
        if options.splits and reader.split not in options.splits:
            detail = f"{reader.path} holds the {reader.split} split, not {' or '.join(options.splits)}"
            raise UsageError(detail, hint=f"add --split {reader.split}")
        reader.containers()  # a list that contradicts the name or size of a file is refused before any work
        _refuse_counts(reader, listener)
        _warn_of_names(reader, listener)
        listed = not reader.containers() and reader.digest(0) is not None  # a manifest lists its images
        if reader.form != ArchiveReader.form and not listed:
            _warn_of_counts(reader, classes, listener)
        plans.append(_plan(reader, layout, classes, labels, options))
    return plans


def _opened(found: Found, options: Options, listener: Listener) -> Reader:
    """Open a split; images in files of their own are compared with their recorded digests as they are read."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader = found.open(listener=listener)
    for warning in caught:
        listener(Note(printable(str(warning.message)), warning=True))
    recorded = not reader.containers() and reader.digest(0) is not None
    return found.open(verify=True, listener=listener) if recorded and options.verify != "none" else reader


def _warn_of_names(reader: Reader, listener: Listener) -> None:
    """Warn of images in a split's folder that have the names of another split's images, as imagenette's val has."""
    if reader.form != TreeReader.form:
        return
    own = pc.starts_with(reader.names, _NAMES_BEGIN[reader.split])
    foreign = pc.indices_nonzero(pc.invert(own)).to_pylist()
    if not foreign:
        return
    first = ", ".join(reader.where(row).key for row in foreign[:_MOST_NAMED])
    more = f" and {len(foreign) - _MOST_NAMED:,} more" if len(foreign) > _MOST_NAMED else ""
    split, count = image_split(reader.name(foreign[0])), f"{len(foreign):,} of {len(reader):,} images"
    leads = f"; {reader.path} leads to {reader.path.resolve()}" if reader.path.is_symlink() else ""
    told = f"{count} have names of {split} images, and are prepared as {reader.split}: {first}{more}{leads}"
    command = f"ilsvrc check {shlex.quote(str(reader.path))}"
    listener(Note(printable(f"{reader.path}: {told}. See `{command}`"), warning=True))


def _plan(
    reader: Reader,
    layout: Layout,
    classes: frozenset[int] | None,
    val_labels: npt.NDArray[np.int16] | None,
    options: Options,
) -> Plan:
    """Return the plan of one split."""
    given = val_labels if reader.split == "val" else None
    before = reader.given_labels if isinstance(reader, ShardReader) else None
    chosen: dict[str, object] = {
        "classes": None if classes is None else sorted(classes),
        "val_labels": before if given is None else hashlib.sha256(given.tobytes()).hexdigest(),
    }
    images = reader if given is None else relabelled(reader, _labels_by_number(reader, given))
    rows = None if classes is None else np.flatnonzero(np.isin(images.labels, sorted(classes)))
    if rows is not None and not len(rows):
        hint = f"`ilsvrc ls {shlex.quote(str(reader.path))} {reader.split}` lists the classes that it holds"
        raise UsageError(f"{reader.path} holds no image of the classes asked for", hint=hint)
    images = images if rows is None else SubsetReader(images, rows)
    ending = _ending(images, options)
    if ending != "jpg":
        chosen["ending"] = ending
    share = shrinking(images, options.transform) if options.transform else 1.0
    if options.sharded:
        _refuse_undecoded(options.format_chosen(), ending)
    plan = _sharded(images, chosen, options, share) if options.sharded else Plan(images, layout, chosen)
    plan = replace(plan, transform=options.transform, damaged=Damaged(options.damaged), share=share)
    refuse_collisions(layout, (path for path, _ in plan.images()))
    return plan


def _ending(reader: Reader, options: Options) -> str:
    """Return what the images will be: jpg, webp, png or ppm.

    Raises
    ------
    UsageError
        If folders are written, whose names say that all are JPEGs, and they will be none.
    """
    place = reader.where(0)
    ending = ending_of(place.member or place.file)
    if options.transform and options.transform.ending:
        ending = options.transform.ending
    if not options.sharded and ending != "jpg":
        detail = f"{reader.path} holds images as {ending}, and in folders they are called .JPEG"
        raise UsageError(detail, hint="add --encode jpeg:90, or a --format that is no folder")
    return ending


def _sharded(reader: Reader, chosen: Mapping[str, object], options: Options, share: float) -> Plan:
    """Return the plan of a split that becomes shards; `share` as in Plan."""
    form = options.format_chosen()
    rows = np.arange(len(reader)) if options.order == "catalog" else shuffled(reader, options.seed)
    sizes = np.ceil(reader.sizes[rows] * share).astype(np.int64)
    order = Order(rows, cut(sizes, size=options.shard_size or form.shard_size, images=options.shard_images))
    if not options.transform:  # else their sizes are known only once they are made: the format refuses them
        _refuse_large_shards(form, sizes, order)
    seed = options.seed if options.order == "shuffled" else None
    told = {
        "format": options.format,
        **form.settings,
        "order": options.order,
        "seed": seed,
        "shards": order.count,
        "cut": order.cut,
    }
    return Plan(reader, Layout(TEMPLATES["flat"]), {**chosen, **told}, order)


def _refuse_undecoded(form: Format, ending: str) -> None:
    """Refuse images that no reader of the format decodes."""
    if isinstance(form, Undecoded) and ending in form.undecoded:
        detail = f"images would be {ending}, and the readers of {form.name} fail at them"
        raise UsageError(detail, hint="add --encode jpeg:90 or --encode png, or choose another --format")


def _refuse_large_shards(form: Format, sizes: npt.NDArray[np.int64], order: Order) -> None:
    """Refuse shards whose images alone exceed the limit of the format.

    Parameters
    ----------
    form
        The format.
    sizes
        Bytes of the images in their order, shape (N,), int64.
    order
        Where shards begin.
    """
    if not isinstance(form, Limited) or not len(sizes):
        return
    largest = int(np.add.reduceat(sizes, order.bounds[:-1]).max())
    if largest > form.shard_limit:
        detail = f"a shard would hold {largest:,} bytes of images; {form.name} allows {form.shard_limit:,} in a shard"
        hint = f"give a smaller --shard-size or --shard-images; the default is {form.shard_size:,} bytes"
        raise UsageError(detail, hint=hint)


def _labels_by_number(reader: Reader, given: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return the label of every row of the val split, -1 where the list is too short.

    Parameters
    ----------
    reader
        The val split.
    given
        The label of image n at position n - 1, shape (M,), int16.
    """
    numbers = np.array([val_number(name) for name in reader.names.to_pylist()], np.int64)
    listed = numbers <= len(given)
    return np.where(listed, given[np.where(listed, numbers, 1) - 1], np.int16(NO_LABEL))


def _sources(src: Location, options: Options, listener: Listener) -> list[Found]:
    """Return the splits to prepare: one asked for by name must be there, of another one a warning is enough."""
    splits = options.splits or ("train", "val")
    _refuse_unfinished(src, splits)
    all_found = find_all(src, splits)
    there = {one.split: one for one in reversed(all_found)}
    if not there:
        raise nothing_found(src, splits)
    found = [there[split] for split in splits if split in there]
    _warn_of_others(all_found, found, listener)
    if src.is_file():
        return found or list(there.values())
    absent = [split for split in splits if split not in there]
    if not found:
        hint = f"add --split {next(iter(there))}"
        raise UsageError(f"{src} holds no {' or '.join(splits)}, only {' and '.join(there)}", hint=hint)
    if not absent:
        return found
    names = " and ".join(expected_names(split)[0] for split in absent)
    others = look_alikes(src, [one.path for one in all_found])
    if options.splits:
        hint = f"there is {', '.join(others)}: give it by its path, or its official name" if others else ""
        hint = (
            hint or f"fetch it (ilsvrc fetch {absent[0]} --to {fetch_folder(src)}), or leave out --split {absent[0]}"
        )
        raise UsageError(f"{src} holds no {names}; nothing was written", hint=hint)
    seen = f"; there is {', '.join(others)}" if others else ""
    prepared = " and ".join(one.split for one in found)
    listener(Note(f"only {prepared} is prepared: {src} holds no {names}{seen}", warning=True))
    return found


def _warn_of_others(all_found: Sequence[Found], chosen: Sequence[Found], listener: Listener) -> None:
    """Warn of files that hold images of a split too and are not prepared: they may be its other half."""
    for one in chosen:
        others = [other for other in all_found if other.split == one.split and other.path != one.path]
        if others and one.split:
            names = ", ".join(printable(str(other.path)) for other in others)
            text = f"{one.split} is prepared from {printable(str(one.path))} alone; it is also in {names}"
            text += ". If they are parts of it, unpack all into one folder and prepare that folder"
            listener(Note(text, warning=True))


def _refuse_unfinished(source: Location, splits: Sequence[str]) -> None:
    """Refuse a folder whose archive of one of these splits is still being fetched: its split would be left out."""
    for split in splits:
        others = " ".join(f"--split {other}" for other in splits if other != split and _is_whole(source, other))
        otherwise = f"; or add {others} to prepare without it" if others else ""
        refuse_downloading(source, (split,), otherwise=otherwise)


def _is_whole(source: Location, split: str) -> bool:
    """Return whether a split is there, and its archive is not still being fetched."""
    try:
        refuse_downloading(source, (split,))
    except UsageError:
        return False
    return bool(find_all(source, (split,)))


def _val_labels(options: Options) -> npt.NDArray[np.int16] | None:
    """Return the labels of the user's file, compared with the truth first; None without a file."""
    if options.val_labels is None:
        return None
    return read_val_labels(options.val_labels, trust=options.trust_val_labels)


def _refuse_counts(reader: Reader, listener: Listener) -> None:
    """Refuse an archive that lacks images: a split made of it would lack them too."""
    for container in reader.containers()[:1]:
        try:
            wanted = expectation(container.path, container.size, reader.split, reader.labels)
        except MissingExtraError:
            listener(Note(f"image counts per class were not compared with the devkit: {NEEDS_SCIPY}"))
            return
        issues = count_issues(counts_of(reader.labels), wanted) if wanted else []
        if issues:
            hint = f"fetch the archive again; to prepare it as it is, move {facts.DEVKIT} away from it"
            raise DamageError(f"{reader.path} does not hold what it should; nothing was written", issues, hint=hint)


def _warn_of_counts(reader: Reader, classes: frozenset[int] | None, listener: Listener) -> None:
    """Warn of a split in another form that lacks images: it may be a subset on purpose, or half of a download.

    Its counts are compared with the devkit beside it, as `check` does, or with the facts of ILSVRC 2012. The classes
    that were not asked for don't matter.
    """
    if reader.split not in ("train", "val"):
        return
    try:
        wanted = expectation(reader.path, 0, reader.split, reader.labels)
    except (MissingExtraError, ArchiveError):  # of the devkit: the images beside it may be sound
        wanted = None
    wanted = wanted or Expectation(official_counts(reader.split), "the facts of ILSVRC 2012")
    chosen = np.isin(np.arange(len(wanted.counts)), range(len(wanted.counts)) if classes is None else sorted(classes))
    found = np.where(chosen, counts_of(reader.labels), 0)
    issues = count_issues(found, Expectation(np.where(chosen, wanted.counts, 0), wanted.origin))
    if not issues:
        return
    there = f"{int(found.sum()):,} of {int(wanted.counts[chosen].sum()):,} images are there"
    classes_with = "1 class has" if len(issues) == 1 else f"{len(issues):,} classes have"
    first = f"{issues[0].key}: {issues[0].detail}"
    command = f"ilsvrc check {shlex.quote(printable(str(reader.path)))}"
    text = f"{reader.split}: {there}; {classes_with} another number of images than expected ({first})"
    listener(Note(f"{text}; `{command}` lists them", warning=True))
