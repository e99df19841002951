"""Manifests: what is read is what was written, and nothing else is believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ilsvrc.errors import MachineError
from ilsvrc.tree.manifest import SCHEMA, Row, layout_in, metadata_of, read_manifest, table_of, write_manifest

ROWS = (
    Row("train/n01440764/n01440764_5.JPEG", 0, 2_399, bytes(16)),
    Row("train/n01443537/n01443537_2.JPEG", 1, 1_200, bytes(range(16))),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A place for a manifest."""
    folder = tmp_path / ".ilsvrc"
    folder.mkdir()
    return folder / "train.arrow"


def test_what_is_written_is_read(path: Path) -> None:
    write_manifest(table_of(ROWS), path, {"against": "official"})
    table = read_manifest(path)
    assert [Row(**row) for row in table.to_pylist()] == list(ROWS)
    assert metadata_of(table) == {"against": "official"}


def test_manifest_of_no_images_is_read(path: Path) -> None:
    write_manifest(table_of([]), path)
    assert read_manifest(path).num_rows == 0


@pytest.mark.parametrize(
    "bad",
    [
        "../evil.JPEG",
        "train/../../evil.JPEG",
        "/etc/passwd",
        "train//a.JPEG",
        "train/./a.JPEG",
        "train/n01440764/..",
        "train/a.JPEG/",
        "train/a\0b.JPEG",
        "",
        ".",
    ],
)
def test_paths_that_lead_out_of_the_tree_are_refused(path: Path, bad: str) -> None:
    write_manifest(table_of([*ROWS, ROWS[0]._replace(path=bad)]), path)
    with pytest.raises(ValueError, match="not one below the tree"):
        read_manifest(path)


def test_names_that_begin_with_dots_are_no_way_out(path: Path) -> None:
    write_manifest(table_of([ROWS[0]._replace(path="train/...a/..b.JPEG")]), path)
    assert read_manifest(path).num_rows == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (ROWS[0]._replace(size=-1), "size of -1"),
        (ROWS[0]._replace(label=1000), "labels from 0 to 1000"),
        (ROWS[0]._replace(label=-2), "labels from -2"),
    ],
)
def test_values_that_make_no_sense_are_refused(path: Path, row: Row, says: str) -> None:
    write_manifest(table_of([ROWS[0], row]), path)
    with pytest.raises(ValueError, match=says):
        read_manifest(path)


@pytest.mark.parametrize("name", SCHEMA.names)
def test_nulls_are_refused(path: Path, name: str) -> None:
    place = SCHEMA.get_field_index(name)
    table = table_of(ROWS).set_column(place, SCHEMA.field(place), pa.nulls(len(ROWS), SCHEMA.field(place).type))
    write_manifest(table, path)
    with pytest.raises(ValueError, match=f"2 rows without {name}"):
        read_manifest(path)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"path": ["train/a.JPEG"], "size": [1]}),
        pa.table({"path": [1], "label": [1], "size": ["1"], "xxh3_128": [b"x"]}),
        pa.table({"nested": [[{"a": 1}]]}),
    ],
    ids=["columns-missing", "other-types", "nested"],
)
def test_other_tables_are_refused(path: Path, table: pa.Table) -> None:
    write_manifest(table, path)
    with pytest.raises(ValueError, match="is no manifest"):
        read_manifest(path)


def link(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere.arrow"
    write_manifest(table_of(ROWS), elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("occupy", [link, os.mkfifo, Path.mkdir])
def test_link_pipe_and_folder_are_refused_and_never_waited_for(path: Path, occupy: Callable[[Path], None]) -> None:
    occupy(path)
    with pytest.raises(MachineError) as caught:
        read_manifest(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_missing_manifest_is_told_from_a_damaged_one(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_manifest(path)
    path.touch()
    with pytest.raises(ValueError, match="empty"):
        read_manifest(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_give_rows_that_make_sense_or_a_clear_refusal(path: Path, data: st.DataObject) -> None:
    write_manifest(table_of(ROWS), path)
    damaged = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=5)):
        damaged[place] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        table = read_manifest(path)
    except (ValueError, OSError):
        return
    assert all(row["size"] >= 0 and row["path"] for row in table.to_pylist())


@pytest.mark.parametrize(
    "settings_text",
    ["", "nonsense", "[]", "3", '{"layout": 3}', '{"layout": "../{name}"}', '{"layout": "\\ud800"}', "[" * 100_000],
)
def test_settings_of_any_shape_tell_no_layout(settings_text: str) -> None:
    assert layout_in(table_of(ROWS).replace_schema_metadata({"settings": settings_text})) is None


def test_metadata_that_is_no_text_is_no_error() -> None:
    assert metadata_of(table_of(ROWS).replace_schema_metadata({b"\xff": b"\xfe"})) == {"\ufffd": "\ufffd"}
