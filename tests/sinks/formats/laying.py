"""Lay out the one file of a split by hand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import ShardFile
from ilsvrc.sinks.formats.whole import Whole, placed
from ilsvrc.tree.manifest import SHARDED, ShardedRow, table_of


def laid_out(form: Whole, path: Path, images: Sequence[tuple[str, int, bytes]], split: str = "train") -> list[int]:
    """Write images of names and labels to the file of a split; return the offset of each."""
    samples = [Sample(f"{split}/{name}", name, label if label >= 0 else None, data) for name, label, data in images]
    sizes = np.array([len(sample.data) for sample in samples], np.int64)
    looked = list(form.look(iter(samples)))
    notes = b"".join(note for _, note in looked)
    layout = form.layout(sizes, notes)
    begins = layout.begins(sizes)
    file = ShardFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL), path, int(begins[0]))
    try:
        offsets = []
        for at, one in enumerate(placed(file, layout, looked, 0)):
            offsets.append(one.offset)
            assert file.tell() == begins[at + 1], "frames tile the file as was said before"
        rows = [
            ShardedRow(sample.key, label, len(sample.data), bytes(16), 0, offset, bytes(16))
            for sample, (_, label, _), offset in zip(samples, images, offsets, strict=True)
        ]
        table: pa.Table = table_of(rows, SHARDED)
        layout.complete(file, table, notes, split)
        assert file.end()[0] == path.stat().st_size
    finally:
        file.close()
    return offsets
