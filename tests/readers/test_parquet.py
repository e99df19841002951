"""Parquet files under the contract of readers, by whatever writer, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ilsvrc.readers.parquet import ParquetReader, recognise
from ilsvrc.readers.reader import Reader
from ilsvrc.testing.contracts import ReaderContract, Truth
from tests.readers.parquets import OPTIONS, write, write_by_datasets


def opened(root: Path, split: str) -> Reader:
    [found] = [found for found in recognise(root) if found.split == split]
    return found.open()


class TestFilesOfDatasets(ReaderContract):
    @pytest.fixture
    def reader(self, truth: Truth, split: str, tmp_path: Path) -> Reader:
        write_by_datasets(truth, tmp_path / "hf" / "data", split, 2, tmp_path / "cache")
        return opened(tmp_path / "hf", split)


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in OPTIONS.items()])
class TestFilesOfPyarrow(ReaderContract):
    @pytest.fixture
    def split(self) -> str:
        return "train"

    @pytest.fixture
    def reader(self, truth: Truth, options: dict[str, object], tmp_path: Path) -> Reader:
        write(truth, tmp_path, "train", 2, **options)
        return opened(tmp_path, "train")
