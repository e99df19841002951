"""Gather the images of tars from their headers; of compressed ones, from all that is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc.archive.header import BLOCK
from ilsvrc.archive.sidecar import WIDTH
from ilsvrc.archive.source import ArchiveSource, State
from ilsvrc.archive.tar import Extent, Walk
from ilsvrc.archive.walk import walk
from ilsvrc.errors import ArchiveError, DamageError
from ilsvrc.events import Advanced, Finished, Listener, Started
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import LARGEST_IMAGE
from ilsvrc.readers.tars.names import IMAGE, INNER, UnknownImage, contradicted, images_among, named
from ilsvrc.readers.tars.packed import Sweep, sweep
from ilsvrc.readers.tars.walk import PIECE, Piece, is_other, pieces
from ilsvrc.stores.path import Location

COLUMNS = pa.schema(
    [
        ("split", pa.int8()),
        ("label", pa.int16()),
        ("name", pa.string()),
        ("tar", pa.int32()),
        ("folder", pa.int32()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
    ]
)
DIGEST = pa.field("xxh3_128", pa.binary(WIDTH))
GATHERED = COLUMNS.append(DIGEST)

_STAGE = "index"
_TOGETHER = 16
"""Tars walked at once: as many reads as a disk is given at a time. Of tars in a store as many as it is asked for."""

_IMAGE, _INNER = re.compile(IMAGE), re.compile(INNER)
_ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar, as a file.

    source : the file
    form : how it is compressed: `gzip`, `zstd`, or empty
    folder : folder that its members count as lying in: the wnid, for a tar of one class; else empty
    """

    source: ArchiveSource
    form: str
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The images of some tars, in the order of tars and offsets; fields as those of TarIndex."""

    tars: tuple[Tar, ...]
    ends: tuple[int, ...]
    points: tuple[bytes, ...]
    folders: tuple[str, ...]
    table: pa.Table


def gather(tars: Sequence[Tar], listener: Listener) -> Gathered:
    """Return the images of some tars.

    Raises
    ------
    ArchiveError
        Naming archive, member and byte offset of the first fault of structure.
    DamageError
        If folders, or ends of names, contradict names.
    """
    listener(Started(_STAGE, total_bytes=sum(tar.source.size for tar in tars)))
    columns = _Columns()
    ends: list[int] = []
    points: list[bytes] = []
    for number, found in enumerate(_walked(tars)):
        for piece, digests in found.pieces(listener):
            columns.add(number, tars[number], piece, digests)
        if len(tars) > 1:
            tars[number].source.close()  # a process may not have a thousand files open
        ends.append(found.end)
        points.append(found.points)
        listener(Advanced(_STAGE, bytes=0 if found.tar.form else found.tar.source.size))
    listener(Finished(_STAGE))
    columns.refuse_contradictions()
    return Gathered(tuple(tars), tuple(ends), tuple(points), tuple(columns.folders), columns.table())


def _walked(tars: Sequence[Tar]) -> Iterator[_Plain | _Packed]:
    """Yield each tar, ready to be gathered; small plain ones are walked some at a time, ahead."""
    if len(tars) == 1 or any(tar.form for tar in tars):
        yield from (_Packed(tar) if tar.form else _Plain(tar) for tar in tars)
        return
    together = max(_TOGETHER, tars[0].source.at_once)
    with ThreadPoolExecutor(together) as pool:
        for start in range(0, len(tars), together):
            yield from pool.map(_Plain.walked, tars[start : start + together])


@dataclass
class _Plain:
    """A tar that is not compressed."""

    tar: Tar
    ready: list[Piece] | None = None
    points: bytes = b""

    @classmethod
    def walked(cls, tar: Tar) -> _Plain:
        """Return a tar that was walked: one of a class, which is small."""
        return cls(tar, list(pieces(tar.source, Extent(0, tar.source.size))))

    @property
    def end(self) -> int:
        return self.tar.source.size

    def pieces(self, listener: Listener) -> Iterator[tuple[Piece, None]]:
        """Yield its files, those of tars within it too."""
        source = self.tar.source
        for piece in self.ready or pieces(source, Extent(0, source.size)):
            listener(Advanced(_STAGE, images=len(piece.paths)))
            yield piece, None
            for row in _rows(pc.match_substring_regex(piece.paths, INNER)):
                path, start = piece.paths[row].as_py(), int(piece.offsets[row])
                inner = Piece.of(walk(source, Extent(start, start + int(piece.sizes[row]), path)))
                yield Piece(_below(path, inner.paths), inner.offsets, inner.sizes), None


class _Packed:
    """A compressed tar: read once from front to back, its images digested as they pass."""

    def __init__(self, tar: Tar) -> None:
        self.tar = tar
        self.end = 0
        self.points = b""

    def pieces(self, listener: Listener) -> Iterator[tuple[Piece, bytes]]:
        """Yield its files, those of tars within it too, and their digests: zeros for a file that is no image."""
        front = _Front(self.tar.source, sweep(self.tar.source, self.tar.form))
        try:
            outer = Walk(front, Extent(0, _ENDLESS), is_other)
            for piece, digests in self._walk(outer, front, ""):
                listener(Advanced(_STAGE, images=len(piece.paths), bytes=front.moved()))
                yield piece, digests
            self.end = front.prove_end(outer.position)
            self.points = front.sweep.points()
        finally:
            front.sweep.close()

    def _walk(self, way: Walk, front: _Front, inner: str) -> Iterator[tuple[Piece, bytes]]:
        digests: list[bytes] = []
        for _ in way.steps():
            if len(way.names) > len(digests):
                name = way.names[-1]
                extent = Extent(way.offsets[-1], way.offsets[-1] + way.sizes[-1], name)
                digests.append(_digest(front, extent, inner))
                if not inner and _INNER.fullmatch(name):
                    nested = Walk(front, extent, is_other)
                    yield from self._walk(nested, front, name)
                    nested.prove_marker()
            if not way.pending and (way.ended or len(way.headers) >= PIECE):
                piece = Piece.of(way.members())
                if inner:
                    piece = Piece(_below(inner, piece.paths), piece.offsets, piece.sizes)
                yield piece, b"".join(digests)
                digests.clear()


def _digest(front: _Front, extent: Extent, inner: str) -> bytes:
    """Return the digest of an image that passes; zeros for any other file."""
    if not _IMAGE.fullmatch(extent.inner):
        return bytes(WIDTH)
    size, member = extent.stop - extent.start, "/".join(filter(None, (inner, extent.inner)))
    if size > LARGEST_IMAGE:
        raise ArchiveError(
            Code.BAD_HEADER, f"an image of {size:,} bytes", front.path, member=member, offset=extent.start
        )
    try:
        return xxhash.xxh3_128_digest(front.read(extent.start, size))
    except ArchiveError as error:
        raise ArchiveError(error.code, error.detail, front.path, member=member, hint=error.hint) from None


class _Front:
    """What comes out of a sweep, read from front to back as a walk does: a ArchiveSource."""

    def __init__(self, source: ArchiveSource, found: Sweep) -> None:
        self.path: Location = source.path
        self.state: State = source.state
        self.sweep = found
        self._at = 0
        self._said = 0

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`, passing over those before."""
        while self._at < offset:
            step = min(1 << 20, offset - self._at)
            self.sweep.read(self._at, step)
            self._at += step
        data = self.sweep.read(offset, length)
        self._at = offset + length
        return data

    def will_need(self, offset: int, length: int) -> None:
        """Do nothing: a sweep reads ahead by itself."""

    def let_go(self, offset: int, length: int) -> None:
        """Do nothing: nothing is read twice."""

    def moved(self) -> int:
        """Return how far it moved on since the last call, in bytes of what is unpacked."""
        step, self._said = self._at - self._said, self._at
        return step

    def prove_end(self, position: int) -> int:
        """Check that the block of zeros that was read at `position` is not the last, and that only zeros follow.

        Return where they end.
        """
        end = self._at
        for data in self.sweep.rest(end):
            rest = data.lstrip(b"\0")
            if rest:
                place = end + len(data) - len(rest)
                detail = "data follow the end of the archive: more than one archive in one file?"
                raise ArchiveError(
                    Code.TRAILING_DATA, detail, self.path, offset=place, hint="write the archive again"
                )
            end += len(data)
        if end < position + 2 * BLOCK:
            detail = "the archive ends without its end marker: it is cut short"
            raise ArchiveError(
                Code.TRUNCATED_ARCHIVE,
                detail,
                self.path,
                offset=end,
                hint="fetch the archive again, or write it again",
            )
        return end


