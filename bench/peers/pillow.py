"""Load every image of a tree with Pillow, one after the other: the check that people write themselves.

Usage: pillow.py TREE
"""

import sys
from pathlib import Path

from PIL import Image


def loads(path: Path) -> bool:
    """Tell whether Pillow decodes an image."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


if __name__ == "__main__":
    paths = sorted(Path(sys.argv[1]).rglob("*.JPEG"))
    print(f"{sum(map(loads, paths)):,} of {len(paths):,} images are whole")
