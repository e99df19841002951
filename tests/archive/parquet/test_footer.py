"""Footers, against what pyarrow reads in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ilsvrc.archive.parquet.footer import read_footer
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError
from ilsvrc.issues import Code

TABLE = pa.table(
    {
        "image": pa.array([{"bytes": bytes([i]) * 50, "path": str(i)} for i in range(20)]),
        "label": pa.array(range(20), pa.int64()),
        "boxes": pa.array([[{"x": i}] for i in range(20)]),
        "sure": pa.array([True] * 20),
    },
    pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            pa.field("label", pa.int64(), nullable=False),
            ("boxes", pa.list_(pa.struct([("x", pa.int32())]))),
            ("sure", pa.bool_()),
        ]
    ),
)


@pytest.mark.parametrize(
    "options", [{}, {"row_group_size": 7, "compression": "zstd"}, {"use_dictionary": False, "write_page_index": True}]
)
def test_says_what_pyarrow_says(tmp_path: Path, options: dict[str, Any]) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet", **options)
    theirs, ours = pq.read_metadata(tmp_path / "a.parquet"), read_footer(FileSource(tmp_path / "a.parquet"))
    columns = [theirs.schema.column(i) for i in range(len(theirs.schema))]
    assert [(leaf.path, leaf.deepest, leaf.repeated) for leaf in ours.leaves] == [
        (column.path, column.max_definition_level, column.max_repetition_level > 0) for column in columns
    ]
    assert [group.rows for group in ours.groups] == [
        theirs.row_group(i).num_rows for i in range(theirs.num_row_groups)
    ]
    for number, group in enumerate(ours.groups):
        for place, column in enumerate(columns):
            found, said = group.columns[column.path], theirs.row_group(number).column(place)
            assert (found.plain, found.elsewhere) == (said.total_uncompressed_size, False)
            assert (found.chunk.size, found.chunk.values) == (said.total_compressed_size, said.num_values)
            starts = [said.data_page_offset, said.dictionary_page_offset or said.data_page_offset]
            assert found.chunk.start == min(starts)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: b"", Code.WRONG_FILE),
        (lambda data: b"PK" + data[2:], Code.WRONG_FILE),
        (lambda data: data[:-1], Code.TRUNCATED_ARCHIVE),
        (lambda data: b"PAR1" + b"PAR1", Code.WRONG_FILE),
        (lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1", Code.BAD_HEADER),
        (lambda data: data[:-8] + b"\x00\x00\x00\x00PAR1", Code.BAD_HEADER),
        (lambda data: data[:-8] + b"\x10\x00\x00\x00PAR1", Code.BAD_HEADER),
        (lambda data: data.replace(b"label", b"\xff\xfeabc"), Code.BAD_HEADER),
    ],
)
def test_damaged_footers_are_refused(tmp_path: Path, change: Any, code: Code) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet", store_schema=False)
    path = tmp_path / "a.parquet"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ArchiveError) as caught:
        read_footer(FileSource(path))
    assert caught.value.code == code
    assert str(path) in caught.value.message
