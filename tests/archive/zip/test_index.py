"""The index of a zip that is kept: used while it fits, built anew when it is damaged, forged or stale."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ilsvrc.archive.index import save
from ilsvrc.archive.source import FileSource
from ilsvrc.archive.zip.build import build_splits, indexed
from ilsvrc.archive.zip.entry import LONGEST_HEADER
from ilsvrc.archive.zip.index import LARGEST, SCHEMA, Splits, _metadata

from .zips import WRITERS


@pytest.fixture(params=["zipfile, stored", "zipfile, deflated"])
def archive(request: pytest.FixtureRequest, tree: Path, tmp_path: Path) -> Path:
    WRITERS[request.param](tmp_path / "tree.zip", tree)
    return tmp_path / "tree.zip"


@pytest.fixture
def kept(archive: Path) -> Path:
    indexed(FileSource(archive))
    return archive.parent / ".ilsvrc" / "tree.zip.arrow"


def test_kept_index_equals_the_built_one(archive: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build_splits(FileSource(archive))
    monkeypatch.setattr("ilsvrc.archive.zip.build.build_splits", None)  # it must not be called
    found = indexed(FileSource(archive))
    assert found.table.equals(built.table)
    assert found.counts == built.counts == (24, 12, 0)
    assert [found[split].identity for split in found] == [built[split].identity for split in built]


def test_identity_survives_a_copy_under_another_name(archive: Path) -> None:
    copy = Path(shutil.copy(archive, archive.with_name("copy.zip")))
    one, other = indexed(FileSource(archive)), indexed(FileSource(copy))
    assert one["train"].identity == other["train"].identity != one["val"].identity


@pytest.mark.parametrize("position", range(8, 9000, 211))
def test_damaged_index_is_built_anew(archive: Path, kept: Path, position: int) -> None:
    data = bytearray(kept.read_bytes())
    data[position % len(data)] ^= 0xFF
    kept.write_bytes(data)
    assert indexed(FileSource(archive)).table.equals(build_splits(FileSource(archive)).table)


def test_stale_index_is_built_anew(archive: Path, kept: Path, tree: Path) -> None:
    WRITERS["zip"](archive.with_name("new.zip"), tree / "train")
    archive.with_name("new.zip").replace(archive)
    assert indexed(FileSource(archive)).counts == (24, 0, 0)


def changed(column: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    """Return a change of one value."""

    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value
        place = SCHEMA.get_field_index(column)
        return table.set_column(place, SCHEMA.field(column), pa.array(values, SCHEMA.field(column).type))

    return change


FORGED = {
    "a path": changed("name", 3, "../../etc/passwd"),
    "another wnid": changed("name", 0, "n01443537_18.JPEG"),
    "twice": lambda table: table.take(pa.array([0, *range(len(table) - 1)])),
    "another label": changed("label", 23, 999),
    "no label": changed("label", 0, -1),
    "another validation label": changed("label", 30, 7),
    "beyond the file": changed("offset", 5, 1 << 40),
    "before the file": changed("offset", 5, -1),
    "sharing bytes": changed("room", 5, 100_000),
    "no room": changed("room", 5, 10),
    "negative": changed("packed", 5, -5),
    "too large": changed("size", 5, LARGEST + 1),
    "another method": changed("method", 5, 12),
    "more room than can be": changed("room", 35, 2 * LONGEST_HEADER + 100_000),
    "another order": lambda table: table.take(pa.array([1, 0, *range(2, len(table))])),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_forged_index_is_built_anew(forge: Callable[[pa.Table], pa.Table], archive: Path, kept: Path) -> None:
    """A forger computes digests too; so each index says of itself all that `write` would."""
    source = FileSource(archive)
    right = build_splits(source)
    forged = Splits(forge(right.table).combine_chunks(), right.counts)
    save(forged.table, kept, _metadata(source, forged))
    assert indexed(source).table.equals(right.table)


@pytest.mark.parametrize("counts", [(36, 0, 0), (0, 36, 0), (23, 13, 0), (24, 12, 5), (40, -4, 0)])
def test_forged_counts_are_not_believed(counts: tuple[int, int, int], archive: Path, kept: Path) -> None:
    source = FileSource(archive)
    right = build_splits(source)
    metadata = _metadata(source, right)
    metadata |= {split: str(count).encode() for split, count in zip((b"train", b"val", b"test"), counts, strict=True)}
    save(right.table, kept, metadata)
    assert indexed(source).counts == right.counts


def test_part_has_the_rows_asked_for(archive: Path) -> None:
    index = indexed(FileSource(archive))["val"]
    part = index.part(np.array([5, 2]))
    assert [part.entry(0), part.entry(1)] == [index.entry(5), index.entry(2)]
    assert part.names.to_pylist() == [index.name(5), index.name(2)]
