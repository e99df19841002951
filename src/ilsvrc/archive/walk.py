"""Walk common tars fast: tars of plain files with plain names, as the official archives are.

The loop does only what is needed to find the next header. Its assumptions are proved afterwards, for all headers at
once. A tar that does not meet them is walked again by `ilsvrc.archive.tar`, which handles every format and names the
fault.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt

from ilsvrc.archive.apart import InnerWalks, hop_over
from ilsvrc.archive.header import BLOCK
from ilsvrc.archive.hop import Hop
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.archive.tar import Extent, Members
from ilsvrc.archive.tar import walk as walk_with_care

_NAME, _SIZE, _SUM = slice(0, 100), slice(124, 135), slice(148, 154)
_SUM_FIELD = slice(148, 156)
_ENDS_OF_FIELDS = (135, 154, 155)
_KIND, _PREFIX = 156, 345
_POWERS = 8 ** np.arange(5, -1, -1)
_LONGEST_PADDING = 1 << 20

TOGETHER = 64
"""Tars walked at once, and so the reads that a disk gets at a time. Their headers take 40 MB at full scale."""

SLOW = 5e-6
"""Seconds per header above which reads are taken to wait for the disk; from memory a header takes about 1e-6."""

Blocks = npt.NDArray[np.uint8]


def inner_walks(source: ArchiveSource) -> AbstractContextManager[InnerWalks | None]:
    """Return what walks the tars in an archive ahead, while the archive itself is walked; nothing for a file."""
    return InnerWalks(source, _proved) if source.at_once > 1 else nullcontext()


def walk(source: ArchiveSource, extent: Extent, inner: InnerWalks | None = None) -> Members:
    """Return the regular files of the tar at `extent`, having proved its structure as `ilsvrc.archive.tar.walk` does.

    Raises
    ------
    ArchiveError
        The message names archive, member and byte offset of the first fault.
    """
    if inner:
        return _proved(source, extent, hop_over(source, extent, inner))
    return next(walk_all(source, [extent]))


def walk_all(
    source: ArchiveSource,
    extents: Sequence[Extent],
    inner: InnerWalks | None = None,
    *,
    together: int = TOGETHER,
    slow: float = SLOW,
) -> Iterator[Members]:
    """Yield the members of each of many tars, as `walk` returns them.

    The offset of a header is known only once the header before it has been read, so the walk through one tar gives a
    disk one read at a time. Walking many tars together gives it many. Those in a store are walked by threads.

    Parameters
    ----------
    source
        The archive.
    extents
        Where the tars lie in it.
    inner
        Walks them ahead, if the archive lies in a store.
    together
        Tars walked at once.
    slow
        Seconds per header above which reads are announced before they are made.

    Raises
    ------
    ArchiveError
        The message names archive, member and byte offset of the first fault.
    """
    if inner:
        yield from inner.members(extents)
        return
    for start in range(0, len(extents), together):
        batch = extents[start : start + together]
        hops = [Hop(extent.start, extent.stop - BLOCK) for extent in batch]
        _hop_all(source, hops, slow)
        for extent, hop in zip(batch, hops, strict=True):
            yield _proved(source, extent, hop)


def _hop_all(source: ArchiveSource, hops: Sequence[Hop], slow: float) -> None:
    """Advance all walks in turn, one header each, until all have ended.

    When reads wait for the disk, a round of reads is announced before the first of them is made.
    """
    waits = False
    while hops:
        begun = time.perf_counter()
        if waits:
            for hop in hops:
                source.will_need(hop.place, BLOCK)
        going = [hop for hop in hops if hop.step(source.read)]
        waits = time.perf_counter() - begun > slow * len(hops)
        hops = going


def _proved(source: ArchiveSource, extent: Extent, hop: Hop) -> Members:
    """Return the members that a walk found, or those of a careful walk if the tar is not common."""
    return _members(source, extent, hop) or walk_with_care(source, extent)


def _members(source: ArchiveSource, extent: Extent, hop: Hop) -> Members | None:
    """Return the members of a tar of plain files, or None for any other tar."""
    sizes = np.array(hop.sizes, np.int64)
    spans = BLOCK + (sizes + BLOCK - 1) // BLOCK * BLOCK
    end = extent.start + int(spans.sum())
    if not hop.headers or not _ends_at(end, source, extent):
        return None
    blocks = np.frombuffer(b"".join(hop.headers), np.uint8).reshape(-1, BLOCK)
    if not (_are_files(blocks) and _have_plain_names(blocks) and _match_checksums(blocks)):
        return None
    names = np.ascontiguousarray(blocks[:, _NAME]).view("S100").ravel().tolist()
    return Members([name.decode("ascii") for name in names], extent.start + np.cumsum(spans) - spans + BLOCK, sizes)


def _ends_at(end: int, source: ArchiveSource, extent: Extent) -> bool:
    """Whether the rest of the tar, from `end` on, is two or more blocks of zeros."""
    padding = extent.stop - end
    return 2 * BLOCK <= padding <= _LONGEST_PADDING and not source.read(end, padding).strip(b"\0")


def _are_files(blocks: Blocks) -> bool:
    """Whether all are regular files with sizes and checksums in plain octal, and none has a prefix to its name."""
    kinds, ends = blocks[:, _KIND], blocks[:, _ENDS_OF_FIELDS]
    digits = np.hstack([blocks[:, _SIZE], blocks[:, _SUM]]) - np.uint8(ord("0"))  # bytes below "0" wrap around
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
