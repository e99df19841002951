"""Check a tree by names and sizes: what is there, and what should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.archive.index import Index
from ilsvrc.check.report import PartReport
from ilsvrc.events import Advanced, Finished, Listener, Started
from ilsvrc.files import OWN_FOLDER
from ilsvrc.images.inspect import examine
from ilsvrc.issues import Code, Issue
from ilsvrc.run.engine import Engine
from ilsvrc.sinks.base import Receipt
from ilsvrc.tree.counts import Expectation, count_issues, counts_of, official_counts
from ilsvrc.tree.manifest import layout_in, metadata_of, read_manifest
from ilsvrc.tree.recognise import duplicate_issues, folder_order, label_issues, layout_of
from ilsvrc.tree.scan import Tree, survey


def check_split(folder: Path, split: str, reference: Reference | None, listener: Listener) -> tuple[Tree, PartReport]:
    """Return what lies in a split's folder and what is wrong with it, as far as names and sizes tell."""
    listener(Started(f"look at {split}"))
    tree = survey(folder, split)
    listener(Advanced(f"look at {split}", images=tree.table.num_rows))
    listener(Finished(f"look at {split}"))
    layout = reference.layout if reference and reference.layout else layout_of(tree)
    issues = [*tree.strays, *label_issues(tree, layout), *duplicate_issues(tree), *_absent(tree, reference)]
    report = PartReport(
        where=str(folder),
        split=split,
        layout=layout,
        images=tree.table.num_rows,
        classes=len(set(tree.labels[tree.labels >= 0].tolist())),
        bytes=int(pc.sum(tree.table.column("size")).as_py() or 0),
        against=reference.origin if reference else "the facts of ILSVRC 2012",
        order=order_in_words(tree),
        digest=None,
        issues=tuple(issues),
    )
    return tree, report


def _absent(tree: Tree, reference: Reference | None) -> list[Issue]:
    """Compare with what should be there: the reference, or the facts where there is none."""
    if reference:
        return reference_issues(tree, reference)
    if tree.split == "test":
        return []
    return count_issues(counts_of(tree.labels), Expectation(official_counts(tree.split), "the official archive"))


def order_in_words(tree: Tree) -> str:
    """Say what ImageFolder and its like would make of a tree; empty if it has no class folders."""
    order = folder_order(tree)
    if not order.folders:
        return ""
    if order.wrong:
        return f"ImageFolder gives {order.wrong} of {order.folders} folders a wrong label: {order.example}"
    return f"ImageFolder gives all {order.folders} folders their right label"


FILES = 500
"""Images that a worker examines at a time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Images for a worker to examine.

    id : for messages
    paths, sizes : below the split's folder; bytes
    digests : xxh3_128 that each should have, or None where nothing says
    """

    id: str
    paths: tuple[str, ...]
    sizes: tuple[int, ...]
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
        issues = []
        for path, digest in zip(batch.paths, batch.digests, strict=True):
            issues += self._examine(path, digest)
        return Receipt(batch.id, (), len(batch.paths), sum(batch.sizes), tuple(issues))

    def _examine(self, path: str, digest: bytes | None) -> list[Issue]:
        try:
            data = (self.folder / path).read_bytes()
        except OSError as error:
            return [Issue(path, Code.UNREADABLE, f"{error.strerror or error}")]
        found = examine(path, data)
        issues = [found] if found else []
        if digest is not None and xxhash.xxh3_128_digest(data) != digest:
            issues.append(Issue(path, Code.CHANGED_IMAGE, "its bytes are not those that were unpacked"))
        elif digest is not None and found and found.is_damage:
            issues = [replace(found, detail=f"{found.detail}; it was so in the archive", known=self.official)]
        return issues


def deep_issues(tree: Tree, reference: Reference | None, engine: Engine, listener: Listener) -> list[Issue]:
    """Read and decode every image of a tree in parallel; return what is damaged or unusual."""
    stage = f"decode {tree.split}"
    total = int(pc.sum(tree.table.column("size")).as_py() or 0)
    listener(Started(stage, total, tree.table.num_rows))
    issues: list[Issue] = []
    for receipt in engine.run(
        Examine(tree.folder, bool(reference and reference.official)), _batches(tree, reference)
    ):
        if receipt.error:
            raise receipt.error
        issues += receipt.issues
        listener(Advanced(stage, receipt.bytes, receipt.samples))
    listener(Finished(stage))
    return sorted(issues, key=lambda issue: issue.key)


