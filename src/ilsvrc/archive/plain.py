"""Walk the common tar fast: plain files with plain names, as all members of the official archives are.

The loop does just what it takes to find the next header. Whatever it took for granted is proved afterwards, of all
headers at once. A tar that is not so is walked again with care, by `ilsvrc.archive.tar`, which knows every format and
says what is wrong.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ilsvrc.archive.header import BLOCK
from ilsvrc.archive.source import ByteSource
from ilsvrc.archive.tar import Extent, Members
from ilsvrc.archive.tar import walk as walk_with_care

_NAME, _SIZE, _SUM = slice(0, 100), slice(124, 135), slice(148, 154)
_SUM_FIELD = slice(148, 156)
_ENDS_OF_FIELDS = (135, 154, 155)
_KIND, _PREFIX = 156, 345
_POWERS = 8 ** np.arange(5, -1, -1)
_LONGEST_PADDING = 1 << 20

Blocks = npt.NDArray[np.uint8]


def walk(source: ByteSource, extent: Extent) -> Members:
    """Return the regular files of the tar at `extent`, having proved its structure as `ilsvrc.archive.tar.walk` does.

    Raises
    ------
    ArchiveError
        Naming archive, member and byte offset of the first fault.
    """
    return _walk_plain(source, extent) or walk_with_care(source, extent)


def _walk_plain(source: ByteSource, extent: Extent) -> Members | None:
    """Return the members of a tar of plain files, None of any other."""
    headers: list[bytes] = []
    sizes = np.array(_hop(source, extent, headers), np.int64)
    spans = BLOCK + (sizes + BLOCK - 1) // BLOCK * BLOCK
    end = extent.start + int(spans.sum())
    if not headers or not _ends_at(end, source, extent):
        return None
    blocks = np.frombuffer(b"".join(headers), np.uint8).reshape(-1, BLOCK)
    if not (_are_files(blocks) and _have_plain_names(blocks) and _match_checksums(blocks)):
        return None
    names = np.ascontiguousarray(blocks[:, _NAME]).view("S100").ravel().tolist()
    return Members([name.decode("ascii") for name in names], extent.start + np.cumsum(spans) - spans + BLOCK, sizes)


def _hop(source: ByteSource, extent: Extent, headers: list[bytes]) -> list[int]:
    """Go from header to header until one states no size, as the zeros at the end do not; return the sizes."""
    read, place, last, sizes = source.read, extent.start, extent.stop - BLOCK, []
    try:
        while place <= last:
            header = read(place, BLOCK)
            size = int(header[_SIZE], 8)
            if size < 0:
                break
            headers.append(header)
            sizes.append(size)
            place += BLOCK + (size + BLOCK - 1 & -BLOCK)
    except ValueError:
        pass
    return sizes


def _ends_at(end: int, source: ByteSource, extent: Extent) -> bool:
    """Whether there are two blocks of zeros or more from here to the end of the tar, and nothing else."""
    padding = extent.stop - end
    return 2 * BLOCK <= padding <= _LONGEST_PADDING and not source.read(end, padding).strip(b"\0")


def _are_files(blocks: Blocks) -> bool:
    """Whether all are regular files with sizes and checksums in plain octal, and none has a prefix to its name."""
    kinds, ends = blocks[:, _KIND], blocks[:, _ENDS_OF_FIELDS]
    digits = np.hstack([blocks[:, _SIZE], blocks[:, _SUM]]) - np.uint8(ord("0"))  # what is below "0" wraps around
    return bool(
        ((kinds == ord("0")) | (kinds == 0)).all()
        and ((ends == ord(" ")) | (ends == 0)).all()
        and (digits < 8).all()
        and not blocks[:, _PREFIX].any()
    )


def _have_plain_names(blocks: Blocks) -> bool:
    """Whether all names are ASCII, without folders, not empty, not hidden, and filled up with zeros."""
    names = blocks[:, _NAME]
    filled = names != 0
    first = names[:, 0]
    return bool(
        ((names < 128) & (names != ord("/"))).all()
        and ((first != 0) & (first != ord("."))).all()
        and (filled[:, 1:] <= filled[:, :-1]).all()
    )


def _match_checksums(blocks: Blocks) -> bool:
    """Whether all checksums hold: the sum of a header's bytes, the field itself taken as eight spaces."""
    sums = blocks.sum(1, dtype=np.int64) - blocks[:, _SUM_FIELD].sum(1, dtype=np.int64) + 8 * ord(" ")
    return bool(((blocks[:, _SUM].astype(np.int64) - ord("0")) @ _POWERS == sums).all())
