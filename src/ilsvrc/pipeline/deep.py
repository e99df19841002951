"""Read and decode every image of a tree, in parallel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.images.inspect import examine
from ilsvrc.tree.scan import Tree
from ilsvrc.events import Advanced, Finished, Listener, Started
from ilsvrc.issues import Code, Issue
from ilsvrc.run.engine import Engine
from ilsvrc.pipeline.reference import Reference
from ilsvrc.sinks.base import Receipt

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
