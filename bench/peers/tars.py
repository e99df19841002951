"""Index a tar of a tree, or sweep a compressed one, with ilsvrc's library and say how long it took.

Usage: tars.py index|sweep TAR
"""

import sys
import time
from pathlib import Path

from ilsvrc.archive.source import FileSource
from ilsvrc.readers.tars.packed import form_of, sweep
from ilsvrc.readers.tars.recognise import open_tar


def unpack(path: Path) -> int:
    """Read a compressed tar from front to back, as indexing does, and return its bytes."""
    source = FileSource(path)
    front = sweep(source, form_of(source.read(0, 8)))
    try:
        return sum(map(len, front.rest(0)))
    finally:
        front.close()


def main(what: str, path: Path) -> None:
    begun = time.perf_counter()
    if what == "sweep":
        print(f"{unpack(path):,} bytes")
    else:
        reader = open_tar(path, "train")
        print(f"{len(reader):,} images, identity {reader.identity}")
    print(f"seconds: {time.perf_counter() - begun}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
