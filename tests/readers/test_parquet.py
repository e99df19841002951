"""Parquet files under the contract of readers, by whatever writer, and what is refused."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ilsvrc.archive.index import save
from ilsvrc.archive.parquet import extents
from ilsvrc.archive.parquet import index as parquet_index
from ilsvrc.archive.parquet.extents import Coding
from ilsvrc.archive.parquet.snappy import BLOCK
from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.events import Advanced, Event
from ilsvrc.issues import Code
from ilsvrc.readers import parquet
from ilsvrc.readers.parquet import ParquetReader, recognise
from ilsvrc.readers.reader import Reader
from ilsvrc.testing.contracts import ReaderContract, Truth
from tests import oracles
from tests.readers.conftest import truth_of
from tests.readers.parquets import OPTIONS, published_name, shuffled, table, write, write_by_datasets

UNDER_CONTRACT = ("as datasets wrote until 2025", "not compressed, version 2", "zstd", "delta")
"""A form for each way of reading: blocks of a page, bytes of the file, pages, row groups."""


def opened(root: Path, split: str = "train") -> ParquetReader:
    [found] = [found for found in recognise(root) if found.split == split]
    reader = found.open()
    assert isinstance(reader, ParquetReader)
    return reader


@pytest.fixture
def train(tree: Path) -> Truth:
    return truth_of(tree, "train")


@pytest.fixture(scope="module")
def by_datasets(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both splits as `datasets` writes them."""
    folder = tmp_path_factory.mktemp("hf")
    for split in ("train", "val"):
        write_by_datasets(truth_of(tree, split), folder / "data", split, 2, folder / "cache")
    return folder


class TestFilesOfDatasets(ReaderContract):
    @pytest.fixture
    def reader(self, by_datasets: Path, split: str) -> Reader:
        return opened(by_datasets, split)


@pytest.mark.parametrize("form", UNDER_CONTRACT)
class TestFilesOfPyarrow(ReaderContract):
    @pytest.fixture
    def split(self) -> str:
        return "train"

    @pytest.fixture
    def reader(self, truth: Truth, form: str, tmp_path: Path) -> Reader:
        write(truth, tmp_path, "train", 2, **OPTIONS[form])
        return opened(tmp_path)


def test_gives_what_datasets_gives(by_datasets: Path, tmp_path: Path) -> None:
    datasets = oracles.package("datasets")
    files = {"train": str(by_datasets / "data" / "train-*.parquet")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path), split="train")
    rows = loaded.cast_column("image", datasets.Image(decode=False))
    theirs = {(row["label"], row["image"]["path"]): row["image"]["bytes"] for row in rows}
    reader = opened(by_datasets)
    ours = {
        (label, published_name((label, name))): reader.read(row)
        for row, (label, name) in enumerate(zip(reader.labels.tolist(), reader.names.to_pylist(), strict=True))
    }
    assert ours == theirs


def test_test_split_has_no_labels(mini: Path, train: Truth, tmp_path: Path) -> None:
    truth = {(-1, f"ILSVRC2012_test_{i:08}.JPEG"): data for i, data in enumerate(train.values(), 1)}
    write(truth, tmp_path, "test")
    reader = opened(tmp_path, "test")
    assert [(-1, name) for name in reader.names.to_pylist()] == sorted(truth)
    assert set(reader.labels.tolist()) == {-1}


@pytest.mark.parametrize("form", OPTIONS)
def test_bytes_are_right_whatever_the_options(train: Truth, tmp_path: Path, form: str) -> None:
    write(train, tmp_path, "train", **OPTIONS[form])
    reader = opened(tmp_path)
    assert [reader.read(row) for row in range(len(reader))] == [train[key] for key in sorted(train)]
    by_pyarrow = bool(np.isin(reader.index.column("coding"), [Coding.ROW_GROUP]).any())
    assert by_pyarrow == (form in ("delta", "delta lengths"))


def _binary(truth: Truth) -> pa.Table:
    keys = shuffled(truth)
    return pa.table({"jpg": [truth[key] for key in keys], "__key__": [key[1].removesuffix(".JPEG") for key in keys]})


def _wnids(truth: Truth) -> pa.Table:
    keys = shuffled(truth)
    names = [f"/home/user/train/{key[1]}" for key in keys]
    columns = {"img": [truth[key] for key in keys], "file_name": names, "labels": [key[1][:9] for key in keys]}
    return pa.table(
        columns, pa.schema([("img", pa.large_binary()), ("file_name", pa.large_string()), ("labels", pa.string())])
    )


def _required(truth: Truth) -> pa.Table:
    inner = pa.struct([pa.field("bytes", pa.binary(), nullable=False), pa.field("path", pa.string(), nullable=False)])
    fields = [pa.field("image", inner, nullable=False), pa.field("label", pa.int32(), nullable=False)]
    return table(truth).cast(pa.schema(fields))


