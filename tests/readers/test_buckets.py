"""Bucket files: their layout, and the contract of every Reader for images that were swept into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc.errors import DataError
from ilsvrc.readers.buckets import BucketReader, Buckets
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Int, Reader
from ilsvrc.run.order import shuffled
from ilsvrc.testing.contracts import ReaderContract, Truth


class Sizes:
    """As much of a Reader as a layout asks for: images of these sizes, stored in reverse."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = np.array(sizes, np.int64)

    def storage_order(self) -> Int:
        return np.arange(len(self.sizes))[::-1].astype(np.int64)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 200), st.integers(0, 9))
def test_every_bucket_file_is_tiled_by_the_images_of_its_sweep_in_the_order_of_writing(
    sizes: list[int], size: int, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(sizes))
    buckets = Buckets.of(Sizes(sizes), order, size=size)  # type: ignore[arg-type]
    turn = {row: at for at, row in enumerate(order.tolist())}
    assert buckets.sweep.tolist() == list(range(len(sizes)))[::-1]
    assert (buckets.bounds[0], buckets.bounds[-1]) == (0, len(sizes))
    for number, (start, stop) in enumerate(zip(buckets.bounds[:-1], buckets.bounds[1:], strict=True)):
        rows = buckets.sweep[start:stop].tolist()
        assert rows
        assert set(buckets.numbers[rows].tolist()) == {number}
        assert sum(sizes[row] for row in rows) < size + max(sizes)
        at = 0
        for row in sorted(rows, key=turn.__getitem__):
            assert buckets.offsets[row] == at
            at += sizes[row]


def swept(reader: Reader, folder: Path) -> BucketReader:
    """Write the bucket files of a reader by the layout, without our sink."""
    folder.mkdir(exist_ok=True)
    buckets = Buckets.of(reader, shuffled(reader, 3), size=20_000)
    for row in range(len(reader)):
        path = folder / f"{buckets.numbers[row]:06}"
        path.touch()
        with path.open("r+b") as file:
            file.seek(int(buckets.offsets[row]))
            file.write(reader.read(row))
    assert len(list(folder.iterdir())) > 1
    return BucketReader(reader, folder, buckets.numbers, buckets.offsets)


class TestBucketReader(ReaderContract):
    @pytest.fixture(params=["train", "val"])
    def source(self, request: pytest.FixtureRequest, mini: Path) -> Reader:
        return open_reader(mini, str(request.param))

    @pytest.fixture
    def reader(self, source: Reader, tmp_path: Path) -> Reader:
        return swept(source, tmp_path / "buckets")

    @pytest.fixture
    def truth(self, source: Reader) -> Truth:
        return {(int(source.labels[row]), source.name(row)): source.read(row) for row in range(len(source))}


def test_an_image_with_a_recorded_digest_is_compared_with_it(mini: Path, tmp_path: Path) -> None:
    import ilsvrc

    ilsvrc.prepare(mini, tmp_path / "tree", jobs=1)
    reader = swept(open_reader(tmp_path / "tree", "val", verify=True), tmp_path / "buckets")
    assert reader.digest(0) is not None
    path = tmp_path / "buckets/000000"
    path.write_bytes(bytes(len(path.read_bytes())))
    row = int(reader.storage_order()[0])
    with pytest.raises(DataError, match="recorded"):
        reader.read(row)
