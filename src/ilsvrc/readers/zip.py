"""Read images out of a zip that stays packed: Kaggle's, or one that anyone made of a tree."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property, partial

import numpy as np
import pyarrow as pa

from ilsvrc.archive.catalog import SPLITS, UNSAID, Images, images_of, official_name
from ilsvrc.archive.find import refuse_unfinished, splits_named
from ilsvrc.archive.remote import source_of
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.archive.zip.build import indexed
from ilsvrc.archive.zip.directory import Directory, find_directory, is_zip
from ilsvrc.archive.zip.entry import LONGEST_HEADER, BadMember, data_start, local_name, unpacked
from ilsvrc.archive.zip.index import Splits, ZipIndex
from ilsvrc.archive.zip.walk import RECORD, cut, walk
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.files import printable
from ilsvrc.readers.ahead import pieces, take_ahead
from ilsvrc.readers.reader import Container, Found, Int, Place, Rows
from ilsvrc.stores.path import Location

_WHOLE = 1 << 22
"""Bytes of a list of members that is read whole to tell which splits there are; of a longer one samples are."""

_SAMPLES, _SAMPLE = 256, 1 << 14


class ZipReader:
    """Images of one split in a zip: each is one `pread` of its header and its bytes.

    Whenever an image is read, it is compared with the CRC-32 that the zip has of it.

    Parameters
    ----------
    source
        The zip.
    index
        The images to read; all of the split, or some rows of it.
    complete
        Whether `index` has all images of the split, which a copy in another process opens again.
    """

    form = "zip"

    def __init__(self, source: ArchiveSource, index: ZipIndex, *, complete: bool = False) -> None:
        self.source = source
        self.index = index
        self.split = index.split
        self.labels = index.labels
        self.sizes: Int = index.numbers("size").astype(np.int64, copy=False)
        self._offsets: Int = index.numbers("offset").astype(np.int64, copy=False)
        self._room: Int = index.numbers("room").astype(np.int64, copy=False)
        self._complete = complete

    @classmethod
    def open(cls, source: ArchiveSource, split: str, *, listener: Listener = silent) -> ZipReader:
        """Return the reader of a split in a zip, which is indexed first where no index of it is stored.

        Raises
        ------
        UsageError
            If the zip has no image of the split, or is still being fetched.
        DataError
            If it can't be trusted.
        """
        refuse_unfinished(source.path)
        return cls._of(source, indexed(source, listener), split)

    @classmethod
    def _of(cls, source: ArchiveSource, splits: Splits, split: str) -> ZipReader:
        if split not in splits:
            others = f"it has {' and '.join(splits)}" if list(splits) else "it has no image of ILSVRC 2012"
            raise UsageError(f"{source.path} holds no {split} image", hint=others)
        return cls(source, splits[split], complete=True)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def path(self) -> Location:
        """The zip."""
        return self.source.path

    @property
    def names(self) -> pa.StringArray:
        """Official file names, N strings."""
        return self.index.names

    @cached_property
    def identity(self) -> str:
        """The identity of the index: names, labels, sizes, places and CRC-32 of all images."""
        return self.index.identity

    @property
    def state(self) -> str:
        """Inode, times and size of the zip, in JSON."""
        return json.dumps(asdict(self.source.state), sort_keys=True)

    def name(self, row: int) -> str:
        """Return the official file name of an image."""
        return self.index.name(row)

    def where(self, row: int) -> Place:
        """Return where an image lies: its member's name in the zip, and its first byte there, maybe packed.

        Name and place are in the member's own header. If that is damaged, they are the official name and the header.
        """
        path, entry = str(self.source.path), self.index.entry(row)
        try:
            header = self.source.read(entry.offset, min(entry.room, LONGEST_HEADER))
            begin = data_start(header, entry, partial(_is_name, self.name(row)))
        except (ArchiveError, BadMember):
            return Place(self.split, path, self.name(row), entry.offset, path)
        return Place(self.split, path, printable(local_name(header)), entry.offset + begin, path)

    def digest(self, row: int) -> None:
        """Return None: a zip has a CRC-32 of every image, which `read` compares."""

    def read(self, row: int) -> bytes:
        """Return an image's file, byte for byte; it has the CRC-32 that the zip has of it."""
        entry = self.index.entry(row)
        self.source.will_need(entry.offset, entry.room)  # header and data are two reads: a disk is waited for once
        return self._read(row)

    def _read(self, row: int) -> bytes:
        """Return an image's file, which was announced."""
        try:
            data = unpacked(self.source, self.index.entry(row), partial(_is_name, self.name(row)))
        except BadMember as fault:
            self.source.refuse_changed()
            raise self.where(row).fault(fault.code, str(fault)) from None
        self.source.refuse_changed()
        return data

    def take(self, rows: Rows) -> Iterator[tuple[int, bytes]]:
        """Yield rows and their bytes; the system fetches the next batch while one is read; its memory is let go."""
        return take_ahead(rows, self._room[rows], self._read, will_need=self.will_need, let_go=self.let_go)

    def will_need(self, rows: Rows) -> None:
        """Let the system fetch these rows ahead, neighbours in one piece."""
        for start, length in pieces(self._offsets[rows], self._room[rows]):
            self.source.will_need(start, length)

    def let_go(self, rows: Rows) -> None:
        """Give back the memory of rows that were read."""
        for start, length in pieces(self._offsets[rows], self._room[rows], 0):
            self.source.let_go(start, length)

    def storage_order(self) -> Int:
        """Return the rows in the order in which they lie in the zip, shape (N,), int64."""
        return np.argsort(self._offsets, kind="stable").astype(np.int64)

    def spans(self, rows: Rows) -> Int:
        """Return the bytes of each row from its header up to the next member, shape (N, 2), int64."""
        starts = self._offsets[rows]
        return np.stack([starts, starts + self._room[rows]], axis=1)

    def containers(self) -> tuple[Container, ...]:
        """Return the zip, with every digest that it should have."""
        return (Container.of(self.source),)

    def require_unchanged(self) -> None:
        """Refuse a zip whose open file, or whose path by now, is not in the state in which it was opened."""
        self.source.refuse_replaced()

    def part(self, rows: Rows) -> ZipReader:
        """Return a reader of these rows alone, in this order."""
        return ZipReader(self.source, self.index.part(rows))

    def __reduce__(self) -> tuple[object, ...]:
        if self._complete:
            return _reopened, (self.source, self.split)
        return ZipReader, (self.source, self.index)


