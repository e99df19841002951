from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ilsvrc.errors import DataError
from ilsvrc.labels.predictions import read_predictions

NAMES = ["ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000002", "ILSVRC2012_val_00000003"]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("header", ["", "name,prediction\n", "\ufefffile,label\n", "image,pred\r\n"])
def test_csv_with_and_without_header(tmp_path: Path, header: str) -> None:
    found = read_predictions(write(tmp_path / "p", header + "".join(f"{n},{i}\n" for i, n in enumerate(NAMES))))
    assert found.names == tuple(NAMES)
    assert (found.values.tolist(), found.values.dtype.kind) == ([0, 1, 2], "i")


@pytest.mark.parametrize(
    ("cells", "shape", "kind"),
    [
        ("1", (3,), "i"),
        ("n01440764", (3,), "U"),
        ("1,2,3,4,5", (3, 5), "i"),
        ("0.1,0.2", (3, 2), "f"),
        ("1e-3,2", (3, 2), "f"),
    ],
)
def test_csv_of_labels_lists_and_scores(tmp_path: Path, cells: str, shape: tuple[int, ...], kind: str) -> None:
    found = read_predictions(write(tmp_path / "p", "".join(f"{n},{cells}\n" for n in NAMES)))
    assert (found.values.shape, found.values.dtype.kind) == (shape, kind)


@pytest.mark.parametrize("value", [7, "n01440764", [1, 2, 3, 4, 5], [0.5, 0.25]])
@pytest.mark.parametrize("kind", ["jsonl", "json", "npz", "parquet"])
def test_each_format_holds_the_same(tmp_path: Path, kind: str, value: Any) -> None:
    path = tmp_path / "p"
    values = [value] * 3
    rows = [{"file": n, "prediction": v} for n, v in zip(NAMES, values, strict=True)]
    if kind == "jsonl":
        write(path, "\n".join(json.dumps(row) for row in rows))
    elif kind == "json":
        write(path, json.dumps(rows))
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, names=np.array(NAMES), scores=np.array(values))
    else:
        pq.write_table(pa.table({"path": NAMES, "topk": values}), path)
    found = read_predictions(path)
    assert found.names == tuple(NAMES)
    np.testing.assert_array_equal(found.values, np.array(values))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no predictions"),
        ("name,prediction\n", "holds no predictions"),
        ("justaname\n", "line 1 has 1 cells"),
        ("a,1\nb,1,2\n", "line 2 has 3 cells"),
        ('{"a": 1}', "no names and predictions among a"),
        ('{"name": "a", "prediction": 1}\n{"name": "b"}', "prediction 2 is missing"),
        ('{"name": "a", "prediction": 1}\n{"name"', "no file of predictions"),
        ("[1, 2]", "no JSON object"),
        ('[{"name": "a", "top": [1, 2]}, {"name": "b", "top": [1]}]', "no file of predictions"),
        (b"PK\x03\x04 broken", "no file of predictions"),
        (b"PAR1 broken", "no file of predictions"),
        (b"\xff\xfe\x00", "no file of predictions"),
    ],
)
def test_what_is_no_file_of_predictions(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_predictions(write(tmp_path / "p", content))


def test_pickles_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "p"
    with path.open("wb") as file:
        np.savez(file, names=np.array([object()], object), labels=np.array([1]))
    with pytest.raises(DataError, match="no file of predictions"):
        read_predictions(path)


def test_names_and_predictions_must_be_as_many(tmp_path: Path) -> None:
    path = tmp_path / "p"
    with path.open("wb") as file:
        np.savez(file, names=np.array(NAMES), labels=np.array([1, 2]))
    with pytest.raises(DataError, match="3 names but 2 predictions"):
        read_predictions(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text('nab{}[]:,\\n"0123456789.e-+', max_size=60).map(str.encode)))
@example(b"a," + b"9" * 40)
@example(b'{"name": "a", "prediction": ' + b"9" * 40 + b"}")
@example(b'{"name": [], "prediction": {}}')
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    try:
        found = read_predictions(write(tmp_path / "p", content))
    except DataError:
        return
    assert len(found.names) == len(found.values) > 0
    assert found.values.dtype.kind in "iufUb"


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def promising(entries: int) -> bytes:
    """An npz whose header promises more entries than any memory has, and that holds none."""
    file, header = io.BytesIO(), io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (entries,)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("names.npy", header.getvalue())
        archive.writestr("scores.npy", header.getvalue())
    return file.getvalue()


def flagged(bit: int) -> bytes:
    """An npz whose members are said to have a password (bit 0)."""
    data = bytearray(npz(names=np.array(NAMES), scores=np.arange(3)))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := data.find(magic, start)) >= 0:
            data[start + at] |= 1 << bit
            start += 1
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b'"' + b"a" * 200_000 + b"\n",
        b'{"name": "a", "label": 1}\n{"other": "b", "label": 2}\n',
        npz(names=np.array(3), scores=np.array(3)),
        npz(names=np.array(NAMES), scores=np.array(3)),
        promising(10**12),
        flagged(0),
    ],
    ids=["long cell", "no name", "no axis", "no axis of scores", "terabytes", "password"],
)
def test_hostile_files_are_refused_as_no_predictions(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError, match="no file of predictions"):
        read_predictions(write(tmp_path / "p", data))