@dataclass
class _Columns:
    """Columns of images, a piece of a tar at a time."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)
    wrong: int = 0
    first: Issue | None = None

    def add(self, number: int, tar: Tar, piece: Piece, digests: bytes | None) -> None:
        """Add the images among the files of a piece."""
        paths = _below(tar.folder, piece.paths) if tar.folder else piece.paths
        try:
            images = images_among(paths)
        except UnknownImage as fault:
            offset = int(piece.offsets[fault.place])
            member = piece.paths[fault.place].as_py()
            raise ArchiveError(
                fault.code, str(fault), tar.source.path, member=member, offset=offset, hint=fault.hint
            ) from None
        if not len(images.places):
            return
        for row in contradicted(images).tolist():
            self.wrong += 1
            if self.first is None:
                path = piece.paths[int(images.places[row])].as_py()
                labels = f"its name is of {named(int(images.labels[row]))}"
                stated = f"its folder, or the end of its name, says {named(int(images.stated[row]))}"
                self.first = Issue(f"{tar.source.path}: {path}", Code.WRONG_LABEL, f"{labels}; {stated}")
        count = len(images.places)
        columns = [
            pa.array(images.splits),
            pa.array(images.labels),
            images.names,
            pa.array(np.full(count, number, np.int32)),
            self._numbered(images.folders),
            pa.array(piece.offsets[images.places]),
            pa.array(piece.sizes[images.places]),
        ]
        rows = np.frombuffer(digests or bytes(WIDTH * len(piece.paths)), np.uint8).reshape(-1, WIDTH)[images.places]
        buffer = pa.py_buffer(rows.tobytes())
        columns.append(pa.FixedSizeBinaryArray.from_buffers(pa.binary(WIDTH), count, [None, buffer]))
        self.batches.append(pa.RecordBatch.from_arrays(columns, schema=GATHERED))

    def refuse_contradictions(self) -> None:
        """Refuse images that lie in the folder of another class."""
        if self.first is None:
            return
        others = f", and {self.wrong - 1:,} more" if self.wrong > 1 else ""
        hint = "write the archive again from a tree that `ilsvrc check` finds right"
        raise DamageError(
            f"{self.first.key}: {self.first.detail}{others} [{self.first.code}]", [self.first], hint=hint
        )

    def table(self) -> pa.Table:
        """Return all columns."""
        return pa.Table.from_batches(self.batches, GATHERED)

    def _numbered(self, folders: pa.StringArray) -> pa.Int32Array:
        encoded = folders.dictionary_encode()
        values = [self.folders.setdefault(name, len(self.folders)) for name in encoded.dictionary.to_pylist()]
        return pa.array(values, pa.int32()).take(encoded.indices)


def _below(folder: str, paths: pa.StringArray) -> pa.StringArray:
    """Return paths below a folder."""
    return pc.binary_join_element_wise(folder, paths, "/")


def _rows(found: pa.BooleanArray) -> list[int]:
    """Return the rows that are true."""
    return [int(row) for row in pc.indices_nonzero(found).to_pylist()]
