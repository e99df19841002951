"""Shards that `prepare` wrote, whatever their format: each image is one `pread` at its place in the manifest."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.archive.find import SPLITS
from ilsvrc.archive.remote import of_each, source_of
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.errors import ArchiveError, MachineError, UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code
from ilsvrc.readers.ahead import InFiles, pieces
from ilsvrc.readers.blocks import BLOCKS
from ilsvrc.readers.reader import SHARDS, Container, Found, Int, Place, Rows
from ilsvrc.stores.path import Location, StorePath, names_in, path_below
from ilsvrc.tree import paths
from ilsvrc.tree.manifest import SHARDED, given_labels, metadata_of, read_manifest, settings_of

DAMAGED_MANIFEST = "restore it from a copy, or run `ilsvrc prepare SRC DST` again with an empty folder as DST"
"""What to do about a manifest that can't be read: `prepare` takes no shards for its own without one."""


@dataclass(frozen=True, slots=True)
class Shards:
    """The files that images lie in.

    path : the folder that holds them
    form : their format, in words
    ending : what their images are: jpg, webp, png or ppm
    sources : the shards, by their numbers
    """

    path: Location
    form: str
    sources: Mapping[int, ArchiveSource]
    ending: str = "jpg"


class ShardReader(InFiles):
    """Images of the shards of one split, by the manifest beside them.

    Every image that is read is compared with its digest in the manifest: shards have no other index. Where a format
    cuts its files into blocks, their headers are left out of an image that lies across some.

    Parameters
    ----------
    split
        Train, val or test.
    shards
        The shards.
    table
        Rows of the manifest, in the order of this reader.
    whole
        Whether these are all rows, in catalog order.
    """

    def __init__(self, split: str, shards: Shards, table: pa.Table, *, whole: bool = False) -> None:
        self.split, self.path, self.form = split, shards.path, shards.form
        self._shards_at, self._sources = shards, shards.sources
        self._table, self._whole = table, whole
        self.labels: npt.NDArray[np.int16] = table.column("label").to_numpy()
        self.sizes: Int = table.column("size").to_numpy()
        self._shards: npt.NDArray[np.int32] = table.column("shard").to_numpy()
        self._offsets: Int = table.column("offset").to_numpy()
        self._blocks = BLOCKS.get(shards.form.removesuffix(SHARDS))

    @classmethod
    def open(cls, path: Location, split: str) -> ShardReader:
        """Open the shards that a manifest speaks of, in catalog order.

        Raises
        ------
        ArchiveError
            If a shard is not there, or has another size than it was written with.
        """
        return cls.of(path, split, manifest_of(path, split))

    @classmethod
    def of(cls, path: Location, split: str, table: pa.Table) -> ShardReader:
        """Open the shards that the table of a manifest speaks of, as `open` does."""
        told = json.loads(metadata_of(table)["shards"])
        sources = dict(enumerate(of_each(partial(_source, path, metadata_of(table)["format"]), told)))
        names = pc.replace_substring_regex(table.column("path"), "^.*/", "")
        ordered = pc.sort_indices(
            pa.table({"label": table.column("label"), "name": names}),
            sort_keys=[("label", "ascending"), ("name", "ascending")],
        )
        shards = Shards(path, _form(table), sources, _ending(table))
        return cls(split, shards, table.take(ordered).combine_chunks(), whole=True)

    @cached_property
    def names(self) -> pa.StringArray:
        """Official file names, N strings."""
        column = pc.replace_substring_regex(self._table.column("path"), "^.*/", "")
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    @cached_property
    def identity(self) -> str:
        """Digest of names, labels, sizes and digests of all images."""
        hashed = xxhash.xxh3_128(self.split.encode())
        for name in ("path", "label", "size", "xxh3_128"):
            for batch in self._table.select([name]).to_batches(max_chunksize=1 << 16):
                hashed.update(_lines(batch.column(0)))
        return hashed.hexdigest()

    @property
    def given_labels(self) -> str | None:
        """Digest of the validation labels that a user gave in place of those that names state; None if none were."""
        return given_labels(self._table)

    @property
    def state(self) -> str:
        """The states of all shards."""
        states = [asdict(self._sources[number].state) for number in sorted(self._sources)]
        return json.dumps(states, sort_keys=True)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def name(self, row: int) -> str:
        """Return the official file name of an image."""
        name: str = self.names[int(row)].as_py()
        return name

    def where(self, row: int) -> Place:
        """Return where an image's bytes lie in their shard; the member's ending tells what they are."""
        path, name = self._sources[int(self._shards[row])].path, self.name(row)
        if self._shards_at.ending != "jpg":
            name = f"{name.rpartition('.')[0]}.{self._shards_at.ending}"
        member = f"{path_below(path, self.path)}/{name}"
        return Place(self.split, str(path), member, int(self._offsets[row]), str(self.path))

    def digest(self, row: int) -> bytes:
        """Return the xxh3_128 of an image, 16 bytes."""
        digest: bytes = self._table.column("xxh3_128")[int(row)].as_py()
        return digest

    def digests(self, column: str) -> npt.NDArray[np.uint8]:
        """Return a column of the manifest of xxh3_128, `xxh3_128` or `source`, shape (N, 16), uint8."""
        joined = b"".join(self._table.column(column).to_pylist())
        return np.frombuffer(joined, np.uint8).reshape(-1, 16)

    def read(self, row: int) -> bytes:
        """Return an image's file, compared with its digest.

        Raises
        ------
        DataError
            If its bytes are others than were written.
        """
        source = self._sources[int(self._shards[row])]
        offset, size = int(self._offsets[row]), int(self.sizes[row])
        if self._blocks is None:
            data = source.read(offset, size)
        else:
            data = self._blocks.without_headers(source.read(offset, self._blocks.length(offset, size)), offset)
        source.refuse_changed()
        if xxhash.xxh3_128_digest(data) != self.digest(row):
            raise self.where(row).fault(Code.CHANGED_IMAGE, "its bytes are not those that were written")
        return data

    def _ranges(self, rows: Rows, near: int) -> Iterator[tuple[ArchiveSource, int, int]]:
        for number in dict.fromkeys(self._shards[rows].tolist()):
            some = rows[self._shards[rows] == number]
            offsets, sizes = self._offsets[some], self.sizes[some]
            lengths = sizes if self._blocks is None else self._blocks.length(offsets, sizes)
            for start, length in pieces(offsets, lengths, near):
                yield self._sources[number], start, length

    def storage_order(self) -> Int:
        """Return the rows shard by shard, in the order in which they lie in each, shape (N,), int64."""
        return np.lexsort((self._offsets, self._shards)).astype(np.int64)

    def spans(self, rows: Rows) -> None:
        """Return None: every image is proved by its own digest."""
        del rows

    def containers(self) -> tuple[Container, ...]:
        """Return none: every image is proved by its own digest."""
        return ()

    def require_unchanged(self) -> None:
        """Refuse shards that are not in the state in which they were opened."""
        of_each(lambda source: source.refuse_replaced(), list(self._sources.values()))

    def part(self, rows: Rows) -> ShardReader:
        """Return a reader of these rows alone, in this order, with the shards that they lie in."""
        some = self._table.take(pa.array(np.asarray(rows, np.int64))).combine_chunks()
        used = {number: self._sources[number] for number in np.unique(self._shards[rows]).tolist()}
        return ShardReader(self.split, replace(self._shards_at, sources=used), some)

    def __reduce__(self) -> tuple[object, ...]:
        if self._whole:
            return _reopened, (self.path, self.split, self.state)
        return ShardReader, (self.split, self._shards_at, self._table)