def _batches(tree: Tree, reference: Reference | None) -> Iterator[Batch]:
    table = tree.table
    if reference and "xxh3_128" in reference.table.column_names:
        at = pc.index_in(table.column("path"), value_set=reference.table.column("path"))
        digests = reference.table.column("xxh3_128").take(at)
    else:
        digests = pa.nulls(table.num_rows, pa.binary(16))
    for batch in table.append_column("digest", digests).combine_chunks().to_batches(max_chunksize=FILES):
        paths, sizes, expected = (column.to_pylist() for column in batch.columns)
        yield Batch(f"{tree.split}/{paths[0]}", tuple(paths), tuple(sizes), tuple(expected))


@dataclass(frozen=True, slots=True)
class Reference:
    """What a tree should hold: paths below the split's folder or names, sizes, and digests where they are known.

    table : Arrow table with `path`, `size` and, from a manifest, `xxh3_128`
    by_name : compare file names only, since the folders may be of any layout
    origin : who says so, for messages
    layout : name or template of the layout that it was written in, or None if that is not known
    official : its images come from an archive that was proved to be the official one
    """

    table: pa.Table
    by_name: bool
    origin: str
    layout: str | None = None
    official: bool = False


def manifest_reference(folder: Path) -> Reference | None:
    """Return what the manifest beside a split's folder says, if there is one that can be read."""
    try:
        table = read_manifest(_manifest(folder))
    except (OSError, ValueError, pa.ArrowException):
        return None
    below = pc.utf8_slice_codeunits(table.column("path"), len(folder.name) + 1)
    columns = {"path": below, "size": table.column("size"), "xxh3_128": table.column("xxh3_128")}
    official = metadata_of(table).get("against") == "official"
    return Reference(pa.table(columns), False, "its manifest", layout_in(table), official)


def damaged_manifest(folder: Path) -> list[Issue]:
    """Return an issue for a manifest beside a split's folder; to ask where `manifest_reference` could read none."""
    path = _manifest(folder)
    if not path.exists():
        return []
    return [Issue(f"{OWN_FOLDER}/{path.name}", Code.UNREADABLE, "the manifest is damaged: digests can't be compared")]


def _manifest(folder: Path) -> Path:
    return folder.parent / OWN_FOLDER / f"{folder.name}.arrow"


def index_reference(index: Index) -> Reference:
    """Return what an archive's index says of a tree that was unpacked from it."""
    table = pa.table({"path": index.table.column("name"), "size": index.table.column("size")})
    return Reference(table, by_name=True, origin=index.archive)


def reference_issues(tree: Tree, reference: Reference) -> list[Issue]:
    """Return an issue for every image that is missing, too many, or of another size than the reference says."""
    found = _keys(tree.table) if reference.by_name else tree.table.column("path")
    wanted = reference.table.column("path")
    at = pc.index_in(found, value_set=wanted)
    known = np.flatnonzero(~at.is_null().to_numpy())
    rows = at.drop_null().to_numpy()
    missing = np.setdiff1d(np.arange(len(wanted)), rows)
    issues = [Issue(wanted[i].as_py(), Code.MISSING_IMAGE, f"it is in {reference.origin}") for i in missing.tolist()]
    for i in np.flatnonzero(at.is_null().to_numpy()).tolist():
        issues.append(Issue(found[i].as_py(), Code.SURPLUS_IMAGE, f"it is not in {reference.origin}"))
    sizes, should = tree.table.column("size").to_numpy()[known], reference.table.column("size").to_numpy()[rows]
    for i in np.flatnonzero(sizes != should).tolist():
        detail = f"{sizes[i]:,} bytes of {should[i]:,}, by {reference.origin}"
        issues.append(Issue(found[int(known[i])].as_py(), Code.CHANGED_IMAGE, detail))
    return issues


def _keys(table: pa.Table) -> pa.ChunkedArray:
    """Return the file names of paths."""
    return pc.replace_substring_regex(table.column("path"), r"^.*/", "")
