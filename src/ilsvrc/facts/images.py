"""Facts about single images: validation labels, anomalies, the blacklist."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ilsvrc.facts.tables import read_bytes, read_rows
from ilsvrc.issues import Code

_CODES = {"png": Code.PNG, "cmyk": Code.CMYK, "bad_exif": Code.BAD_EXIF}


@cache
def val_labels() -> npt.NDArray[np.int16]:
    """Return the label of every validation image: shape (50000,), int16 indices, read-only.

    The label of ILSVRC2012_val_NNNNNNNN.JPEG is at position NNNNNNNN - 1. From the genuine devkit's
    ILSVRC2012_validation_ground_truth.txt, its devkit ids turned into indices.
    """
    labels = np.frombuffer(read_bytes("val_labels.u16le"), "<u2").astype(np.int16)
    labels.flags.writeable = False
    return labels


@cache
def anomalies() -> dict[str, Code]:
    """Return the published images that are not plain RGB JPEG files, by name: png, cmyk or bad-exif."""
    return {row["name"]: _CODES[row["kind"]] for row in read_rows("anomalies.tsv")}


@cache
def val_blacklist() -> frozenset[int]:
    """Return the numbers (1 to 50000) of the 1,762 validation images that ILSVRC 2014 CLS-LOC left out."""
    return frozenset(map(int, read_bytes("clsloc_val_blacklist.txt").split()))
