from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ilsvrc import facts
from ilsvrc.errors import DataError, UsageError
from ilsvrc.events import Event, Note
from ilsvrc.testing import Form, MiniSpec, write_mini
from ilsvrc.testing.faults import Fault
from ilsvrc.web.collection import ODDITIES, SHAPES, SIZES, SORTS, Arrangement, Split, open_collection


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Twenty images per class, some of them odd."""
    kinds = frozenset({Fault.CMYK, Fault.PNG_AS_JPEG, Fault.ZERO_BYTE_IMAGE})
    spec = MiniSpec(classes=3, per_class=20, mean_bytes=3_000, faults=kinds)
    return open_collection(write_mini(tmp_path_factory.mktemp("odd"), spec).folder).splits["train"]


def measured(split: Split) -> Split:
    rows = np.arange(len(split))
    while not split.measures.want(rows).complete:
        time.sleep(0.01)
    return split


def sizes(split: Split, rows: list[int]) -> list[tuple[int, int]]:
    """Width and height by Pillow."""
    return [Image.open(io.BytesIO(split.reader.read(row))).size for row in rows]


def test_rows_of_every_class_are_its_images(mini: Path) -> None:
    collection = open_collection(mini)
    assert list(collection.splits) == ["train", "val"]
    assert collection.first is collection.splits["train"]
    for split in collection:
        seen: list[int] = []
        for synset in facts.classes():
            rows = split.rows(synset).tolist()
            assert set(split.reader.labels[rows].tolist()) <= {synset.index}
            assert len(rows) == split.counts[synset.index]
            seen += rows
        assert seen == list(range(len(split)))
        assert split.unlabelled == 0


def test_images_without_a_label_are_there_too(tmp_path: Path) -> None:
    folder = write_mini(tmp_path, MiniSpec(classes=2, per_class=2, mean_bytes=2_000, test_images=5)).folder
    split = open_collection(folder).splits["test"]
    assert split.unlabelled == len(split) == 5
    assert split.rows(None).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_is_that_of_the_files(odd: Split, sort: str) -> None:
    split, synset = measured(odd), facts.classes()[1]
    rows = split.arranged(synset, Arrangement(sort=sort)).tolist()
    assert sorted(rows) == split.rows(synset).tolist()
    readable = [row for row in rows if split.reader.sizes[row]]
    pixels = sizes(split, readable)
    keys: dict[str, list[float]] = {
        "name": list(readable),
        "bytes": [len(split.reader.read(row)) for row in readable],
        "pixels": [width * height for width, height in pixels],
        "aspect": [width / height for width, height in pixels],
    }
    found = keys[sort.removeprefix("-")]
    assert found == sorted(found, reverse=sort.startswith("-"))


@pytest.mark.parametrize("sort", ["pixels", "-pixels", "aspect", "-aspect"])
def test_images_that_can_not_be_read_come_last(odd: Split, sort: str) -> None:
    split = measured(odd)
    (empty,) = np.flatnonzero(split.reader.sizes == 0).tolist()
    synset = facts.classes()[split.reader.labels[empty]]
    assert split.arranged(synset, Arrangement(sort=sort)).tolist()[-1] == empty


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_that_of_the_pixels(odd: Split, shape: str) -> None:
    split = measured(odd)
    for synset in facts.classes()[:3]:
        every = [row for row in split.rows(synset).tolist() if split.reader.sizes[row]]
        wanted = {
            row
            for row, (width, height) in zip(every, sizes(split, every), strict=True)
            if shape == ""
            or (shape == "square" and abs(width - height) <= 0.02 * max(width, height))
            or (shape == "portrait" and height > width and abs(width - height) > 0.02 * height)
            or (shape == "landscape" and width > height and abs(width - height) > 0.02 * width)
            or (shape == "extreme" and max(width, height) >= 3 * min(width, height))
        }
        found = set(split.arranged(synset, Arrangement(shape=shape)).tolist()) & set(every)
        assert found == wanted


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_that_of_the_files(odd: Split, size: str) -> None:
    split, synset = odd, facts.classes()[0]
    bounds = {"": (0, 10**9), "small": (0, 20_000), "medium": (20_000, 300_000), "large": (300_000, 10**9)}
    wanted = [
        r for r in split.rows(synset).tolist() if bounds[size][0] <= len(split.reader.read(r)) < bounds[size][1]
    ]
    assert split.arranged(synset, Arrangement(size=size)).tolist() == wanted
    assert Arrangement.of({"size": size}) == Arrangement(size=size)


def test_kinds_are_told_apart(odd: Split) -> None:
    split = measured(odd)
    found: dict[str, int] = {}
    for kind in ODDITIES:
        rows = [row for s in facts.classes()[:3] for row in split.arranged(s, Arrangement(oddity=kind)).tolist()]
        found[kind] = len(rows)
        for row in rows:
            data = split.reader.read(row)
            if kind == "CMYK JPEG":
                assert Image.open(io.BytesIO(data)).mode == "CMYK"
            elif kind == "PNG":
                assert data.startswith(b"\x89PNG")
            elif kind == "none":
                assert data == b""
    assert found["CMYK JPEG"] == found["PNG"] == found["none"] == 1
    formats = ("JPEG", "grey JPEG", "CMYK JPEG", "PNG", "WebP", "PPM", "other", "none")
    assert sum(found[kind] for kind in formats) == found[""] == len(split)


def test_published_oddities_and_the_blacklist_are_found_by_name(thousand: Path) -> None:
    split = open_collection(thousand).splits["val"]
    names = set()
    for synset in facts.classes():
        rows = split.arranged(synset, Arrangement(oddity="blacklist")).tolist()
        names |= {int(split.reader.name(row)[15:23]) for row in rows}
    there = {int(name.as_py()[15:23]) for name in split.reader.names}
    assert names == there & facts.val_blacklist()
    assert names


def test_what_a_url_says_wrong_is_not_said() -> None:
    told = {"sort": "'; drop", "shape": "round", "oddity": "\0"}
    assert Arrangement.of(told) == Arrangement()
    assert Arrangement.of({"sort": "-bytes", "shape": "square"}) == Arrangement("-bytes", "square")
    assert [one for one in SORTS if Arrangement(sort=one).needs_measures] == [
        "pixels",
        "-pixels",
        "aspect",
        "-aspect",
    ]


def test_images_are_found_by_their_names(mini: Path) -> None:
    split = open_collection(mini).splits["train"]
    for row in (0, len(split) - 1):
        name = split.reader.name(row)
        assert split.row_of(name) == split.row_of(f"train/n0/{name}") == split.row_of(name.partition(".")[0]) == row
    assert [split.row_of(name) for name in ("", "n01440764_0", "../../etc/passwd", "\udcff")] == [None] * 4


def test_split_that_cannot_be_read_is_left_out_with_a_warning(tmp_path: Path) -> None:
    folder = write_mini(tmp_path, MiniSpec(classes=2, per_class=2, mean_bytes=2_000)).folder
    archive = folder / facts.VAL
    archive.write_bytes(archive.read_bytes()[:2_000])
    told: list[Event] = []
    assert list(open_collection(folder, told.append).splits) == ["train"]
    assert [event for event in told if isinstance(event, Note) and event.warning]
    (folder / facts.TRAIN).unlink()
    with pytest.raises(DataError):
        open_collection(folder)
    with pytest.raises(UsageError, match="does not exist"):
        open_collection(tmp_path / "nowhere")


def test_version_changes_with_the_data(tmp_path: Path) -> None:
    folder = write_mini(tmp_path, MiniSpec(classes=2, per_class=2, mean_bytes=2_000, form=Form.TREE)).folder
    before = open_collection(folder).splits["train"].version
    assert open_collection(folder).splits["train"].version == before
    next((folder / "train").rglob("*.JPEG")).unlink()
    assert open_collection(folder).splits["train"].version != before
