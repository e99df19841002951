"""Index an archive, or plan its unpacking, with ilsvrc's library and say how long it took.

Usage: ours.py index|plan ARCHIVE
"""

import sys
import time
from pathlib import Path

from ilsvrc.archive.sidecar import open_index
from ilsvrc.archive.source import FileSource
from ilsvrc.prepare.decision import Room, needed, refuse_twins
from ilsvrc.readers.units import Wanted
from ilsvrc.run.plan import Plan
from ilsvrc.tree.layout import Layout


def plan(archive: Path) -> None:
    """Decide all that `prepare` decides before it writes."""
    source = FileSource(archive)
    planned = Plan(source, open_index(source), Wanted(Layout.parse("wnid")))
    refuse_twins(planned)
    size, inodes = needed(planned, (), Room.of(archive.parent).block)
    print(f"{len(planned.units):,} units, {planned.catalog.images:,} images, {size:,} bytes, {inodes:,} inodes")


def main(what: str, archive: Path) -> None:
    begun = time.perf_counter()
    if what == "plan":
        plan(archive)
    else:
        print(f"{len(open_index(FileSource(archive))):,} images")
    print(f"seconds: {time.perf_counter() - begun}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
