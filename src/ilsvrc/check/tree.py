"""Check one split of a tree: its names and sizes, and, deep, the digest and the pixels of every image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.check.reference import Reference, manifest_reference, reference_issues
from ilsvrc.check.report import Compared, NotCompared, PartReport
from ilsvrc.events import Advanced, Finished, Listener, Started, silent
from ilsvrc.files import printable
from ilsvrc.images.inspect import examine
from ilsvrc.issues import Code, Issue
from ilsvrc.run.engine import Engine
from ilsvrc.sinks.base import Receipt
from ilsvrc.tree.counts import Expectation, count_issues, counts_of, official_counts
from ilsvrc.tree.recognise import UNKNOWN, duplicate_issues, folder_order, label_issues, layout_of
from ilsvrc.tree.scan import Tree, survey

BATCH = 500
"""Images that a worker examines at a time."""


def check_tree(
    folder: Path,
    split: str,
    *,
    against: Reference | None = None,
    engine: Engine | None = None,
    listener: Listener = silent,
) -> PartReport:
    """Return what lies in a split's folder and what is wrong with it.

    Names and sizes are compared with `against`, else with the manifest beside the folder; where there is neither,
    image counts are compared with the facts of ILSVRC 2012. Digests are compared with the manifest alone.

    Parameters
    ----------
    folder
        The split's folder.
    split
        train, val or test.
    against
        What an archive says that the tree should hold.
    engine
        Decodes every image; None for a check that is not deep.
    listener
        Gets progress.
    """
    tree = _surveyed(folder, split, listener)
    recorded = manifest_reference(folder)
    manifest = recorded if isinstance(recorded, Reference) else None
    reference = against or manifest
    layout = (manifest and split != "test" and manifest.layout) or layout_of(tree)
    issues = [recorded] if isinstance(recorded, Issue) else []  # first, since it explains what follows
    issues += [*tree.strays, *label_issues(tree, layout), *duplicate_issues(tree), *_absent(tree, reference)]
    issues += decode(tree, manifest, engine, listener) if engine else []
    compared, not_compared = _comparisons(tree, layout, reference, manifest, deep=engine is not None)
    order, warnings = _order(tree)
    return PartReport(
        where=printable(str(folder)),
        split=split,
        layout=layout,
        images=tree.table.num_rows,
        classes=len(set(tree.labels[tree.labels >= 0].tolist())),
        bytes=_bytes(tree),
        issues=tuple(issues),
        compared=compared,
        not_compared=not_compared,
        order=order,
        warnings=warnings,
    )


def _surveyed(folder: Path, split: str, listener: Listener) -> Tree:
    stage = f"look at {split}"
    listener(Started(stage))
    tree = survey(folder, split)
    listener(Advanced(stage, images=tree.table.num_rows))
    listener(Finished(stage))
    return tree


def _absent(tree: Tree, reference: Reference | None) -> list[Issue]:
    """Compare with what should be there: by the reference, or by the facts where there is none."""
    if reference:
        return reference_issues(tree, reference)
    if tree.split == "test":
        return []
    return count_issues(counts_of(tree.labels), Expectation(official_counts(tree.split), "the official archive"))


def _comparisons(
    tree: Tree, layout: str, reference: Reference | None, manifest: Reference | None, *, deep: bool
) -> tuple[tuple[Compared, ...], tuple[NotCompared, ...]]:
    """Return what such a check compares, and what it does not."""
    made: list[Compared] = []
    lacking: list[NotCompared] = []
    if reference:
        made += [Compared("names", reference.origin), Compared("sizes", reference.origin)]
    else:
        reason = "no manifest lists them; name the archives with --against"
        lacking += [NotCompared("names", reason), NotCompared("sizes", reason)]
        if tree.split != "test":
            made.append(Compared("image counts per class", "the facts of ILSVRC 2012"))
    if tree.folders and layout != "flat" and tree.split != "test":
        made.append(Compared("folders", "the names of the images in them"))
    if layout == UNKNOWN and tree.split != "test":
        lacking.append(NotCompared("names of folders", "no known layout tells which classes they mean"))
    if manifest and deep:
        made.append(Compared("digests", manifest.origin))
    else:
        lacking.append(NotCompared("digests", "add --deep" if manifest else "no manifest lists them"))
    if not deep:
        lacking.append(NotCompared("pixels", "add --deep"))
    return tuple(made), tuple(lacking)


def _order(tree: Tree) -> tuple[str, tuple[str, ...]]:
    """Return the labels that ImageFolder and its like give, in words, and a warning if they are wrong."""
    order = folder_order(tree)
    if not order.folders:
        return "", ()
    if not order.wrong:
        return f"ImageFolder gives all {order.folders} folders their right label", ()
    told = (
        f"ImageFolder, which numbers the folders it finds, gives {order.wrong} of {order.folders} folders "
        f"another label than ILSVRC 2012: {order.example}"
    )
    return told, (told,)


def _bytes(tree: Tree) -> int:
    return int(pc.sum(tree.table.column("size")).as_py() or 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Images for a worker to examine.

    id : for messages
    paths : below the split's folder
    digests : the xxh3_128 that each should have, or None where nothing says
    """

    id: str
    paths: tuple[str, ...]
    digests: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Examine:
    """What a worker does with a batch: read every image, compare its digest, decode it.

    folder : the split's folder
    official : images with their right digest are as they were published, whatever the decoder says
    """

    folder: Path
    official: bool = False

    def __call__(self, batch: Batch) -> Receipt:
        """Return the issues of a batch."""
        issues: list[Issue] = []
        size = 0
        for path, digest in zip(batch.paths, batch.digests, strict=True):
            try:
                data = (self.folder / path).read_bytes()
            except OSError as error:
                issues.append(Issue(path, Code.UNREADABLE, f"{error.strerror or error}"))
                continue
            issues += self._issues(path, data, digest)
            size += len(data)
        return Receipt(batch.id, (), len(batch.paths), size, tuple(issues))

    def _issues(self, path: str, data: bytes, digest: bytes | None) -> list[Issue]:
        found = examine(path, data)
        issues = [found] if found else []
        if digest is None:
            return issues
        if xxhash.xxh3_128_digest(data) != digest:
            return [*issues, Issue(path, Code.CHANGED_IMAGE, "its bytes are not those that were unpacked")]
        if found and found.is_damage:
            return [replace(found, detail=f"{found.detail}; it was so in the archive", known=self.official)]
        return issues


