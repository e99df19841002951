"""Prove the columns of a stored index: what anyone may have written becomes what a walk could have found.

An index file may have come with the archive from anywhere. Its own digest finds damage, but not a forger, who
computes the digest too. So every opening proves of all rows at once what the walk of an archive proves when it builds
an index: names are official ones, which cannot lead out of a folder; labels are those of the names; rows are in
catalog order; images lie within the archive and do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ilsvrc import facts
from ilsvrc.archive.names import LAST_NUMBER, NO_LABEL

Int = npt.NDArray[np.int64]
Text = npt.NDArray[np.uint8]

SUFFIX = b".JPEG"
_WORD = 8
"""Bytes of a name that are compared at once, as one number."""

_ROWS = 1 << 14
"""Rows compared at once: few enough that all of it stays in the processor's cache."""


def text_of(strings: pa.StringArray) -> tuple[npt.NDArray[np.int32], Text]:
    """Return where each string ends, int32, and all their bytes, both counted from the first string."""
    _, ends, data = strings.buffers()
    if not len(strings):
        return np.empty(0, np.int32), np.empty(0, np.uint8)
    bounds = np.frombuffer(ends, np.int32, len(strings) + 1, strings.offset * 4)
    text = np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]]
    return bounds[1:] - bounds[0], text


def lie_apart(offsets: Int, sizes: Int, size: int) -> bool:
    """Whether images of these extents lie within an archive of `size` bytes, and no two of them share a byte.

    Where each one, in order of its start, begins after the one before it in order of their ends, never two are begun
    at once.
    """
    if not len(offsets):
        return True
    if offsets.min() < 0 or sizes.min() < 0 or sizes.max() > size or offsets.max() > size:
        return False
    ends = np.sort(offsets + sizes)
    return bool(ends[-1] <= size and (np.sort(offsets)[1:] >= ends[:-1]).all())


def are_named(split: str, names: pa.StringArray, labels: npt.NDArray[np.int16]) -> bool:
    """Whether every name is an official one, of the image's label; and all are in catalog order, each there once."""
    if not len(labels):
        return True
    if split == "train":
        right = _are_train(names, labels)
    else:
        right = split in LAST_NUMBER and _are_flat(split, names, labels)
    return right and are_in_order(names, labels)


def _are_train(names: pa.StringArray, labels: npt.NDArray[np.int16]) -> bool:
    """Whether every name is WNID_NUMBER.JPEG, with the wnid of its label."""
    if labels.min() < 0 or labels.max() >= len(facts.classes()):
        return False
    return _are_built(names, [f"{synset.wnid}_".encode() for synset in facts.classes()], labels)


def _are_flat(split: str, names: pa.StringArray, labels: npt.NDArray[np.int16]) -> bool:
    """Whether every name is ILSVRC2012_SPLIT_NUMBER.JPEG, its number in range, and the label that of its number."""
    prefix = f"ILSVRC2012_{split}_"
    if not _are_built(names, [prefix.encode()], np.zeros(len(labels), np.int16)):
        return False
    digits = pc.utf8_ltrim(pc.utf8_slice_codeunits(names, len(prefix), -len(SUFFIX)), "0")
    lengths = pc.binary_length(digits)
    if pc.min(lengths).as_py() < 1 or pc.max(lengths).as_py() > len(str(LAST_NUMBER[split])):
        return False
    numbers = np.array(pc.cast(digits, pa.int64()).to_pylist(), np.int64)
    if numbers.max() > LAST_NUMBER[split] or np.bincount(numbers).max() > 1:
        return False
    return bool((labels == (facts.val_labels()[numbers - 1] if split == "val" else NO_LABEL)).all())


def _are_built(names: pa.StringArray, prefixes: Sequence[bytes], which: npt.NDArray[np.int16]) -> bool:
    """Whether every name is its prefix, then digits, then .JPEG.

    Parameters
    ----------
    names
        N strings.
    prefixes
        All of one length and with as many digits as one another.
    which
        The prefix of each name by its position among `prefixes`, shape (N,).

    Notes
    -----
    Beginnings and endings are compared eight bytes at a time. All bytes between them are digits if the text of all
    names has as many digits as it must have then. This takes half the time of a regular expression.
    """
    length, fixed = len(prefixes[0]), sum(byte in b"0123456789" for byte in prefixes[0])
    stated = np.frombuffer(b"".join(p[at : at + _WORD] for at in (0, length - _WORD) for p in prefixes), "<u8")
    stated = stated.reshape(2, -1)
    suffix, shift = np.uint64(int.from_bytes(SUFFIX, "little")), np.uint64(8 * (_WORD - len(SUFFIX)))
    ends, text = text_of(names)
    shortest = length + len(SUFFIX) + 1
    if len(text) < shortest:
        return False
    words = np.ndarray((len(text) - _WORD + 1,), "<u8", text, strides=(1,))
    begin = 0
    for start in range(0, len(names), _ROWS):
        stops = ends[start : start + _ROWS].astype(np.int64)
        starts = np.concatenate(([begin], stops[:-1]))
        begin = int(stops[-1])
        first, last = stated[:, which[start : start + _ROWS]]
        if not (
            (stops - starts).min() >= shortest
            and (words[starts] == first).all()
            and (words[starts + (length - _WORD)] == last).all()
            and (words[stops - _WORD] >> shift == suffix).all()
        ):
            return False
    return _digits(text) == len(text) - len(names) * (length + len(SUFFIX) - fixed)


def _digits(text: Text) -> int:
    """Return how many bytes are digits, a piece at a time so that pieces stay in the processor's cache."""
    piece = 1 << 17
    pieces = (text[at : at + piece] for at in range(0, len(text), piece))
    return sum(int(np.count_nonzero(some - np.uint8(ord("0")) < 10)) for some in pieces)  # below "0" wraps around


def are_in_order(names: pa.StringArray, labels: npt.NDArray[np.int16]) -> bool:
    """Whether rows rise by label and then by name, none of them equal to the one before."""
    if (labels[1:] < labels[:-1]).any():
        return False
    rises = pc.less(names.slice(0, len(names) - 1), names.slice(1))
    bits = np.frombuffer(rises.buffers()[1] or b"", np.uint8)
    rising = np.unpackbits(bits, bitorder="little")[rises.offset : rises.offset + len(rises)]
    return bool(((labels[1:] > labels[:-1]) | (rising == 1)).all())
