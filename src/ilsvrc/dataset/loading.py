"""Call a loader with the bytes of an image's file, and tell a loader that takes a path what it is given here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ilsvrc.errors import UsageError
from ilsvrc.images.decode import Loader, UndecodableError

_HINT = (
    "leave loader out for torchvision's preset one, whose pixels are the same; else decode the bytes: "
    "Image.open(io.BytesIO(data)), or cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)"
)


def load(loader: Loader, data: bytes) -> Any:
    """Return the image that a loader makes of a file's bytes.

    Raises
    ------
    UsageError
        If the loader takes a path. Loaders of torchvision do; an image in an archive has no path that can be opened.
    """
    try:
        image = loader(data)
    except UndecodableError:
        raise
    except Exception as error:
        if takes_path(loader, data):
            raise _refusal(loader) from error
        raise
    if image is None and takes_path(loader, data):  # cv2.imread raises no error
        raise _refusal(loader)
    return image


def takes_path(loader: Loader, data: bytes) -> bool:
    """Tell whether a loader that failed with the bytes of a file can read the same bytes by the path of a file."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "image.JPEG"
            path.write_bytes(data)
            image = loader(str(path))  # type: ignore[arg-type]
            if hasattr(image, "close"):  # Pillow keeps the file open until the pixels are read
                image.close()
            return image is not None
    except Exception:  # of the loader, or because no temporary file can be written: its first error stands
        return False


def _refusal(loader: Loader) -> UsageError:
    name = getattr(loader, "__qualname__", repr(loader))
    return UsageError(
        f"the loader {name} takes a path, but ImageNet gives it the bytes of an image's file", hint=_HINT
    )
