"""Write the image archives of a miniature: threads encode pictures ahead of one sequential writer."""

from __future__ import annotations

import gzip
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator
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

T = TypeVar("T")


class ArchiveWriter:
    """Writes archives of any size in a few megabytes of memory; `images` counts the files written into them."""

    def __init__(self, pool: Executor, listener: Listener) -> None:
        self._pool = pool
        self._listener = listener
        self.images = 0

    def train(self, path: Path, inner_tars: Iterable[InnerTar]) -> None:
        """Write a tar of tars; an inner tar without members is left out."""
        entries = ((inner, entry) for inner in inner_tars for entry in inner.entries)
        with path.open("wb") as file:
            outer = TarWriter(file)
            for inner, members in groupby(self._ahead(entries), key=itemgetter(0)):
                with outer.nested(inner.name), _compressed(file, inner.gzipped) as target:
                    self._fill(target, members)
            outer.close()

    def flat(self, path: Path, entries: Iterable[Entry]) -> None:
        """Write a flat tar, as those of val and test are."""
        with path.open("wb") as file:
            self._fill(file, self._ahead((None, entry) for entry in entries))

    def _fill(self, file: BinaryIO, members: Iterable[tuple[object, Entry, bytes]]) -> None:
        writer = TarWriter(file)
        for _, entry, data in members:
            writer.add(entry, data)
            if entry.kind == tarfile.REGTYPE:
                self.images += 1
                self._listener(Advanced(STAGE, bytes=len(data), images=1))
        writer.close()

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
def _compressed(file: BinaryIO, wanted: bool) -> Iterator[BinaryIO]:
    if not wanted:
        yield file
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as target:
        yield cast("BinaryIO", target)
