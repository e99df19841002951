"""Open the archives that a user points to."""

from __future__ import annotations

from pathlib import Path

from ilsvrc.archive.find import find_archives
from ilsvrc.archive.index import Index
from ilsvrc.archive.source import FileSource
from ilsvrc.archive.sidecar import open_index
from ilsvrc.events import Listener, silent


def index(source: Path | str, listener: Listener = silent) -> list[Index]:
    """Return the index of every image archive in a folder, or of the one archive that `source` is.

    An index that is not there yet, or does not fit its archive, is built and stored beside the archive.

    Raises
    ------
    IlsvrcError
        UsageError if there is no archive; ArchiveError naming archive, member and byte offset of a fault.
    """
    archives = find_archives(Path(source), ("train", "val", "test"))
    return [open_index(FileSource(archive), listener) for archive in archives]
