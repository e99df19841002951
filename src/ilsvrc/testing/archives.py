"""Write the archives and folders of a miniature: threads encode pictures ahead of one sequential writer."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from ilsvrc.events import Advanced, Listener
from ilsvrc.testing.contents import InnerTar
from ilsvrc.testing.tarball import Entry, TarWriter

STAGE = "mini"
_AHEAD = 64
"""Images encoded and not yet written: enough to keep the threads busy, few enough to stay small."""
_ZIP_DATE = (2012, 6, 14, 0, 0, 0)
"""The same day as in tars; fixed, so that the same seed gives the same archives."""

T = TypeVar("T")


class ArchiveWriter:
    """Writes archives and folders of any size in a few megabytes of memory.

    `images` counts the image files that were written; `places` has, of each watched image, the file that holds it
    and its member's name there.

    Parameters
    ----------
    pool
        Makes the payloads.
    listener
        Takes the progress.
    watched
        Official names of the images whose places are noted.
    """

    def __init__(self, pool: Executor, listener: Listener, watched: Collection[str] = ()) -> None:
        self._pool = pool
        self._listener = listener
        self._watched = frozenset(watched)
        self.images = 0
        self.places: dict[str, tuple[Path, str]] = {}

    def train(self, path: Path, inner_tars: Iterable[InnerTar]) -> None:
        """Write a tar of tars; an inner tar without members is left out."""
        entries = ((inner, entry) for inner in inner_tars for entry in inner.entries)
        with path.open("wb") as file:
            outer = TarWriter(file)
            for inner, members in groupby(self._ahead(entries), key=itemgetter(0)):
                with outer.nested(inner.name), _compressed(file, inner.gzipped) as target:
                    self._fill(target, ((entry, data) for _, entry, data in members), path, f"{inner.name}/")
            outer.close()

    def flat(self, path: Path, entries: Iterable[Entry], *, gzipped: bool = False) -> None:
        """Write one tar, as those of val and test are; fast rather than small where it is gzipped."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file, _compressed(file, gzipped, level=1) as target:
            self._fill(target, self._payloads(entries), path, "")

    def folder(self, root: Path, entries: Iterable[Entry]) -> None:
        """Write files and folders by their names below a folder."""
        for entry, data in self._payloads(entries):
            path = root / entry.name
            if entry.kind == tarfile.DIRTYPE:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self._count(entry, data, path, "")

    def zip(self, path: Path, entries: Iterable[Entry], *, deflated: bool) -> None:
        """Write a zip of files, without members for their folders."""
        method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", method, compresslevel=1 if deflated else None) as archive:
            for entry, data in self._payloads(entries):
                member = zipfile.ZipInfo(entry.name, _ZIP_DATE)
                member.compress_type, member.create_system, member.external_attr = method, 3, 0o100644 << 16
                archive.writestr(member, data)
                self._count(entry, data, path, entry.name)

    def rows(self, path: Path, entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes]]:
        """Yield entries with their payloads for a caller that writes them to a file of another kind."""
        for entry, data in self._payloads(entries):
            self._count(entry, data, path, entry.name)
            yield entry, data

    def _fill(self, file: BinaryIO, members: Iterable[tuple[Entry, bytes]], path: Path, prefix: str) -> None:
        writer = TarWriter(file)
        for entry, data in members:
            writer.add(entry, data)
            self._count(entry, data, path, prefix + entry.name)
        writer.close()

    def _count(self, entry: Entry, data: bytes, path: Path, member: str) -> None:
        if entry.kind != tarfile.REGTYPE or not entry.name.endswith(".JPEG"):
            return
        image = entry.image or entry.name.rpartition("/")[2]
        if image in self._watched:
            self.places[image] = path, member
        self.images += 1
        self._listener(Advanced(STAGE, bytes=len(data), images=1))

    def _payloads(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes]]:
        for _, entry, data in self._ahead((None, entry) for entry in entries):
            yield entry, data

    def _ahead(self, entries: Iterable[tuple[T, Entry]]) -> Iterator[tuple[T, Entry, bytes]]:
        """Yield each entry with its payload, in order, while the pool works on the next ones."""
        waiting: deque[tuple[T, Entry, Future[bytes]]] = deque()
        for owner, entry in entries:
            waiting.append((owner, entry, self._pool.submit(entry.payload)))
            if len(waiting) > _AHEAD:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())


def _result(owner: T, entry: Entry, payload: Future[bytes]) -> tuple[T, Entry, bytes]:
    return owner, entry, payload.result()


@contextmanager
def _compressed(file: BinaryIO, wanted: bool, level: int = 9) -> Iterator[BinaryIO]:
    if not wanted:
        yield file
        return
    with gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=file, mtime=0) as target:
        yield cast("BinaryIO", target)
