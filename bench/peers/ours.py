"""Index an archive, or plan its unpacking, with ilsvrc's library and say how long it took.

Usage: ours.py index|plan ARCHIVE
"""

import sys
import time
from pathlib import Path

from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import FileSource
from ilsvrc.readers.archive import ArchiveReader
from ilsvrc.run.plan import Plan
from ilsvrc.sinks.room import Room, need_of
from ilsvrc.tree.layout import Layout, refuse_collisions


def plan(archive: Path) -> None:
    """Decide all that `prepare` decides before it writes."""
    layout = Layout.parse("wnid")
    planned = Plan(ArchiveReader.open(FileSource(archive)), layout)
    refuse_collisions(layout, (path for path, _ in planned.images()))
    need = need_of(planned, planned.units, Room.of(archive.parent).block)
    print(
        f"{len(planned.units):,} units, {len(planned.reader):,} images, {need.bytes:,} bytes, {need.inodes:,} inodes"
    )


def main(what: str, archive: Path) -> None:
    begun = time.perf_counter()
    if what == "plan":
        plan(archive)
    else:
        print(f"{len(open_index(FileSource(archive))):,} images")
    print(f"seconds: {time.perf_counter() - begun}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
