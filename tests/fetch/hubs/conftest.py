"""The hubs, with small files, and a user without any login."""

from __future__ import annotations

import io
import os
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fetch.hubs.servers import COMMIT, KEY, TOKEN, USER, HuggingFace, Kaggle, Storage

ZIP = f"competitions-data/{COMMIT}/bundle.zip"


def parquet(seed: int, size: int) -> bytes:
    """Return a Parquet file of the form of the hub's, with one image of random bytes."""
    image = pa.array([{"bytes": random.Random(seed).randbytes(size), "path": "a.JPEG"}])
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": image, "label": pa.array([seed])}), buffer, compression="none")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without logins; nothing in the environment leads to one, or to another server."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING", "KAGGLE_", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    return folder


@pytest.fixture
def storage() -> Iterator[Storage]:
    server = Storage()
    yield server
    server.close()


@pytest.fixture
def hub(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[HuggingFace]:
    """Hugging Face with three splits, and a user whose token may read them."""
    shards = {"train": 3, "validation": 2, "test": 1}
    for split, count in shards.items():
        for n in range(count):
            storage.files[f"data/{split}-{n:05}-of-{count:05}.parquet"] = parquet(n, 300_000)
    server = HuggingFace(storage)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.close()


@pytest.fixture
def kaggle(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """Kaggle with a zip of 4 MB, and a user whose key may read it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ILSVRC/Data/CLS-LOC/train/n01440764/a.JPEG", random.Random(1).randbytes(4_000_000))
    storage.files[ZIP] = buffer.getvalue()
    server = Kaggle(storage, ZIP)
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    yield server
    server.close()
