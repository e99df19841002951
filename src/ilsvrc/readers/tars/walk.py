"""Walk a tar of a million members in pieces, so that memory stays flat.

A piece of plain headers is proved and read as one array. A piece with anything else in it, such as pax headers or
long names, is walked again with care, by `ilsvrc.archive.tar`.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc.archive.header import BLOCK, checksum_faults
from ilsvrc.archive.source import ByteSource
from ilsvrc.archive.tar import APPLE_DOUBLE, Extent, Members, Walk
from ilsvrc.errors import ArchiveError
from ilsvrc.readers.tars.names import IMAGE, INNER

PIECE = 1 << 14
"""Headers walked at a time: 8 MB of them."""

AHEAD = 64 << 20
"""Bytes of an archive at least for each place from which headers are read ahead."""

THREADS = 32
"""Places from which headers are read ahead."""

_SLOW = 2e-5
"""Seconds a header from which on reads are taken to wait for a disk; from memory a member takes about 5e-6."""

_NAME, _SIZE, _SUM = slice(0, 100), slice(124, 135), slice(148, 154)
_SUM_FIELD = slice(148, 156)
_ENDS_OF_FIELDS = (135, 154, 155)
_KIND, _PREFIX = 156, 345
_DIGITS_OF_SIZE = 8 ** np.arange(10, -1, -1, dtype=np.int64)
_DIGITS_OF_SUM = 8 ** np.arange(5, -1, -1, dtype=np.int64)
_OURS = re.compile(f"{IMAGE}|{INNER}".replace("(?P<", "(?P<_"))
_ODD = r"^/|(?:^|/)\.{1,2}(?:/|$)|//"

Blocks = npt.NDArray[np.uint8]
Int = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some regular files of a tar, in archive order.

    paths : member names without leading ./, N strings
    offsets : first byte of each one's data, shape (N,), int64
    sizes : bytes, shape (N,), int64
    """

    paths: pa.StringArray
    offsets: Int
    sizes: Int

    @classmethod
    def of(cls, members: Members) -> Piece:
        """Return members as columns; what is no UTF-8 in a name is escaped, since no name of ours has any."""
        texts = [name.encode("utf-8", "backslashreplace") for name in members.names]
        return cls(pa.array(texts, pa.binary()).cast(pa.string()), members.offsets, members.sizes)


def is_other(name: str) -> bool:
    """Whether a member is none of ours by its name, so that it matters to nobody if it is a link, or unsafe."""
    return _OURS.fullmatch(name) is None


def pieces(source: ByteSource, extent: Extent) -> Iterator[Piece]:
    """Yield the regular files of a tar, having proved its structure as `ilsvrc.archive.tar.walk` does.

    Members of other kinds are passed over if no name of ours stands for them.

    Raises
    ------
    ArchiveError
        Naming archive, member and byte offset of the first fault.
    """
    walk = Walk(source, extent, is_other)
    with _Ahead(source, extent) as ahead:
        while not walk.ended:
            position, begun = walk.position, time.perf_counter()
            piece = None if walk.shared else _plain_piece(walk)
            found = piece if piece is not None else Piece.of(_careful_piece(walk))
            if walk.position - position > AHEAD and time.perf_counter() - begun > _SLOW * PIECE:
                ahead.begin(walk.position)
            yield found
        walk.prove_marker()