def _lines(values: pa.Array) -> bytes:
    """Return each value as Python writes it, and a line feed.

    Manifests of what was prepared from shards record a digest of these bytes: they must stay what they are.
    """
    if pa.types.is_fixed_size_binary(values.type):
        return "".join([f"{value!r}\n" for value in values.to_pylist()]).encode()
    empty, end = (pa.scalar(text, pa.large_string()) for text in ("", "\n"))
    lines: pa.LargeStringArray = pc.binary_join_element_wise(values.cast(pa.large_string()), empty, end)
    return bytes(lines.buffers()[2])


def _reopened(path: Location, split: str, state: str) -> ShardReader:
    """Return the reader in another process, if the shards are still as this process opened them."""
    reader = ShardReader.open(path, split)
    if reader.state != state:
        raise ArchiveError(Code.WRONG_FILE, "its shards changed while they were in use", path)
    return reader


def manifest_of(path: Location, split: str) -> pa.Table:
    """Return the manifest of shards.

    Raises
    ------
    ArchiveError
        If there is none that can be read: the message says why.
    """
    manifest = paths.manifest(path, split)
    try:
        table = read_manifest(manifest, SHARDED)
        if not pc.all(pc.match_substring_regex(table.column("path"), rf"^{split}/[A-Za-z0-9_]+\.JPEG$")).as_py():
            raise ValueError(f"{manifest} is no manifest: it lists paths that are no images of {split}")
        return table
    except FileNotFoundError:
        detail = f"it is gone, and the shards of {split} can't be read without it"
        raise ArchiveError(Code.UNREADABLE, detail, manifest, hint=DAMAGED_MANIFEST) from None
    except (OSError, ValueError, MachineError) as error:
        detail = f"the shards of {split} can't be read without it: {error}"
        raise ArchiveError(Code.UNREADABLE, detail, manifest, hint=DAMAGED_MANIFEST) from None


