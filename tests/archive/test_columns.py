"""Columns of an index: as NumPy's numbers, whatever slice or chunks they come in; and what is believed of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import facts, index
from ilsvrc.archive.columns import are_named, lie_apart
from ilsvrc.archive.index import numbers, one_chunk
from ilsvrc.archive.names import RefusedName, flat_image, train_name


@given(st.lists(st.lists(st.integers(-(2**15), 2**15 - 1))), st.sampled_from(["int16", "int64"]))
def test_chunks_become_one_array(chunks: list[list[int]], kind: str) -> None:
    column = pa.chunked_array(chunks, pa.type_for_alias(kind))
    array = numbers(one_chunk(column))
    assert array.dtype == np.dtype(kind)
    assert array.tolist() == [number for chunk in chunks for number in chunk]


@given(st.integers(0, 9), st.integers(0, 9))
def test_slices_begin_where_they_say(start: int, length: int) -> None:
    array = pa.array(range(9), pa.int64()).slice(start, length)
    assert numbers(array).tolist() == list(range(9))[start : start + length]


def test_one_chunk_is_not_copied() -> None:
    column = pa.chunked_array([pa.array([1, 2, 3], pa.int64())])
    array = numbers(one_chunk(column))
    assert array.ctypes.data == column.chunk(0).buffers()[1].address


def test_opening_imports_no_pandas(mini: Path) -> None:
    index(mini)
    code = "import ilsvrc, sys; ilsvrc.ImageNet(sys.argv[1]).bytes(0); print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(mini)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def _train_label(name: str) -> int | None:
    """What the builder of an index says of a name, one by one."""
    synset = facts.classes().get(name[:9])
    try:
        return synset.index if synset and train_name(name, synset.wnid) == name else None
    except RefusedName:
        return None


def _flat_label(name: str, split: str) -> int | None:
    try:
        found = flat_image(name, split)
    except RefusedName:
        return None
    return found.label if found.name == name else None


wnids = st.sampled_from(["n01440764", "n01443537", "n15075141", "n99999999", "n0144076", "../../../", ""])
odd = st.text("0123456789/._\0nJx\u0663", max_size=6)
train_names = st.builds("{}{}{}{}".format, wnids, st.sampled_from("_-/"), odd, st.sampled_from([".JPEG", ".JPG", ""]))


@given(st.lists(train_names, max_size=4, unique=True), st.booleans())
def test_train_names_are_believed_that_the_builder_would_give(names: list[str], shifted: bool) -> None:
    labels = [_train_label(name) for name in names]
    rows = sorted((label if label is not None else 0, name) for label, name in zip(labels, names, strict=True))
    stated = np.array([label + shifted for label, _ in rows], np.int16)
    right = None not in labels and not (shifted and names)
    assert are_named("train", pa.array([name for _, name in rows], pa.string()), stated) == right


numbers_of_flat = st.sampled_from(
    ["1", "00000002", "0", "", "50000", "50001", "100000", "100001", "3x", "../4", "9" * 30]
)


@given(
    st.sampled_from(["val", "test"]),
    st.lists(st.tuples(st.sampled_from(["val", "test"]), numbers_of_flat), max_size=3, unique=True),
)
def test_flat_names_are_believed_that_the_builder_would_give(split: str, parts: list[tuple[str, str]]) -> None:
    names = [f"ILSVRC2012_{kind}_{number}.JPEG" for kind, number in parts]
    labels = [_flat_label(name, split) for name in names]
    rows = sorted((label if label is not None else 0, name) for label, name in zip(labels, names, strict=True))
    stated = np.array([label for label, _ in rows], np.int16)
    assert are_named(split, pa.array([name for _, name in rows], pa.string()), stated) == (None not in labels)


def test_one_number_twice_and_a_wrong_label_are_not_believed() -> None:
    names = ["ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_1.JPEG"]
    label = int(facts.val_labels()[0])
    assert are_named("val", pa.array(names[:1]), np.array([label], np.int16))
    assert not are_named("val", pa.array(names), np.array([label, label], np.int16))
    assert not are_named("val", pa.array(names[:1]), np.array([label + 1], np.int16))
    assert not are_named("dev", pa.array(names[:1]), np.array([label], np.int16))


def test_a_slice_of_names_is_judged_by_what_it_holds() -> None:
    names = pa.array(["../../evil", "n01440764_1.JPEG", "n01440764_2.JPEG"]).slice(1)
    assert are_named("train", names, np.zeros(2, np.int16))


@given(st.lists(st.tuples(st.integers(-1, 30), st.integers(-1, 9)), max_size=6), st.integers(0, 36))
def test_images_lie_apart_if_no_byte_is_in_two(extents: list[tuple[int, int]], size: int) -> None:
    taken = [byte for offset, length in extents for byte in range(offset, offset + max(length, 1))]
    inside = all(offset >= 0 and length >= 0 and offset + length <= size for offset, length in extents)
    offsets, sizes = np.array(extents, np.int64).reshape(-1, 2).T
    found = lie_apart(offsets, sizes, size)
    if not inside:
        assert not found
    elif all(length for _, length in extents):
        assert found == (len(set(taken)) == len(taken))
