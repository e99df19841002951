"""Read the devkit that lies beside the archives."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ilsvrc import facts
from ilsvrc.errors import ArchiveError, MissingExtraError
from ilsvrc.issues import Code

_META = "meta.mat"


def train_counts(devkit: Path) -> npt.NDArray[np.int64]:
    """Return `num_train_images` of every class from a devkit's meta.mat, shape (1000,), int64, by index.

    Raises
    ------
    MissingExtraError
        If scipy is not installed.
    ArchiveError
        If the file is no devkit.
    """
    try:
        import scipy.io
    except ImportError:
        raise MissingExtraError("scipy", "devkit") from None
    counts = np.zeros(len(facts.classes()), np.int64)
    try:
        synsets = scipy.io.loadmat(io.BytesIO(_member(devkit, _META)), squeeze_me=True)["synsets"]
        for row in synsets:
            synset = facts.classes().get(str(row["WNID"]))
            if synset:
                counts[synset.index] = int(row["num_train_images"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _no_devkit(devkit, str(error)) from None
    return counts


def is_genuine(devkit: Path) -> bool:
    """Whether a devkit is the official one, by its size."""
    spec = facts.official(facts.DEVKIT)
    return spec is not None and devkit.stat().st_size == spec.size


def _member(devkit: Path, name: str) -> bytes:
    """Return a file of the devkit by its name in whatever folder."""
    try:
        with tarfile.open(devkit) as archive:
            for member in archive:
                if member.isfile() and member.name.rpartition("/")[2] == name:
                    file = archive.extractfile(member)
                    assert file is not None
                    return file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _no_devkit(devkit, str(error)) from None
    raise _no_devkit(devkit, f"it holds no {name}")


def _no_devkit(devkit: Path, why: str) -> ArchiveError:
    hint = f"fetch {facts.DEVKIT} again, or move it away to go on without"
    return ArchiveError(Code.WRONG_FILE, f"not a devkit: {why}", devkit, hint=hint)
