"""What a shard format is, and the file that it writes to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import xxhash

from ilsvrc.readers.units import Sample

_PIECE = 8 << 20
_PARTS = 1024
"""Most parts that one call of the system writes: Linux's IOV_MAX; POSIX promises 16."""


class Placed(NamedTuple):
    """Where an image's bytes lie in its shard.

    sample : the image
    offset : its first byte in the shard; the others follow it, but for headers of blocks: `readers.blocks`
    note : what the tables of a format tell of it besides: `whole.Whole.look`
    """

    sample: Sample
    offset: int
    note: bytes = b""


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard that is written.

    path : below the target's folder
    size : bytes
    digest : xxh3_128 of all of it, in hex
    images : how many it holds
    """

    path: str
    size: int
    digest: str
    images: int


@dataclass(frozen=True, slots=True)
class Written:
    """A split that is written.

    shards : its shards, in order
    bytes : of its images
    """

    shards: Sequence[Shard]
    bytes: int

    @property
    def images(self) -> int:
        """Images in all shards."""
        return sum(shard.images for shard in self.shards)


class Format(Protocol):
    """A form of shards that a training library reads. Pickles; holds its settings and nothing else."""

    @property
    def name(self) -> str:
        """What `--format` calls it."""

    @property
    def shard_size(self) -> int:
        """Bytes of images in a shard, where the user does not say."""

    @property
    def whole(self) -> bool:
        """Whether a split is one file, as of a `whole.Whole`."""

    @property
    def settings(self) -> dict[str, object]:
        """What the user chose of the format, in plain values."""

    def path(self, split: str, number: int, count: int) -> str:
        """Return the path of shard `number` of `count` below the target's folder."""

    def write(self, file: ShardFile, samples: Iterable[Sample], split: str) -> Iterator[Placed]:
        """Write a shard: the same samples give the same bytes, on any machine.

        Parameters
        ----------
        file
            Gets the bytes; it is empty.
        samples
            The images, in their order; they are taken once, and at most a few of them are held at a time.
        split
            Train, val or test.

        Yields
        ------
        Placed
            Every image once, in the order given, by the time the last one is asked for.
        """

    def closing(self, splits: Mapping[str, Written]) -> dict[str, bytes]:
        """Return the small files that make the shards readable, which are written last: by path, their contents.

        Parameters
        ----------
        splits
            All splits that are there, or will be, once these files are.
        """


@runtime_checkable
class Limited(Protocol):
    """A format whose shards have a largest size."""

    @property
    def shard_limit(self) -> int:
        """Most bytes of a shard."""


@runtime_checkable
class Undecoded(Protocol):
    """A format whose reader fails at some kinds of images."""

    @property
    def undecoded(self) -> tuple[str, ...]:
        """Endings of these images."""


class Plain:
    """A format of which the user chooses nothing."""

    __slots__ = ()

    @property
    def settings(self) -> dict[str, object]:
        """Nothing can be chosen."""
        return {}


class ShardFile:
    """A shard while it is written; its digest is computed on the way where nothing is written twice.

    Parameters
    ----------
    fd
        Descriptor of a file, open for reading and writing.
    path
        Its path, for libraries that write files themselves; whoever uses it says so by `written_elsewhere`.
    begin
        Where the first appended byte goes. The digest is that of appended bytes.
    """

    def __init__(self, fd: int, path: Path, begin: int = 0) -> None:
        self.path = path
        self._fd = fd
        self._begin = self._at = begin
        os.lseek(fd, begin, os.SEEK_SET)
        self._hash = xxhash.xxh3_128()
        self._in_order = True
        self._elsewhere: tuple[int, str] | None = None

    def tell(self) -> int:
        """Return where the next appended byte goes."""
        return self._at

    def append(self, *parts: bytes | bytearray) -> int:
        """Append bytes; return where the first of them is."""
        begin, views = self._at, [memoryview(part) for part in parts if part]
        for view in views:
            self._hash.update(view)
        left = sum(view.nbytes for view in views)
        self._at += left
        while left:
            written = self._written(os.writev, self._fd, views[:_PARTS])
            left -= written
            while views and written >= views[0].nbytes:
                written -= views.pop(0).nbytes
            if views:
                views[0] = views[0][written:]
        return begin

    def rewrite(self, offset: int, data: bytes) -> None:
        """Write bytes over those at an offset: a header that tells what came after it."""
        self._in_order = False
        while data:
            written = self._written(os.pwrite, self._fd, data, offset)
            data, offset = data[written:], offset + written

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes that were written."""
        return os.pread(self._fd, size, offset)

    def end(self) -> tuple[int, str]:
        """End the file after the bytes that were appended; return the size of all of it, and its xxh3_128 in hex."""
        os.ftruncate(self._fd, self._at)
        return digest_of(self._fd)

    def _written(self, write: Callable[..., int], *arguments: object) -> int:
        """Write, and name the file if that fails."""
        try:
            return write(*arguments)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def written_elsewhere(self, digest: tuple[int, str] | None = None) -> None:
        """Say that a library or a program wrote the file by its path; give its digest if it is known from a read."""
        self._in_order, self._elsewhere = False, digest
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def digest(self) -> tuple[int, str]:
        """Return the number of bytes, and their xxh3_128 in hex."""
        if self._in_order:
            return self._at - self._begin, self._hash.hexdigest()
        return self._elsewhere or digest_of(self._fd)

    def sync(self) -> None:
        """Make the file survive a power cut."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def digest_of(fd: int, begin: int = 0, size: int | None = None) -> tuple[int, str]:
    """Return the bytes of an open file, or of a range of it, and their xxh3_128 in hex."""
    hashed, at = xxhash.xxh3_128(), begin
    end = os.fstat(fd).st_size if size is None else begin + size
    while data := os.pread(fd, min(_PIECE, end - at), at):
        hashed.update(data)
        at += len(data)
    return at - begin, hashed.hexdigest()
