"""Layouts of formats that have one file for a split: what holds for all of them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ilsvrc.sinks.formats.registry import FORMATS, format_of
from ilsvrc.sinks.formats.whole import Whole

WHOLE = [form for form in map(format_of, FORMATS) if isinstance(form, Whole)]


def test_the_formats_of_one_file_are_known() -> None:
    assert {form.name for form in WHOLE} == {"edm", "lmdb", "ffcv", "squashfs"}
    assert {form.name for form in map(format_of, FORMATS) if form.whole} == {form.name for form in WHOLE}


@pytest.mark.parametrize("form", WHOLE, ids=lambda form: form.name)
def test_frames_follow_each_other_and_hold_their_images(form: Whole) -> None:
    """Of images of no bytes, of many sizes, of more than the 8 MiB of a page of FFCV."""
    sizes = np.random.default_rng(0).integers(0, 3_000_000, 60)
    sizes[[3, 17]] = 0, 9 << 20
    layout = form.layout(sizes)
    begins = layout.begins(sizes)
    assert len(begins) == len(sizes) + 1
    for number, size in enumerate(sizes.tolist()):
        before, after = layout.around(int(begins[number]), number, number % 1000, bytes(size))
        assert begins[number] + len(before) + size + len(after) == begins[number + 1]


@pytest.mark.parametrize("form", WHOLE, ids=lambda form: form.name)
def test_layouts_of_the_same_images_are_equal_and_small(form: Whole) -> None:
    sizes = np.arange(1, 5_000)
    assert form.layout(sizes) == form.layout(sizes.copy())
    assert len(pickle.dumps(form.layout(sizes))) < 500
    assert pickle.loads(pickle.dumps(form.layout(sizes))) == form.layout(sizes)