def _reopened(source: ArchiveSource, split: str) -> ZipReader:
    """Return the reader in another process, if the zip is still in the state in which this process opened it."""
    source.refuse_replaced()
    return ZipReader.open(source, split)


def _is_name(official: str, name: bytes) -> bool:
    """Whether a member of this name is the image of the official name."""
    if name.endswith(official.encode()):
        return name[: -len(official)][-1:] in (b"", b"/", b"\\")
    base = name.replace(b"\\", b"/").rpartition(b"/")[2]
    return base.isascii() and official_name(base.decode("ascii")) == official


class _Zip:
    """A zip that was recognised: its splits share one index, which is opened when the first of them is."""

    def __init__(self, source: ArchiveSource) -> None:
        self._source = source
        self._opening = threading.Lock()
        self._splits: Splits | None = None

    def open(self, split: str, *, verify: bool = False, listener: Listener = silent) -> ZipReader:  # noqa: ARG002
        """Return the reader of a split; every image is compared with its CRC-32, asked for or not."""
        refuse_unfinished(self._source.path)
        with self._opening:
            if self._splits is None:
                self._splits = indexed(self._source, listener)
        return ZipReader._of(self._source, self._splits, split)


def recognise(root: Location) -> list[Found]:
    """Return the splits in a zip, or in the zips of a folder, by the names of their members.

    Of a list of more than 4 MB, 256 samples are read: a split that has less than a hundredth of the members may be
    missed if nothing else opens the zip.

    Raises
    ------
    ArchiveError
        If `root` itself is a zip that is cut short or one of several parts. In a folder, a file whose name ends in
        .zip and can't be read is found by the splits in its name; without them it is passed over.
    """
    if root.is_dir():
        inside = sorted(path for path in root.iterdir() if path.suffix.lower() == ".zip")
        return list(itertools.chain.from_iterable(_found_in(path) for path in inside))
    return _recognised(root)


def _found_in(path: Location) -> list[Found]:
    """Return the splits in a file that is named as a zip; by its name, if it can't be read."""
    try:
        found = _recognised(path)
        if found or not path.is_file():
            return found
        source = source_of(path)
        find_directory(source)
    except OSError:
        return []
    except ArchiveError:
        source = source_of(path)
        return [
            Found(split, ZipReader.form, path, partial(_Zip(source).open, split), damaged=True)
            for split in splits_named(path.name)
        ]
    return []


def _recognised(path: Location) -> list[Found]:
    try:
        if not path.is_file():
            return []
        source = source_of(path)
        if not is_zip(source):
            return []
        splits = _splits_in(source, find_directory(source))
    except OSError:
        return []
    found = _Zip(source)
    return [Found(split, ZipReader.form, path, partial(found.open, split)) for split in splits]


def _splits_in(source: ArchiveSource, directory: Directory) -> list[str]:
    """Return the splits whose images are seen in the list of members."""
    length = directory.stop - directory.start
    if length <= _WHOLE:
        seen = [images_of(members.paths()) for members in walk(source, directory)]
    else:
        places = np.linspace(directory.start, directory.stop - _SAMPLE, _SAMPLES).astype(np.int64)
        seen = [_seen(source.read(place, _SAMPLE)) for place in places.tolist()]
    numbers: set[int] = set()
    for images in seen:
        numbers.update(np.where(images.folder_splits == UNSAID, images.splits, images.folder_splits).tolist())
    return [SPLITS[number] for number in sorted(numbers)]


def _seen(sample: bytes) -> Images:
    """Return the images whose records are whole in some bytes from the middle of a list of members."""
    begin = sample.find(RECORD)
    members, _ = cut(sample[begin:] if begin >= 0 else b"")
    return images_of(members.paths())
