"""Prove the columns of a stored index before they are believed.

An index file may have come with the archive from anywhere. Its own digest finds damage, not forgery: a forger
computes the digest too. So every opening proves, for all rows at once, the same as the walk that builds an index:
names are official ones, which cannot lead out of a folder; labels are those of the names; rows are in catalog order;
images lie within the archive and do not overlap.
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
"""Bytes of a name compared at once, as one number."""

_ROWS = 1 << 14
"""Rows compared at once: few enough that their bytes stay in the processor's cache."""


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

    Starts and ends are sorted separately. If start n + 1 is never before end n, no image begins before the one ahead
    of it has ended. Each is sorted where it lies: every temporary column is 10 MB that a worker may not give back.
    """
    if not len(offsets):
        return True
    if offsets.min() < 0 or sizes.min() < 0 or sizes.max() > size or offsets.max() > size:
        return False
    starts, ends = offsets.copy(), offsets + sizes
    starts.sort()
    ends.sort()
    return bool(ends[-1] <= size and (starts[1:] >= ends[:-1]).all())


def are_named(split: str, names: pa.StringArray, labels: npt.NDArray[np.int16]) -> bool:
    """Whether every name is an official name of its row's label, and rows are in catalog order without repetition."""
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
    """Whether every name is ILSVRC2012_SPLIT_NUMBER.JPEG with a number in range, and the label that of the number."""
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
        All of the same length, with the same number of digits.
    which
        The prefix of each name by its position among `prefixes`, shape (N,).

    Notes
    -----
    Beginnings and endings are compared eight bytes at a time. The bytes between them are then proved to be digits by
    counting the digits in the text of all names. This takes half the time of a regular expression.
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
    """Return the number of bytes that are digits; the text is read in pieces that fit the processor's cache."""
    piece = 1 << 17
    pieces = (text[at : at + piece] for at in range(0, len(text), piece))
    return sum(int(np.count_nonzero(part - np.uint8(ord("0")) < 10)) for part in pieces)  # below "0" wraps around


def are_in_order(names: pa.StringArray, labels: npt.NDArray[np.int16]) -> bool:
    """Whether rows rise by label, then by name, and no row equals the one before it."""
    if (labels[1:] < labels[:-1]).any():
        return False
    rises = pc.less(names.slice(0, len(names) - 1), names.slice(1))
    bits = np.frombuffer(rises.buffers()[1] or b"", np.uint8)
    rising = np.unpackbits(bits, bitorder="little")[rises.offset : rises.offset + len(rises)]
    return bool(((labels[1:] > labels[:-1]) | (rising == 1)).all())
