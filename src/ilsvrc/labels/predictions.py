"""Read a model's predictions from a file: CSV, JSON lines, NumPy's npz or Parquet, recognised by content."""

from __future__ import annotations

import csv
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import DataError

NAMES = ("name", "names", "file", "files", "filename", "file_name", "path", "image", "image_id", "ImageId", "key")
VALUES = (
    "prediction", "predictions", "label", "labels", "pred", "preds", "class", "top", "topk", "top5",
    "scores", "logits", "probabilities", "probs", "outputs",
)  # fmt: skip
"""Usual names of the two columns; the first one found is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The contents of a file of predictions.

    names : names of the images
    values : labels, shape (images,); or top-k lists or scores, shape (images, columns)
    """

    names: tuple[str, ...]
    values: npt.NDArray[Any]


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read a file of image names and what a model predicts for each.

    Raises
    ------
    DataError
        If it is no file of predictions; the message says where and why.
    """
    where = Path(path)
    with where.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")
    read = next(reader for magic, reader in _READERS if start.startswith(magic))
    try:
        names, values = read(where)
    except _UNREADABLE as error:
        raise DataError(f"{where}: no file of predictions: {error}", hint=_HINT) from error
    if not names:
        raise DataError(f"{where}: holds no predictions", hint=_HINT)
    if len(names) != len(values):
        raise DataError(f"{where}: {len(names):,} names but {len(values):,} predictions")
    return Predictions(tuple(names), values)


_UNREADABLE = (
    ValueError,
    OverflowError,
    MemoryError,  # an array whose header promises terabytes
    RuntimeError,  # a zip with a password, or packed by a method that Python lacks; lists too deep
    csv.Error,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
)
"""What readers raise for a file that is not what it seems."""

_HINT = "CSV of `name,prediction`, JSON lines of `name` and `prediction`, npz or Parquet with the same names"

_Parts = tuple[Sequence[str], npt.NDArray[Any]]


def _read_csv(path: Path) -> _Parts:
    """Read rows of a name and one or more cells; a first row whose second cell is no label is the header."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [(line, row) for line, row in enumerate(csv.reader(file), 1) if row]
    if rows and len(rows[0][1]) > 1 and not _is_value(rows[0][1][1]):
        del rows[0]
    for line, row in rows:
        if len(row) < 2 or len(row) != len(rows[0][1]):
            raise ValueError(f"line {line} has {len(row)} cells")
    cells = [row[1:] if len(row) > 2 else row[1] for _, row in rows]
    return [row[0] for _, row in rows], _array(cells)


def _is_value(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell[:1] == "n" and cell[1:].isdecimal()
    return True


def _read_json_lines(path: Path) -> _Parts:
    with path.open(encoding="utf-8-sig") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    if len(rows) == 1 and isinstance(rows[0], list):
        rows = rows[0]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no JSON object")
    name, value = _columns(rows[0] if rows else {})
    if any(name not in row for row in rows):
        raise ValueError(f"a line has no {name!r}")
    return [str(row[name]) for row in rows], _array([row.get(value) for row in rows])


def _read_npz(path: Path) -> _Parts:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        name, value = _columns(arrays)
        names, values = arrays[name], arrays[value]
    if not all(isinstance(one, np.ndarray) and one.ndim for one in (names, values)):
        raise ValueError(f"{name} and {value} must be arrays with an entry for each image")
    return [str(one) for one in names], values


def _read_parquet(path: Path) -> _Parts:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    name, value = _columns(dict.fromkeys(table.column_names))
    return [str(n) for n in table[name].to_pylist()], _array(table[value].to_pylist())


def _columns(found: Mapping[str, object]) -> tuple[str, str]:
    """Return which columns hold names and predictions."""
    name = next((n for n in NAMES if n in found), None)
    value = next((v for v in VALUES if v in found), None)
    if name is None or value is None:
        raise ValueError(f"no names and predictions among {', '.join(found) or 'nothing'}")
    return name, value


def _array(values: Iterable[Any]) -> npt.NDArray[Any]:
    """Return cells as whole numbers, else as numbers, else as text."""
    listed = list(values)
    if any(value is None for value in listed):
        raise ValueError(f"prediction {listed.index(None) + 1} is missing")
    array = np.asarray(listed)
    if array.dtype.kind == "O":
        raise ValueError("predictions differ in kind")
    if array.dtype.kind == "U":
        for kind in (np.int64, np.float64):
            try:
                return array.astype(kind)
            except ValueError:
                continue
    return array


_READERS: tuple[tuple[bytes, Callable[[Path], _Parts]], ...] = (
    (b"PK", _read_npz),
    (b"PAR1", _read_parquet),
    (b"{", _read_json_lines),
    (b"[", _read_json_lines),
    (b"", _read_csv),
)
"""The first bytes of a file, and its reader."""