def decode(tree: Tree, manifest: Reference | None, engine: Engine, listener: Listener = silent) -> list[Issue]:
    """Read and decode every image of a tree, and compare its digest where the manifest lists one."""
    stage = f"decode {tree.split}"
    task = Examine(tree.folder, official=bool(manifest and manifest.official))
    issues: list[Issue] = []
    listener(Started(stage, _bytes(tree), tree.table.num_rows))
    with closing(engine.run(task, _batches(tree, manifest))) as receipts:
        for receipt in receipts:
            if receipt.error:
                raise receipt.error
            issues += receipt.issues
            listener(Advanced(stage, receipt.bytes, receipt.samples))
    listener(Finished(stage))
    return sorted(issues, key=lambda issue: issue.key)


def _batches(tree: Tree, manifest: Reference | None) -> Iterator[Batch]:
    paths = tree.table.column("path")
    digests = pa.chunked_array([pa.nulls(len(paths), pa.binary(16))])
    if manifest:
        at = pc.index_in(paths, value_set=manifest.table.column("path"))
        digests = manifest.table.column("xxh3_128").take(at)
    for start in range(0, len(paths), BATCH):
        some = tuple(paths.slice(start, BATCH).to_pylist())
        yield Batch(f"{tree.split}/{some[0]}", some, tuple(digests.slice(start, BATCH).to_pylist()))
