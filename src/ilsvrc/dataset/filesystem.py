"""The fsspec filesystem `ilsvrc://`: images of archives or trees as `split/wnid/name`, read-only.

fsspec finds it by its entry point: `fsspec.open("ilsvrc://val/n01751748/ILSVRC2012_val_00000001.JPEG::/data/archives")`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractFileSystem

from ilsvrc.dataset.browse import Browser, Entry
from ilsvrc.errors import UsageError


class IlsvrcFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The images of the data set by path.

    Parameters
    ----------
    root
        A folder of archives, one archive, a tree, or one split's folder.
    fo
        The same, as fsspec names it where it follows `::` in a URL.

    Raises
    ------
    UsageError
        If neither says where the data is.
    """

    protocol = "ilsvrc"
    root_marker = ""

    def __init__(self, root: str | Path | None = None, fo: str | Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        place = root if root is not None else fo
        if place is None:
            hint = 'write ilsvrc://val/...::/data/archives, or give root="/data/archives"'
            raise UsageError("ilsvrc:// does not say where the archives are", hint=hint)
        self.browser = Browser(place)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return what is in a folder, or the one image at a path."""
        found = list(self.browser.entries(self._strip_protocol(path)))
        return [_info(entry) for entry in found] if detail else [entry.path for entry in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size in bytes and type of what is at a path."""
        return _info(self.browser.entry(self._strip_protocol(path)))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return the bytes of an image's file, or a part of them."""
        return self.browser.read(self._strip_protocol(path))[start:end]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.BytesIO:
        if mode != "rb":
            raise UsageError(f"{path}: the archives are read-only")
        return io.BytesIO(self.browser.read(path))


def _info(entry: Entry) -> dict[str, Any]:
    if entry.is_folder:
        return {"name": entry.path, "size": 0, "type": "directory"}
    return {"name": entry.path, "size": entry.size, "type": "file"}