_ENDINGS = ("jpg", "png", "webp", "ppm")


def _ending(table: pa.Table) -> str:
    """Return what the images of a manifest are: jpg, unless its settings say that they were encoded otherwise."""
    ending = settings_of(table).get("ending")
    return ending if isinstance(ending, str) and ending in _ENDINGS else "jpg"


def _source(root: Location, form: str, shard: dict[str, object]) -> ArchiveSource:
    path, size = root / str(shard["path"]), shard["size"]
    command = f"`ilsvrc prepare SRC {shlex.quote(printable(str(root)))} --format {form} --repair`"
    hint = f"{command} writes it again, with the source and the options it came from"
    try:
        source = source_of(path)
    except UsageError:
        detail = "it is no file" if path.exists() else "a shard is missing"
        raise ArchiveError(Code.MISSING_FILE, detail, path, hint=hint) from None
    if source.size != size:
        detail = f"the shard has {source.size:,} bytes, and {size:,} were written"
        raise ArchiveError(Code.WRONG_SIZE, detail, path, hint=hint)
    return source


def _open(
    path: Location, split: str, table: pa.Table | None, *, verify: bool = False, listener: Listener = silent
) -> ShardReader:
    """Return the reader of shards; it compares every image with its digest, asked for or not."""
    del verify, listener
    return ShardReader.open(path, split) if table is None else ShardReader.of(path, split, table)


def recognise(root: Location) -> list[Found]:
    """Return the splits in shards that `prepare` wrote to a folder, by their manifests."""
    tables = {}
    listed = root.is_dir() or (isinstance(root, StorePath) and not root.bucket.lists)  # a web server can't say
    for split in SPLITS if listed else ():
        with contextlib.suppress(ArchiveError):
            tables[split] = manifest_of(root, split)
    found = [Found(split, _form(table), root, partial(_open, root, split, table)) for split, table in tables.items()]
    lost = [split for split in SPLITS if tables and split not in tables and _is_lost(root, split, tables)]
    return [
        *found,
        *(Found(split, _UNKNOWN, root, partial(_open, root, split, None), damaged=True) for split in lost),
    ]


def _form(table: pa.Table) -> str:
    return metadata_of(table)["format"] + SHARDS


def _is_lost(root: Location, split: str, others: Mapping[str, pa.Table]) -> bool:
    """Whether a split was written in shards, as other splits were, and has no manifest that can be read."""
    return _is_damaged(root, split) or any(_is_beside(root, split, *other) for other in others.items())


def _is_beside(root: Location, split: str, other: str, table: pa.Table) -> bool:
    """Whether a shard of a split lies there whose name is that of another split's, but for the split and numbers.

    Parquet files are left out: they are read without a manifest too. In a store nothing is looked for.
    """
    shards = json.loads(metadata_of(table)["shards"])
    if not shards or isinstance(root, StorePath) or _form(table) == f"parquet{SHARDS}":
        return False
    named = re.sub(r"\d+", "[0-9]*", glob.escape(shards[0]["path"]))
    own = (re.sub(_WORDS[other], word, named) for word in _WORDS[split].split("|"))
    return any(path.is_file() for name in own if name != named for path in root.glob(name))


_WORDS = {"train": "train", "val": "validation|val", "test": "test"}
"""The words for a split in names of shards."""


_UNKNOWN = f"unknown{SHARDS}"
"""The form of shards whose manifest is damaged."""


def _is_damaged(root: Location, split: str) -> bool:
    """Whether a manifest of no use lies where other splits have those of shards, and no folders have its images."""
    path = paths.manifest(root, split)
    if not (path.is_file() if isinstance(path, StorePath) else os.path.lexists(path)):
        return False
    try:
        read_manifest(path)
    except (OSError, ValueError, MachineError):
        return not any(is_folder for _, is_folder in names_in(root / split)) if (root / split).is_dir() else True
    return False
