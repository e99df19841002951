"""SquashFS: one read-only file system per split, which a cluster's nodes mount as one large file.

`sqfstar` of squashfs-tools writes it from a tar stream (https://github.com/plougher/squashfs-tools, USAGE-SQFSTAR).
The form: https://docs.kernel.org/filesystems/squashfs.html and https://dr-emann.github.io/squashfs/.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ilsvrc import facts
from ilsvrc.errors import MachineError
from ilsvrc.readers.reader import Int
from ilsvrc.readers.units import Sample
from ilsvrc.sinks.formats.base import Placed, Plain, ShardFile, Written, images_in, spool

PROGRAM = "sqfstar"
_SUPERBLOCK = 96
"""Bytes before the data: no compressor has options, so nothing else precedes it."""

_STORED = ("-noI", "-noId", "-noD", "-noF", "-noX", "-no-fragments", "-no-tailends", "-no-sparse", "-no-duplicates")
"""Nothing is compressed, packed together, left out or shared: data lies in the order of the stream, without gaps."""

_SAME = ("-no-xattrs", "-mkfs-time", "0", "-all-time", "0", "-root-mode", "0755", "-root-uid", "0", "-root-gid", "0")
"""The same images give the same bytes."""

_LEAN = ("-processors", "1", "-mem", "64M", "-quiet", "-no-progress")
"""Without compression there is nothing for more processors to do; the default is a quarter of the memory."""

_RECORD = 10_240
_BUFFER = _PIECE = 1 << 20
_TIME = "SOURCE_DATE_EPOCH"
"""A variable that sqfstar takes times from; it refuses to be told them twice."""


@dataclass(frozen=True, slots=True)
class SquashFs(Plain):
    """One file for each split, `{split}.squashfs`; in it class folders, `n01440764/n01440764_10026.JPEG`, test flat.

    Mounted at DATA/train, a split is the tree that ImageFolder reads. The data of the images lies in the shuffled
    order, so that a program that reads in this order reads the file from its beginning to its end.
    """

    name: ClassVar[str] = "squashfs"
    shard_size: ClassVar[int] = 500_000_000
    whole: ClassVar[bool] = True

    def path(self, split: str, number: int, count: int) -> str:  # noqa: ARG002
        """Return `train.squashfs`."""
        return f"{split}.squashfs"

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:  # noqa: ARG002
        """Write the images of a piece one after the other."""
        return spool(file, samples)

    def assemble(self, file: ShardFile, pieces: Sequence[Path], table: pa.Table, split: str) -> Int:  # noqa: ARG002
        """Write the file system of a split, then prove that the images lie in it where they should.

        Raises
        ------
        MachineError
            If sqfstar fails, or laid the images out in another way.
        """
        sizes = table.column("size").to_numpy()
        wanted = xxhash.xxh3_128()
        with _sqfstar(file.path) as stream:
            _write(stream, table, pieces, wanted)
        file.written_elsewhere(_proved(file.path, int(sizes.sum()), wanted.digest()))
        return np.asarray(_SUPERBLOCK + np.cumsum(sizes) - sizes, np.int64)

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:  # noqa: ARG002
        """Return nothing: a file system is all that is needed."""
        return {}


def _write(stream: IO[bytes], table: pa.Table, pieces: Sequence[Path], hashed: xxhash.xxh3_128) -> None:
    """Write a tar of class folders and images; add the bytes of the images to `hashed`."""
    wnids = [synset.wnid for synset in facts.classes()]
    for label in sorted(pc.unique(table.column("label")).to_pylist()):
        if label >= 0:
            stream.write(_header(wnids[label], folder=True))
    for (path, label), data in zip(_names(table), images_in(pieces, table), strict=True):
        name = path.rpartition("/")[2]
        stream.write(_header(f"{wnids[label]}/{name}" if label >= 0 else name, len(data)))
        stream.write(data)
        stream.write(bytes(-len(data) % tarfile.BLOCKSIZE))
        hashed.update(data)
    stream.write(bytes(_RECORD))


def _names(table: pa.Table) -> Iterator[tuple[str, int]]:
    """Yield path and label of each image of a manifest."""
    for batch in table.select(["path", "label"]).to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _header(name: str, size: int = 0, *, folder: bool = False) -> bytes:
    """Return the header of a member of root, of no time."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type = size, 0o755 if folder else 0o644, tarfile.DIRTYPE if folder else tarfile.REGTYPE
    return info.tobuf(tarfile.USTAR_FORMAT)


@contextlib.contextmanager
def _sqfstar(path: Path) -> Iterator[IO[bytes]]:
    """Run sqfstar; what is written to the stream, a tar, becomes the file system.

    Raises
    ------
    MachineError
        If it fails, with its own words.
    OSError
        If there is no space left.
    """
    command = [PROGRAM, *_STORED, *_SAME, *_LEAN, "-exit-on-error", "-force", str(path)]
    clean = {key: value for key, value in os.environ.items() if key != _TIME}
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(  # noqa: S603  -- without a shell; its path is ours
            command,
            stdin=subprocess.PIPE,
            stdout=told,
            stderr=told,
            env=clean,
            bufsize=_BUFFER,
            restore_signals=False,  # a limit on file sizes is an error of a write, with words, not a signal
            process_group=0,  # an interrupt from the keyboard reaches us alone, and we end it
        )
        assert process.stdin
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended early; its status says so
                yield process.stdin
                process.stdin.close()
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        if status:
            told.seek(0)
            raise _failed(told.read().decode(errors="replace"), status, path)


def _failed(told: str, status: int, path: Path) -> Exception:
    """Return the error for a run of sqfstar that ended with a status other than 0."""
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        if os.strerror(code) in told:
            return OSError(code, os.strerror(code), str(path))
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    said = lines[-1] if lines else f"it ended with status {status}"
    return MachineError(f"{PROGRAM} failed: {said}", hint="run the same command again: the images are staged")


def _proved(path: Path, bytes_of_images: int, wanted: bytes) -> tuple[int, str]:
    """Return size and xxh3_128 of the file system, once its data is seen to be the images, one after the other.

    Raises
    ------
    MachineError
        If it is not.
    """
    whole, data, left, size = xxhash.xxh3_128(), xxhash.xxh3_128(), bytes_of_images, _SUPERBLOCK
    with path.open("rb", buffering=0) as file:
        whole.update(file.read(_SUPERBLOCK))
        while piece := file.read(_PIECE):
            whole.update(piece)
            data.update(memoryview(piece)[:left])
            left -= min(left, len(piece))
            size += len(piece)
    if data.digest() != wanted:
        detail = f"{path}: {PROGRAM} did not lay the images out one after the other, as versions 4.5 and 4.6 do"
        raise MachineError(detail, hint="nothing was published; use one of these versions, or another --format")
    return size, whole.hexdigest()
