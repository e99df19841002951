"""Manifests: what is read is what was written, and nothing else is believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ilsvrc.errors import MachineError
from ilsvrc.tree.manifest import (
    SCHEMA,
    SHARDED,
    Row,
    ShardedRow,
    layout_in,
    metadata_of,
    read_manifest,
    table_of,
    write_manifest,
)

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


SHARDED_ROWS = (
    ShardedRow("train/n01440764_5.JPEG", 0, 100, bytes(16), 1, 512, bytes(16)),
    ShardedRow("train/n01443537_2.JPEG", 1, 300, bytes(16), 0, 0, bytes(16)),
)
TOLD = [{"path": f"data/{number}.tar", "size": 2_000, "digest": "0" * 32, "images": 1} for number in range(2)]


def write_sharded(path: Path, told: object = TOLD, row: ShardedRow = SHARDED_ROWS[0], **more: str) -> None:
    metadata = {"format": "webdataset", "shards": told if isinstance(told, str) else json.dumps(told)}
    write_manifest(table_of([row, SHARDED_ROWS[1]], SHARDED), path, metadata | more)


def test_manifest_of_shards_is_read(path: Path) -> None:
    write_sharded(path)
    assert [ShardedRow(**row) for row in read_manifest(path, SHARDED).to_pylist()] == list(SHARDED_ROWS)


@pytest.mark.parametrize("told", ["", "null", "3", "{}", '{"a": 1}', "\xff", "[" * 100_000, '"abc"'])
def test_manifest_whose_shards_are_no_list_is_refused(path: Path, told: str) -> None:
    write_sharded(path, told)
    with pytest.raises(ValueError, match="it names no shards"):
        read_manifest(path, SHARDED)


def test_manifest_of_images_is_none_of_shards(path: Path) -> None:
    write_manifest(table_of(SHARDED_ROWS, SHARDED), path, {"shards": json.dumps(TOLD)})
    with pytest.raises(ValueError, match="it names no shards"):
        read_manifest(path, SHARDED)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("path", bad) for bad in ("../secret", "/etc/passwd", "", ".", "a/../b", "a\0b", "\ud800", 5, None, ["a"])),
        *(("size", bad) for bad in (-1, 1 << 63, 10**30, 1.5, float("inf"), "1", None, True)),
        *(("images", bad) for bad in (-1, "1", None, 1.0)),
        *(("digest", bad) for bad in (7, None)),
        ("surplus", 1),
    ],
)
def test_shard_that_is_no_file_below_the_folder_is_refused(path: Path, key: str, value: object) -> None:
    write_sharded(path, [TOLD[0], TOLD[1] | {key: value}])
    with pytest.raises(ValueError, match="shard 1 has no path"):
        read_manifest(path, SHARDED)


@pytest.mark.parametrize("key", ["path", "size", "images", "digest"])
def test_shard_that_lacks_a_field_is_refused(path: Path, key: str) -> None:
    write_sharded(path, [TOLD[0], {name: value for name, value in TOLD[1].items() if name != key}])
    with pytest.raises(ValueError, match="shard 1 has no path"):
        read_manifest(path, SHARDED)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ([TOLD[0], TOLD[0]], "two shards have one path"),
        (TOLD[:1], "it names 1"),
        ([], "it names 0"),
        ([*TOLD, TOLD[0] | {"path": "data/2.tar"}], "other numbers of images"),
        ([TOLD[0], TOLD[1] | {"images": 10**40}], "other numbers of images"),
        ([TOLD[0], TOLD[1] | {"size": 611}], "lies outside its shard"),
    ],
)
def test_shards_that_are_not_those_of_the_images_are_refused(path: Path, told: object, fault: str) -> None:
    write_sharded(path, told)
    with pytest.raises(ValueError, match=fault):
        read_manifest(path, SHARDED)


@pytest.mark.parametrize(
    "place",
    [
        {"offset": -1},
        {"offset": 1_901},
        {"offset": (1 << 63) - 1},
        {"size": (1 << 63) - 1},
        {"size": 2_001, "offset": 0},
        {"shard": -1},
        {"shard": 2},
        {"shard": (1 << 31) - 1},
    ],
)
def test_places_outside_of_the_shards_are_refused(path: Path, place: dict[str, int]) -> None:
    write_sharded(path, row=SHARDED_ROWS[0]._replace(**place))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"lies outside its shard|shards from"):
        read_manifest(path, SHARDED)
