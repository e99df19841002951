"""Unpack as torchvision.datasets.ImageNet does it: hash the archive, extract it all, then each class, one by one.

Usage: extractall.py ARCHIVE TARGET
"""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path


def main(archive: Path, target: Path) -> None:
    proved = (archive.parent / "MD5SUMS").read_text(encoding="ascii")
    with archive.open("rb") as file:
        if f"{hashlib.file_digest(file, 'md5').hexdigest()}  {archive.name}\n" not in proved:
            sys.exit(f"{archive} is damaged")
    extract(archive, target)
    for inner in sorted(target.glob("*.tar")):
        extract(inner, inner.with_suffix(""))
        inner.unlink()
    subprocess.run(["sync", "-f", target], check=True)  # as torchvision does not, but as what it is compared with


def extract(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
