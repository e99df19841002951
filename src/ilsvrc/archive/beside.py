"""Where things about an archive are kept: its index, its digests, that it was verified."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ilsvrc.files import OWN_FOLDER


def folders(archive: Path) -> tuple[Path, Path]:
    """Return where things about an archive are kept: beside it, or else in the user's cache folder."""
    parent = archive.parent.resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return parent / OWN_FOLDER, cache / "ilsvrc" / hashlib.sha256(bytes(parent)).hexdigest()[:16]


def writable_folder(archive: Path) -> Path | None:
    """Return the folder to write to: the user's cache where the archive's own can't be written, or None."""
    for folder in folders(archive):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None
