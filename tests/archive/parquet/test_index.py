"""Indexes of files that were damaged at random, and labels by the names of classes in a file's metadata."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ilsvrc import facts
from ilsvrc.archive.parquet.index import build_index
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import DamageError, IlsvrcError
from tests.readers.parquets import OPTIONS, published_name, table, write

NOISE = np.random.default_rng(0)
IMAGES = {(0, f"n01440764_{i}.JPEG"): NOISE.bytes(300) for i in range(12)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files by the options that they were written with."""
    folder = tmp_path_factory.mktemp("sound")
    return {
        name: write(IMAGES, folder / name, "train", **options)[0].read_bytes() for name, options in OPTIONS.items()
    }


def damaged(data: bytes, flips: list[tuple[int, int]]) -> bytes:
    """Return bytes of which some are others, counted from the end."""
    found = bytearray(data)
    for at, value in flips:
        found[-1 - at % len(found)] ^= value
    return bytes(found)


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(OPTIONS)),
    st.lists(st.tuples(st.integers(0, 6_000), st.integers(1, 255)), min_size=1, max_size=4),
)
@example("small pages, snappy", [])
def test_damage_anywhere_ends_in_images_or_an_error_of_ours(
    sound: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, form: str, flips: list[tuple[int, int]]
) -> None:
    """What is built is always such as could be built; pyarrow 26 ends the process over some statistics."""
    path = tmp_path_factory.mktemp("damaged") / "train.parquet"
    path.write_bytes(damaged(sound[form], flips))
    try:
        index = build_index([FileSource(path)])
    except IlsvrcError as error:
        named = str(path) in error.message
    else:
        named = index.could_be_built([path.stat().st_size])
    assert named


def test_flips_all_over_a_footer(sound: dict[str, bytes], tmp_path: Path) -> None:
    """Bytes of a footer are made 0 and 255 in turn; among them are the sizes of statistics."""
    data, path = sound["not compressed"], tmp_path / "train.parquet"
    footer = int.from_bytes(data[-8:-4], "little")
    outcomes: set[int | str] = set()
    for at in range(len(data) - 8 - footer, len(data) - 8, 17):
        for value in (0, 255):
            path.write_bytes(data[:at] + bytes([value]) + data[at + 1 :])
            try:
                outcomes.add(len(build_index([FileSource(path)])))
            except IlsvrcError as error:
                outcomes.add(type(error).__name__)
    assert {len(IMAGES), "ArchiveError"} <= outcomes <= {len(IMAGES), "ArchiveError", "DamageError"}


def described(keys: list[tuple[int, str]], labels: list[int], names: list[str], path: Path) -> FileSource:
    """Write a file whose metadata names classes as `datasets` does."""
    made = table(dict.fromkeys(keys, b"image"), keys).set_column(1, "label", pa.array(labels))
    feature = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    pq.write_table(made.replace_schema_metadata({"huggingface": json.dumps(feature)}), path)
    return FileSource(path)


KEYS = [(65, "n01751748_1.JPEG"), (134, "n02012849_2.JPEG"), (517, "n03126707_3.JPEG")]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["n03126707", "n01751748", "n02012849"], [1, 2, 0]),
        ([synset.words for synset in facts.classes()], [65, 134, 517]),
        ([f"class {i}" for i in range(1000)], [65, 134, 517]),
        ([], [65, 134, 517]),
        ([synset.wnid for synset in reversed(facts.classes())], [999 - 65, 999 - 134, 999 - 517]),
    ],
)
def test_labels_by_the_names_of_classes(tmp_path: Path, names: list[str], labels: list[int]) -> None:
    index = build_index([described(KEYS, labels, names, tmp_path / "a.parquet")])
    assert index.labels.tolist() == [65, 134, 517]
    wrong = [labels[1], *labels[1:]]
    with pytest.raises(DamageError, match="1 of 3 labels"):
        build_index([described(KEYS, wrong, names, tmp_path / "a.parquet")])


def test_names_as_published() -> None:
    assert [published_name(key) for key in KEYS[:1]] == ["n01751748_1_n01751748.JPEG"]
    assert published_name((65, "ILSVRC2012_val_00000001.JPEG")) == "ILSVRC2012_val_00000001_n01751748.JPEG"