@pytest.mark.parametrize("make", [_binary, _wnids, _required])
@pytest.mark.parametrize("form", ["as datasets wrote until 2025", "not compressed", "zstd, version 2"])
def test_other_columns(train: Truth, tmp_path: Path, make: Callable[[Truth], pa.Table], form: str) -> None:
    pq.write_table(make(train), tmp_path / "any name.parquet", **OPTIONS[form])
    reader = opened(tmp_path)
    assert list(zip(reader.labels.tolist(), reader.names.to_pylist(), strict=True)) == sorted(train)
    assert [data for _, data in reader.take(reader.storage_order())] == [train[key] for key in shuffled(train)]


def test_images_with_equal_bytes_are_read_out_of_one_place(train: Truth, tmp_path: Path) -> None:
    first = next(iter(train.values()))
    truth = dict.fromkeys(train, first)
    write(truth, tmp_path, "train", **OPTIONS["dictionary"])
    reader = opened(tmp_path)
    assert set(reader.index.column("coding")) == {Coding.SHARED}
    assert reader.spans(np.arange(3)) is None
    assert [reader.read(row) for row in range(len(reader))] == [first] * len(truth)


def test_a_large_page_is_read_in_blocks(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    truth = {
        (0, f"n01440764_{i}.JPEG"): generator.bytes(int(n)) for i, n in enumerate(generator.integers(0, 150_000, 40))
    }
    write(truth, tmp_path, "train", **OPTIONS["as datasets wrote until 2025"] | {"row_group_size": 100})
    reader = opened(tmp_path)
    assert [reader.read(row) for row in range(40)] == [truth[key] for key in sorted(truth)]
    assert set(reader.index.column("coding")) == {Coding.BLOCKS}
    assert (reader.index.column("length") <= reader.sizes + 2 * (BLOCK + 100)).all()


def test_a_page_is_decompressed_once_in_storage_order(
    train: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(train, tmp_path, "train", **OPTIONS["zstd"])
    reader, pages = opened(tmp_path), []

    def counted(coding: int, piece: bytes, plain: int) -> Any:
        pages.append(piece)
        return extents.decompress(coding, piece, plain)

    monkeypatch.setattr(parquet, "decompress", counted)
    assert len(list(reader.take(reader.storage_order()))) == len(train)
    assert len(pages) == len(set(pages)) == len(np.unique(reader.index.column("offset")))


def test_pages_are_given_up_beyond_a_size(train: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_CACHE", 1)
    write(train, tmp_path, "train", **OPTIONS["zstd"])
    reader = opened(tmp_path)
    assert [data for _, data in reader.take(np.arange(len(reader)))] == [train[key] for key in sorted(train)]
    assert len(reader._pages._pages) == 1


def test_reads_in_a_fork_while_a_thread_held_a_lock(train: Truth, tmp_path: Path) -> None:
    write(train, tmp_path, "train", **OPTIONS["zstd"])
    reader = opened(tmp_path)
    for lock in (reader._pages._lock, *reader._pages._reading):
        lock.acquire()
    child = os.fork()
    if not child:
        os._exit(0 if reader.read(0) == train[min(train)] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_no_digest_to_verify_by(train: Truth, tmp_path: Path) -> None:
    write(train, tmp_path, "train")
    with pytest.raises(UsageError, match="no digests"):
        recognise(tmp_path)[0].open(verify=True)


def test_identity_is_that_of_the_content(train: Truth, tmp_path: Path) -> None:
    write(train, tmp_path / "a", "train", 3)
    write(train, tmp_path / "b", "train", 1, compression="zstd")
    other = dict(train)
    other[min(train)] += b"x"
    write(other, tmp_path / "c", "train")
    shutil.copytree(tmp_path / "a", tmp_path / "d")
    identities = [opened(tmp_path / name).identity for name in "abcd"]
    assert identities[0] == identities[1] == identities[3] != identities[2]
    assert opened(tmp_path / "a").state != opened(tmp_path / "d").state


def test_digests_that_files_should_have(train: Truth, tmp_path: Path) -> None:
    paths = write(train, tmp_path, "train", 2)
    (tmp_path / "SHA256SUMS").write_text(f"{'1' * 64}  data/{paths[1].name}\n")
    first, second = opened(tmp_path).containers()
    assert first.expected == ()
    assert [str(found.digest) for found in second.expected] == [f"sha256:{'1' * 64}"]


def test_progress_counts_all_images(train: Truth, tmp_path: Path) -> None:
    paths = write(train, tmp_path, "train", 3)
    events: list[Event] = []
    recognise(tmp_path)[0].open(listener=events.append)
    advanced = [event for event in events if isinstance(event, Advanced)]
    assert sum(event.images for event in advanced) == len(train)
    assert sum(event.bytes for event in advanced) == sum(path.stat().st_size for path in paths)


def rewrite(path: Path) -> None:
    """Put other bytes into the file and restore the time of its last change."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"other bytes")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    os.link(path, path.with_suffix(".old"))
    shutil.copy2(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("change", [rewrite, replace, Path.unlink])
def test_files_that_change_are_told(train: Truth, tmp_path: Path, change: Callable[[Path], None]) -> None:
    paths = write(train, tmp_path, "train", 2)
    reader = opened(tmp_path)
    reader.take(reader.storage_order())
    data, row = pickle.dumps(reader), int(reader.storage_order()[-1])
    reader.read(row)
    change(paths[1])
    with pytest.raises(ArchiveError):
        reader.require_unchanged()
    with pytest.raises(ArchiveError):
        reader.read(row)
    with pytest.raises(ArchiveError):
        pickle.loads(data)


def test_a_part_needs_its_own_files_only(train: Truth, tmp_path: Path) -> None:
    paths = write(train, tmp_path, "train", 4)
    reader = opened(tmp_path)
    data = pickle.dumps(reader.part(reader.storage_order()[-2:]))
    paths[0].unlink()
    part: ParquetReader = pickle.loads(data)
    part.require_unchanged()
    assert [container.path for container in part.containers()] == paths[-1:]
    assert [part.read(row) for row in range(2)] == [train[key] for key in shuffled(train)[-2:]]


def _files_of(reader: ParquetReader) -> Path:
    return next(Path(str(reader.path)).glob(".ilsvrc/*.arrow"))


@pytest.mark.parametrize("form", ["not compressed", "as datasets wrote until 2025", "zstd", "delta"])
@pytest.mark.parametrize("column", ["file", "offset", "length", "plain", "skip", "size", "coding"])
def test_no_forged_index_leads_to_a_wrong_image(train: Truth, tmp_path: Path, column: str, form: str) -> None:
    """Every value is changed in turn, with all digests made right again: an index is rebuilt, or a read refused."""
    write(train, tmp_path, "train", 2, **OPTIONS[form])
    reader = opened(tmp_path)
    stored = _files_of(reader)
    keys, original = sorted(train), reader.index
    for value in (-1, 5, (1 << 31) - 1):
        values = original.column(column).copy()
        values[7] = min(value, np.iinfo(values.dtype).max)
        at = original.table.schema.get_field_index(column)
        forged = type(original)(
            "train", original.table.set_column(at, original.table.schema.field(at), pa.array(values))
        )
        save(forged.table, stored, parquet_index._metadata(reader.sources, forged))
        again = opened(tmp_path)
        for row, key in enumerate(keys):
            try:
                assert again.read(row) == train[key]
            except (ArchiveError, DamageError):
                assert row == 7


@pytest.mark.parametrize(
    "change", [lambda data: data[:-100], lambda data: data[:200] + b"\xff" * 64 + data[264:], lambda _: b""]
)
def test_a_damaged_index_is_built_again(train: Truth, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    write(train, tmp_path, "train", 2)
    stored = _files_of(opened(tmp_path))
    stored.write_bytes(change(stored.read_bytes()))
    reader = opened(tmp_path)
    assert [reader.read(row) for row in range(len(reader))] == [train[key] for key in sorted(train)]


def test_an_index_is_kept(train: Truth, tmp_path: Path) -> None:
    write(train, tmp_path, "train", 2)
    stored = _files_of(opened(tmp_path))
    before = stored.stat().st_mtime_ns
    opened(tmp_path)
    assert stored.stat().st_mtime_ns == before


def test_labels_that_contradict_names_are_counted(train: Truth, tmp_path: Path) -> None:
    made = table(train)
    labels = [label if place % 2 else (label + 1) % 1000 for place, label in enumerate(made["label"].to_pylist())]
    pq.write_table(made.set_column(1, "label", pa.array(labels)), tmp_path / "train.parquet")
    with pytest.raises(DamageError, match=f"{len(train) // 2} of {len(train)} labels") as caught:
        opened(tmp_path)
    first = shuffled(train)[0]
    assert f"says {first[0] + 1} " in caught.value.message
    assert f"its name {first[0]} " in caught.value.message
    assert {issue.code for issue in caught.value.issues} == {Code.WRONG_LABEL}


def test_wnids_that_contradict_the_truth_of_val(tree: Path, tmp_path: Path) -> None:
    truth = truth_of(tree, "val")
    wrong = table(truth).to_pylist()
    wrong[3]["image"]["path"] = wrong[3]["image"]["path"].replace(wrong[3]["image"]["path"][-14:-5], "n15075141")
    pq.write_table(pa.Table.from_pylist(wrong), tmp_path / "validation.parquet")
    with pytest.raises(DamageError, match=r"the end of its name says 999 \(n15075141\)"):
        opened(tmp_path, "val")


def test_labels_of_a_test_image_are_refused(tmp_path: Path) -> None:
    truth = {(-1, f"ILSVRC2012_test_{i:08}.JPEG"): bytes([i]) for i in range(1, 9)}
    made = table(truth)
    pq.write_table(made.set_column(1, "label", pa.array([-1] * 5 + [3] + [-1] * 2)), tmp_path / "test.parquet")
    with pytest.raises(DamageError, match="1 of 8 labels"):
        opened(tmp_path, "test")


def test_twins_are_refused(train: Truth, tmp_path: Path) -> None:
    keys = shuffled(train)
    for number, part in enumerate((keys, keys[4:5])):
        pq.write_table(table(train, part), tmp_path / f"train-{number:05}-of-00002.parquet")
    with pytest.raises(ArchiveError, match=r"there twice, also in .*00000-of-00002") as caught:
        opened(tmp_path)
    assert caught.value.member == keys[4][1]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (None, "row 2 has no name"),
        ("cat.jpg", "row 2 is named 'cat.jpg'"),
        ("n00000001_5.JPEG", "of no image or class"),
        ("ILSVRC2012_val_00000001_n01751748.JPEG", "an image of another split"),
        ("n01440764_10.JPEG\n", "row 2 is named"),
        ("n01440764_10_n01440764_n01440764.JPEG", "row 2 is named"),
    ],
)
def test_names_that_are_refused(train: Truth, tmp_path: Path, path: str | None, said: str) -> None:
    rows = table(train).to_pylist()
    rows[2]["image"]["path"] = path
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    with pytest.raises(ArchiveError, match=said):
        opened(tmp_path)


@pytest.mark.parametrize("image", [None, {"bytes": b"x", "path": "cat.jpg"}], ids=["null", "another name"])
def test_a_first_row_that_is_no_image_is_told(train: Truth, tmp_path: Path, image: dict[str, Any] | None) -> None:
    rows = table(train).to_pylist()
    rows[0]["image"] = image
    pq.write_table(pa.Table.from_pylist(rows, table(train).schema), tmp_path / "train.parquet")
    assert [split.split for split in recognise(tmp_path)] == ["train"]
    with pytest.raises(ArchiveError, match="row 0 "):
        opened(tmp_path)


def test_names_that_are_no_text(train: Truth, tmp_path: Path) -> None:
    keys = shuffled(train)
    names = [key[1].encode() for key in keys]
    names[1] = b"n01440764_\xff.JPEG"
    made = pa.table({"image": [train[key] for key in keys], "path": pa.array(names, pa.binary())})
    data = made.to_batches()[0].column(1).buffers()
    text = pa.StringArray.from_buffers(len(names), data[1], data[2])  # Arrow believes that it is UTF-8
    pq.write_table(made.set_column(1, "path", text), tmp_path / "train.parquet")
    with pytest.raises(ArchiveError):
        opened(tmp_path)


def test_paths_without_bytes_are_refused(train: Truth, tmp_path: Path) -> None:
    for form in ("not compressed", "as datasets wrote until 2025", "zstd", "delta"):
        rows = table(train).to_pylist()
        rows[2]["image"]["bytes"] = None
        pq.write_table(pa.Table.from_pylist(rows, table(train).schema), tmp_path / "train.parquet", **OPTIONS[form])
        with pytest.raises(ArchiveError, match="without the bytes"):
            opened(tmp_path)


def test_truncated_file_is_refused(train: Truth, tmp_path: Path) -> None:
    paths = write(train, tmp_path, "train", 2)
    os.truncate(paths[1], paths[1].stat().st_size - 10)
    with pytest.raises(ArchiveError, match="cut short") as caught:
        opened(tmp_path)
    assert caught.value.archive == str(paths[1])


def test_other_parquet_files_are_not_recognised(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "train-00000-of-00001.parquet")
    pq.write_table(pa.table({"image": [b"x"], "path": ["cat.jpg"]}), tmp_path / "test.parquet")
    twice = pa.Table.from_arrays([[b"x"], [b"y"], ["n01440764_10.JPEG"]], names=["image", "image", "path"])
    pq.write_table(twice, tmp_path / "train.parquet")
    (tmp_path / "val.parquet").write_bytes(b"PK\x03\x04 and so on")
    assert recognise(tmp_path) == []
    assert recognise(tmp_path / "nothing") == []
