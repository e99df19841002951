"""The development kit of a miniature: meta.mat and the ground truth, in the real structure."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import MissingExtraError
from ilsvrc.facts import classes, hierarchy, val_labels
from ilsvrc.testing.spec import MiniSpec
from ilsvrc.testing.tarball import Entry, TarWriter

FOLDER = "ILSVRC2012_devkit_t12"

_FIELDS = (
    "ILSVRC2012_ID",
    "WNID",
    "words",
    "gloss",
    "num_children",
    "children",
    "wordnet_height",
    "num_train_images",
)

_MAT_HEADER = b"MATLAB 5.0 MAT-file, Platform: ilsvrc mini, Created on: Thu Jun 14 00:00:00 2012".ljust(116)
"""The first 116 bytes are free text, where scipy puts the time of day; fixed, for the same bytes each time."""

_README = """This is the development kit of a miniature of ILSVRC 2012, written by `ilsvrc mini`.

It has the structure of the genuine ILSVRC2012_devkit_t12, and its synsets, hierarchy and validation ground
truth are the real ones. It differs in this: num_train_images counts the images of the miniature ({classes}
classes of {per_class}), the glosses are empty, wordnet_height is the longest way down to one of the 1000
classes, and the evaluation programs are left out. The miniature's validation archive holds {val_per_class} of
the 50 images of each of its classes.
"""


def devkit_archive(spec: MiniSpec) -> bytes:
    """Return ILSVRC2012_devkit_t12.tar.gz.

    Raises
    ------
    MissingExtraError
        If scipy is not installed.
    """
    return _devkit_archive(spec.classes, spec.per_class, spec.val_per_class)


@lru_cache(maxsize=4)
def _devkit_archive(wanted: int, per_class: int, val_per_class: int) -> bytes:
    """Return the archive for these numbers; kept, 150 kB each, since scipy takes half a second to write one."""
    files = {
        "data/meta.mat": _meta_mat(wanted, per_class),
        "data/ILSVRC2012_validation_ground_truth.txt": _ground_truth(),
        "readme.txt": _README.format(classes=wanted, per_class=per_class, val_per_class=val_per_class).encode(),
    }
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        writer = TarWriter(file)  # type: ignore[arg-type]
        for folder in ("", "data/"):
            writer.add(Entry(f"{FOLDER}/{folder}", kind=tarfile.DIRTYPE), b"")
        for name, data in files.items():
            writer.add(Entry(f"{FOLDER}/{name}"), data)
        writer.close()
    return buffer.getvalue()


def require_scipy() -> None:
    """Raise the error of a devkit that can't be written, before anything else is.

    Raises
    ------
    MissingExtraError
        If scipy is not installed.
    """
    _savemat()


def _ground_truth() -> bytes:
    """Return the devkit id of each of the 50,000 validation images, one per line."""
    devkit_ids = np.array([synset.devkit_id for synset in classes()])
    return "".join(f"{number}\n" for number in devkit_ids[val_labels()]).encode()


def _meta_mat(wanted: int, per_class: int) -> bytes:
    savemat = _savemat()
    synsets = np.empty((len(hierarchy().words), 1), [(name, object) for name in _FIELDS])
    counts = dict.fromkeys(classes().wnids[:wanted], per_class)
    for wnid, number in hierarchy().devkit_ids.items():
        synsets[number - 1, 0] = _row(wnid, counts.get(wnid, 0))
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": synsets}, do_compression=True)
    return _MAT_HEADER + buffer.getvalue()[len(_MAT_HEADER) :]


def _row(wnid: str, train_images: int) -> tuple[object, ...]:
    """Return one synset in the order of _FIELDS."""
    table = hierarchy()
    children = [table.devkit_ids[child] for child in table.children[wnid]]
    return (
        _numbers([table.devkit_ids[wnid]]),
        wnid,
        table.words[wnid],
        "",
        _numbers([len(children)]),
        _numbers(children),
        _numbers([table.height(wnid)]),
        _numbers([train_images]),
    )


def _numbers(values: list[int]) -> npt.NDArray[Any]:
    """Return a row of the narrowest unsigned type, as MATLAB stores whole numbers: shape (1, n)."""
    return np.array([values], np.min_scalar_type(max(values, default=0)))


def _savemat() -> Callable[..., None]:
    try:
        from scipy.io import savemat
    except ImportError as error:
        raise MissingExtraError("scipy", "devkit") from error
    return savemat  # type: ignore[no-any-return]
