"""Read images out of Parquet files as Hugging Face publishes them, one by one and where they lie."""

from __future__ import annotations

import json
import os
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from typing import Any
from weakref import WeakSet

import numpy as np
import pyarrow as pa
import xxhash

from ilsvrc.archive.expected import SUMS_FILES, Expected, expected
from ilsvrc.archive.parquet.extents import PREFIX, Coding, decompress
from ilsvrc.archive.parquet.index import ParquetIndex, open_index
from ilsvrc.archive.parquet.shards import Shards, find_shards
from ilsvrc.archive.parquet.table import ImageTable
from ilsvrc.archive.remote import of_each, source_of
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.errors import UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.facts import Digest
from ilsvrc.issues import Code
from ilsvrc.readers.ahead import NEAR, InFiles, pieces
from ilsvrc.readers.reader import Container, Found, Int, Place, Reader, Rows
from ilsvrc.stores.path import Location

FORM = "Parquet"

_CACHE = 64 << 20
"""Bytes of decompressed pages that are kept, so that neighbours in a page do not have it decompressed again."""

_LOCKS = 16
_U32 = struct.Struct("<I")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def recognise(root: Location) -> list[Found]:
    """Return the splits in Parquet files at a path: a file, a folder of files, or the cache of Hugging Face's hub."""
    return [
        Found(shards.split, _form(shards), _place(root, shards), _opener(shards), shards.damaged)
        for shards in find_shards(root)
    ]


def _form(shards: Shards) -> str:
    return f"{FORM}, {len(shards.files):,} of {shards.total:,} files" if shards.missing else FORM


def _place(root: Location, shards: Shards) -> Location:
    return root if root.is_file() else shards.folder


def _opener(shards: Shards) -> Any:
    def open_(*, verify: bool = False, listener: Listener = silent) -> Reader:
        return ParquetReader.open(shards, verify=verify, listener=listener)

    return open_


