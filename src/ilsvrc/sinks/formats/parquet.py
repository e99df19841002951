"""Parquet as Hugging Face publishes ILSVRC/imagenet-1k: a struct of an image's bytes and name, and its label.

The form: https://huggingface.co/docs/hub/datasets-image, "Parquet format", and the features Image and ClassLabel of
`datasets`. Files are written by pyarrow; ours is the search for the place of each image in them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ilsvrc import facts
from ilsvrc.archive.parquet.extents import Coding, UnusualError, locate
from ilsvrc.archive.parquet.pages import Chunk
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError, MachineError
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, ShardFile, Written

GROUP_ROWS = 100
"""Images of a row group, as `datasets` writes image data sets: a reader decodes a row group at a time."""

_PAGE_ROWS = 8
"""Images after which pyarrow looks whether a page is full; a page has a place of its own in the page index."""

_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_IMAGES = "image.bytes"
_NO_LABEL = -1
"""What a ClassLabel is where no class is known: in test."""

_UNCOMPRESSED = 0
_OPTIONAL_IN_OPTIONAL = 2


@dataclass(frozen=True, slots=True)
class Parquet:
    """Files `data/{split}-NNNNN-of-NNNNN.parquet`, with the split `val` called `validation`, and a dataset card.

    Columns: `image`, a struct of `bytes` and `path`, the official file name; `label`, int64, -1 in test. Nothing is
    compressed: JPEG is already, and so each image lies in the file byte for byte.
    """

    name: ClassVar[str] = "parquet"
    shard_size: ClassVar[int] = 500_000_000
    whole: ClassVar[bool] = False

    @property
    def settings(self) -> dict[str, object]:
        """The version of pyarrow, which writes the files and its version into them."""
        return {"pyarrow": pa.__version__}

    def path(self, split: str, number: int, count: int) -> str:
        """Return `data/validation-00003-of-00014.parquet`."""
        return f"data/{_SPLITS[split]}-{number:05}-of-{count:05}.parquet"

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write a row group for every 100 images, which are all that is in memory.

        Raises
        ------
        MachineError
            If pyarrow laid images out in another way than byte for byte.
        """
        schema, images = _schema(), iter(samples)
        with pq.ParquetWriter(
            pa.PythonFile(_Appended(file), mode="w"),
            schema,
            compression="none",
            use_dictionary=False,
            write_statistics=["image.path", "label"],
            write_page_index=True,
            write_batch_size=_PAGE_ROWS,
        ) as writer:
            while group := list(islice(images, GROUP_ROWS)):
                begin = file.tell()
                writer.write_batch(_rows(group, schema), row_group_size=GROUP_ROWS)
                for sample, offset in zip(group, _offsets(file, begin, group).tolist(), strict=True):
                    yield Placed(sample, offset)

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:
        """Return the dataset card, from which `datasets` learns splits, their files and sizes."""
        return {"README.md": _card(splits)}


class _Appended(io.RawIOBase):
    """A shard as a file of Python's, for pyarrow, which only appends."""

    def __init__(self, file: ShardFile) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Any) -> int:
        self._file.append(data)
        return len(data)


def _rows(group: Sequence[Sample], schema: pa.Schema) -> pa.RecordBatch:
    kind = schema.field("image").type
    image = pa.StructArray.from_arrays(
        [pa.array([s.data for s in group], pa.binary()), pa.array([s.name for s in group], pa.string())],
        fields=list(kind),
    )
    labels = pa.array([_NO_LABEL if s.label is None else s.label for s in group], pa.int64())
    return pa.record_batch([image, labels], schema=schema)


def _offsets(file: ShardFile, begin: int, group: Sequence[Sample]) -> Int:
    """Return the first byte of each image of a row group, by the pages that were written from a byte on."""
    source = FileSource(file.path)
    try:
        chunk = Chunk(begin, file.tell() - begin, len(group), _UNCOMPRESSED, _OPTIONAL_IN_OPTIONAL)
        found = locate(source, chunk)
    except (UnusualError, ArchiveError) as error:
        raise _unlike(file, str(error)) from None
    finally:
        source.close()
    if (found["coding"] != Coding.RAW).any() or found["size"].tolist() != [len(sample.data) for sample in group]:
        raise _unlike(file, "images do not lie there byte for byte")
    offsets: Int = found["offset"].astype(np.int64)
    return offsets


def _unlike(file: ShardFile, detail: str) -> MachineError:
    message = f"{file.path}: pyarrow {pa.__version__} wrote pages in a way that is not known here: {detail}"
    return MachineError(message, hint="pip install 'pyarrow==26.*'; nothing was published")


@cache
def _schema() -> pa.Schema:
    """Return the columns, with the metadata by which `datasets` knows an image and a class label."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.schema({"image": image, "label": pa.int64()}, {"huggingface": json.dumps(features())})


def features() -> dict[str, Any]:
    """Return what files of Hugging Face's say of their columns, below the key `huggingface`."""
    label = {"names": list(class_names()), "_type": "ClassLabel"}
    return {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}


def class_names() -> tuple[str, ...]:
    """Return the words of each class by index; a ClassLabel takes none twice, so the second crane is crane2.

    As in classes.py of huggingface.co/datasets/ILSVRC/imagenet-1k.
    """
    names: list[str] = []
    for synset in facts.classes():
        names.append(f"{synset.words}2" if synset.words in names else synset.words)
    return tuple(names)


def _card(splits: Mapping[str, Written]) -> bytes:
    """Return the dataset card: YAML for `datasets`, then a few lines for people."""
    total = sum(written.bytes for written in splits.values())
    stored = sum(shard.size for written in splits.values() for shard in written.shards)
    lines = ["---", "dataset_info:", "  splits:"]
    for split, written in splits.items():
        lines += [f"  - name: {_SPLITS[split]}", f"    num_bytes: {written.bytes}"]
        lines += [f"    num_examples: {written.images}"]
    lines += [f"  download_size: {stored}", f"  dataset_size: {total}"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {_SPLITS[split]}", f"    path: data/{_SPLITS[split]}-*"]
    lines += ["---", "", "# ILSVRC 2012", "", "| split | images | bytes of images | files |", "|---|---|---|---|"]
    for split, written in splits.items():
        lines.append(f"| {_SPLITS[split]} | {written.images:,} | {written.bytes:,} | {len(written.shards):,} |")
    lines += ["", "Labels are indices of sorted wnids, 0 to 999; -1 in test. Written by `ilsvrc prepare`."]
    return ("\n".join(lines) + "\n").encode()