class _Ahead:
    """Reads headers ahead of a walk that waits for the disk, from many places at once, so that they are in memory.

    Where a header lies is known only when the one before it was read: a disk serves one read at a time. From any
    place of the archive on, a header can be searched for, and followed to the next place. It may be a false one, as
    where an image has a tar in it: nothing but the walk itself is believed.
    """

    def __init__(self, source: ByteSource, extent: Extent) -> None:
        self._source = source
        self._extent = extent
        self._halt = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> _Ahead:
        return self

    def __exit__(self, *error: object) -> None:
        self._halt.set()
        for thread in self._threads:
            thread.join()

    def begin(self, position: int) -> None:
        """Begin to read ahead of a position, if that was not begun before."""
        if self._threads:
            return
        step = max(AHEAD, (self._extent.stop - position) // THREADS) // BLOCK * BLOCK
        for start in range(position, self._extent.stop, step):
            stop = min(start + step, self._extent.stop)
            self._threads.append(threading.Thread(target=self._go, args=(start, stop), daemon=True))
            self._threads[-1].start()

    def _go(self, start: int, stop: int) -> None:
        """Read the headers from one place to another."""
        with contextlib.suppress(ArchiveError, OSError, ValueError):  # the walk says what is wrong
            place = _header_after(self._source, start, stop)
            while place + BLOCK <= stop and not self._halt.is_set():
                size = int(self._source.read(place, BLOCK)[_SIZE], 8)
                place += BLOCK + (size + BLOCK - 1 & -BLOCK)


def _header_after(source: ByteSource, start: int, stop: int) -> int:
    """Return where the first header is from a place on, or `stop`."""
    for place in range(start, stop, 1 << 20):
        data = source.read(place, min(1 << 20, stop - place) // BLOCK * BLOCK)
        blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK)
        likely = blocks[:, 257:262] == np.frombuffer(b"ustar", np.uint8)
        for row in np.flatnonzero(likely.all(1)).tolist():
            if not checksum_faults([blocks[row].tobytes()]).size:
                return place + int(row) * BLOCK
    return stop


def _careful_piece(walk: Walk) -> Members:
    """Walk some headers of any format; stop between two members."""
    for _ in walk.steps():
        if len(walk.headers) >= PIECE and not walk.pending:
            break
    return walk.members()


def _plain_piece(walk: Walk) -> Piece | None:
    """Return the files of the next headers and move on; None if one of them takes care."""
    headers = _hop(walk.source, walk.position, walk.extent.stop)
    if len(headers) <= PIECE >> 4:  # too few to be worth it, or none
        return None
    blocks = np.frombuffer(b"".join(headers), np.uint8).reshape(-1, BLOCK)
    if not (_are_plain(blocks) and _match_checksums(blocks)):
        return None
    sizes = (blocks[:, _SIZE].astype(np.int64) - ord("0")) @ _DIGITS_OF_SIZE
    spans = BLOCK + (sizes + BLOCK - 1) // BLOCK * BLOCK
    if walk.position + int(spans.sum()) > walk.extent.stop:
        return None
    paths = _strings(blocks[:, _NAME])
    if pc.any(pc.match_substring_regex(paths, _ODD)).as_py():
        return None
    offsets = walk.position + np.cumsum(spans) - spans + BLOCK
    walk.position = walk.begun = walk.position + int(spans.sum())
    kept = (blocks[:, _KIND] != ord("5")) & ~_are_apple_doubles(paths)
    if kept.all():
        return Piece(paths, offsets, sizes)
    rows = np.flatnonzero(kept)
    return Piece(paths.take(pa.array(rows)), offsets[rows], sizes[rows])


def _hop(source: ByteSource, place: int, stop: int) -> list[bytes]:
    """Return the next headers, up to one that states no size, as the zeros at the end do not."""
    headers: list[bytes] = []
    read, last = source.read, stop - BLOCK
    while place <= last and len(headers) < PIECE:
        header = read(place, BLOCK)
        try:
            size = int(header[_SIZE], 8)
        except ValueError:
            break
        if size < 0:
            break
        headers.append(header)
        place += BLOCK + (size + BLOCK - 1 & -BLOCK)
    return headers


def _are_plain(blocks: Blocks) -> bool:
    """Whether all are files and empty folders with ASCII names of up to 100 bytes and numbers in plain octal."""
    kinds, ends, names = blocks[:, _KIND], blocks[:, _ENDS_OF_FIELDS], blocks[:, _NAME]
    digits = np.hstack([blocks[:, _SIZE], blocks[:, _SUM]]) - np.uint8(ord("0"))  # what is below "0" wraps around
    filled = names != 0
    folders = kinds == ord("5")
    return bool(
        ((kinds == ord("0")) | folders).all()
        and ((ends == ord(" ")) | (ends == 0)).all()
        and (digits < 8).all()
        and (blocks[folders][:, _SIZE] == ord("0")).all()
        and not blocks[:, _PREFIX].any()
        and (names < 128).all()
        and filled[:, 0].all()
        and (filled[:, 1:] <= filled[:, :-1]).all()
    )


def _match_checksums(blocks: Blocks) -> bool:
    """Whether all checksums hold: the sum of a header's bytes, the field itself taken as eight spaces."""
    sums = blocks.sum(1, dtype=np.int64) - blocks[:, _SUM_FIELD].sum(1, dtype=np.int64) + 8 * ord(" ")
    return bool(((blocks[:, _SUM].astype(np.int64) - ord("0")) @ _DIGITS_OF_SUM == sums).all())


def _strings(names: Blocks) -> pa.StringArray:
    """Return names that are filled up with zeros as strings, without leading ./ of each."""
    filled = names != 0
    ends = np.cumsum(filled.sum(1), dtype=np.int32)
    buffers = [None, pa.py_buffer(np.append(np.int32(0), ends)), pa.py_buffer(names[filled])]
    paths = pa.StringArray.from_buffers(len(names), buffers[1], buffers[2])
    dotted = bool((names[:, :2] == np.frombuffer(b"./", np.uint8)).all(1).any())
    return pc.replace_substring_regex(paths, r"^(?:\./)+", "") if dotted else paths


def _are_apple_doubles(paths: pa.StringArray) -> npt.NDArray[np.bool_]:
    found = pc.match_substring(paths, APPLE_DOUBLE)
    if not pc.any(found).as_py():
        return np.zeros(len(paths), np.bool_)
    rows = [path.rpartition("/")[2].startswith(APPLE_DOUBLE) for path in paths.to_pylist()]
    return np.array(rows, np.bool_)