class ParquetReader(InFiles):
    """Images of one split in Parquet files: most are one `pread`, or the few blocks of a page that they lie in.

    Parameters
    ----------
    path
        The file, or the folder of the files; for messages.
    sources
        The files.
    index
        The images to read.
    key
        What the index is kept by if it is that of the whole files, which a copy in another process opens again.
    """

    form = FORM

    def __init__(
        self, path: Location, sources: tuple[ArchiveSource, ...], index: ParquetIndex, key: Location | None = None
    ) -> None:
        self.path = path
        self.sources = sources
        self.index = index
        self.split = index.split
        self.labels = index.labels
        self.sizes = index.sizes
        self._key = key
        self._files, self._offsets, self._lengths, self._plain, self._skips, self._codings = (
            index.column(name) for name in ("file", "offset", "length", "plain", "skip", "coding")
        )
        self._pages = _Pages()

    @classmethod
    def open(cls, shards: Shards, *, verify: bool = False, listener: Listener = silent) -> ParquetReader:
        """Return the reader of a split, which is indexed first where no index of it is stored.

        Raises
        ------
        UsageError
            If `verify` is asked for: Parquet files have no digests of images.
        DataError
            If files are missing or damaged, or labels are contradicted.
        """
        if verify:
            hint = "digests are in trees that `ilsvrc prepare` made"
            raise UsageError(f"{shards.folder}: there are no digests to verify images by", hint=hint)
        shards.require_complete()
        sources = tuple(of_each(source_of, [path.absolute() for path in shards.files]))
        index = open_index(sources, shards.key, listener)
        path = shards.files[0] if shards.key == shards.files[0].absolute() else shards.folder
        return cls(path, sources, index, shards.key)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def names(self) -> pa.StringArray:
        """File names, N strings."""
        return self.index.names

    @property
    def identity(self) -> str:
        """xxh3_128 over split, names, labels and sizes: the same however the images are sharded."""
        return self.index.identity

    @cached_property
    def state(self) -> str:
        """xxh3_128 over the states of all files."""
        states = {str(source.path): asdict(source.state) for source in self.sources}
        return xxhash.xxh3_128_hexdigest(json.dumps(states, sort_keys=True).encode())

    def name(self, row: int) -> str:
        """Return the file name of an image."""
        return str(self.names[row].as_py())

    def where(self, row: int) -> Place:
        """Return where an image lies: the first byte of its own, or of the piece that it is decompressed from."""
        offset = 0 if self._codings[row] == Coding.ROW_GROUP else self._offsets.item(row)
        return Place(self.split, str(self._source(row).path), self.name(row), offset, str(self.path))

    def digest(self, row: int) -> None:
        """Return None: Parquet files have no digests of images."""

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte."""
        source, coding, size = self._source(row), self._codings[row], self.sizes.item(row)
        if coding <= Coding.SHARED:
            offset = self._offsets.item(row)
            data = source.read(offset, size)
            said = source.read(offset - PREFIX, PREFIX)
        elif coding == Coding.ROW_GROUP:
            data = self._of_row_group(row)
            said = _U32.pack(len(data))
        else:
            page, skip = self._page(row), self._skips.item(row)
            data, said = bytes(page[skip : skip + size]), bytes(page[skip - PREFIX : skip])
        source.refuse_changed()
        if said != _U32.pack(size) or len(data) != size:
            raise self.where(row).fault(Code.CHANGED_IMAGE, "it does not lie where the index says")
        return data

    def storage_order(self) -> Int:
        """Return the rows in the order of files and of places in them, shape (N,), int64."""
        return np.lexsort((self._skips, self._offsets, self._files)).astype(np.int64)

    def spans(self, rows: Rows) -> Int | None:
        """Return the first byte of each row and the byte after its last, shape (N, 2), int64.

        None where images have no bytes of their own: in compressed pages, and where a dictionary joins equal images.
        """
        if (self._codings != Coding.RAW).any():
            return None
        starts = self._bases[self._files[rows]] + self._offsets[rows]
        return np.stack([starts, starts + self.sizes[rows]], axis=1)

    def containers(self) -> tuple[Container, ...]:
        """Return the files, with every digest that they should have."""
        return tuple(Container(s.path, s.size, s.state, _expected(s)) for s in self.sources)

    def require_unchanged(self) -> None:
        """Refuse files that are not in the state in which they were opened; one system call for each."""
        of_each(lambda source: source.refuse_replaced(), self.sources)

    def part(self, rows: Rows) -> ParquetReader:
        """Return a reader of these rows alone, in this order, with the files that they lie in."""
        index = self.index.part(rows)
        used, renumbered = np.unique(index.column("file"), return_inverse=True)
        at = index.table.schema.get_field_index("file")
        field = index.table.schema.field(at)
        table = index.table.set_column(at, field, pa.array(renumbered.astype(np.int16)))
        return ParquetReader(self.path, tuple(self.sources[i] for i in used), ParquetIndex(self.split, table))

    def __reduce__(self) -> tuple[object, ...]:
        if self._key is not None:
            return _reopened, (self.path, self.sources, self._key)
        return ParquetReader, (self.path, self.sources, self.index)

    @cached_property
    def _bases(self) -> Int:
        """First byte of each file, all files laid end to end."""
        sizes = np.array([source.size for source in self.sources], np.int64)
        return np.cumsum(sizes) - sizes

    def _source(self, row: int) -> ArchiveSource:
        source: ArchiveSource = self.sources[self._files.item(row)]
        return source

    def _page(self, row: int) -> memoryview:
        """Return the decompressed piece that holds an image."""
        coding, offset, plain = self._codings.item(row), self._offsets.item(row), self._plain.item(row)
        source, length = self._source(row), self._lengths.item(row)

        def _read() -> memoryview:
            try:
                return memoryview(decompress(coding, source.read(offset, length), plain))
            except (OSError, ValueError, pa.ArrowException):
                source.refuse_changed()
                raise self.where(row).fault(Code.CHANGED_IMAGE, "its page can't be decompressed") from None

        if coding == Coding.BLOCKS:
            return _read()
        page: memoryview = self._pages.get((self._files.item(row), offset), plain, _read)
        return page

    def _of_row_group(self, row: int) -> bytes:
        """Return an image out of a row group that pyarrow reads."""
        source, group = self._source(row), self._offsets.item(row)

        def _read() -> pa.Array:
            table = ImageTable(source)
            if table.columns is None or group >= len(table.footer.groups):
                raise self.where(row).fault(Code.CHANGED_IMAGE, "it does not lie where the index says")
            return table.images(group)

        images = self._pages.get((self._files.item(row), -1 - group), _CACHE // 2, _read)
        if self._skips[row] >= len(images):
            raise self.where(row).fault(Code.CHANGED_IMAGE, "it does not lie where the index says")
        return bytes(images[self._skips.item(row)].as_py())

    def _ranges(self, rows: Rows, near: int) -> Iterator[tuple[ArchiveSource, int, int]]:
        """Yield file, offset and length of each byte range that holds some images."""
        rows = rows[self._codings[rows] != Coding.ROW_GROUP]
        apart = self._bases + np.arange(len(self.sources)) * (NEAR + 1)  # so that no range spans two files
        for start, length in pieces(apart[self._files[rows]] + self._offsets[rows], self._lengths[rows], near):
            file = int(np.searchsorted(apart, start, "right")) - 1
            yield self.sources[file], start - int(apart[file]), length


class _Pages:
    """The pages decompressed last; each is decompressed by one thread, while others that want it wait."""

    def __init__(self) -> None:
        self.begin_anew()
        _ALL_PAGES.add(self)

    def begin_anew(self) -> None:
        """Hold nothing: in a fork, a lock may be held by a thread that is not there."""
        self._pages: OrderedDict[tuple[int, int], tuple[int, Any]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        self._reading = [threading.Lock() for _ in range(_LOCKS)]

    def get(self, key: tuple[int, int], size: int, read: Callable[[], Any]) -> Any:
        """Return a page by its key; have it read if it is not here."""
        with self._reading[hash(key) % _LOCKS]:
            with self._lock:
                if key in self._pages:
                    self._pages.move_to_end(key)
                    return self._pages[key][1]
            page = read()
            with self._lock:
                self._pages[key] = (size, page)
                self._held += size
                while self._held > _CACHE and len(self._pages) > 1:
                    _, (freed, _) = self._pages.popitem(last=False)
                    self._held -= freed
            return page


_ALL_PAGES: WeakSet[_Pages] = WeakSet()
"""All that are alive in this process, for its forks."""


def _begin_anew() -> None:
    for pages in list(_ALL_PAGES):
        pages.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)


def _reopened(path: Location, sources: tuple[ArchiveSource, ...], key: Location) -> ParquetReader:
    """Return the reader in another process, if all files are still in the state in which this process opened them."""
    for source in sources:
        source.refuse_replaced()
    return ParquetReader(path, sources, open_index(sources, key), key)


def _expected(source: ArchiveSource) -> tuple[Expected, ...]:
    """Return what lists beside a file say of it; and in the hub's cache, its blob's name, which is its sha256."""
    listed = [expected(source, algorithm) for algorithm in SUMS_FILES]
    blob = source.path.resolve()
    if blob != source.path and blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name):
        listed.append(Expected(Digest("sha256", blob.name), "the hub's name of it"))
    return tuple(found for found in listed if found)
