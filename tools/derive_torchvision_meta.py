#!/usr/bin/env python3
"""Derive the packaged meta.bin, which torchvision.datasets.ImageNet wants beside train and val, from the devkit.

Usage: derive_torchvision_meta.py DEVKIT [TARGET]

torchvision itself reads the devkit, whose md5 it checks, and writes the file; TARGET gets its bytes, compressed by
bzip2 (304 KB become 92 KB; xz makes 109 KB of them). Needs torch, torchvision and scipy. TARGET defaults to
src/ilsvrc/facts/data/torchvision_meta.bin.bz2.
"""

from __future__ import annotations

import bz2
import shutil
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src/ilsvrc/facts/data/torchvision_meta.bin.bz2"


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    target = Path(arguments[1]) if len(arguments) > 1 else TARGET
    target.write_bytes(bz2.compress(meta_of(Path(arguments[0])), 9))
    return 0


def meta_of(devkit: Path) -> bytes:
    """Return the meta.bin that torchvision writes for a devkit."""
    from torchvision.datasets import imagenet

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(devkit, folder)
        imagenet.parse_devkit_archive(folder, devkit.name)
        return Path(folder, imagenet.META_FILE).read_bytes()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
