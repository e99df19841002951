"""Which issues a page lists, and which it pictures."""

from __future__ import annotations

import base64
import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ilsvrc.check.check import check
from ilsvrc.check.report import CheckReport, Comparison, Listed, PartReport
from ilsvrc.issues import Code, Issue
from ilsvrc.testing.faults import Fault
from ilsvrc.testing.mini import MiniSpec, write_mini
from ilsvrc.web import listing
from ilsvrc.web.listing import class_of, first_of_each, list_issues


@given(st.lists(st.sampled_from(["a", "b", "c", ""])), st.integers(0, 20))
def test_first_of_each_kind_are_shared_out_evenly(kinds: list[str], most: int) -> None:
    chosen = first_of_each(kinds, most)
    assert chosen == sorted(set(chosen))
    counts, taken = Counter(filter(None, kinds)), Counter(kinds[at] for at in chosen)
    assert len(chosen) == min(most, counts.total())
    assert "" not in taken
    for kind in counts:
        assert [at for at in chosen if kinds[at] == kind] == [at for at, one in enumerate(kinds) if one == kind][
            : taken[kind]
        ]
        if taken[kind] < counts[kind]:
            assert taken[kind] >= max(taken.values(), default=1) - 1


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("n01440764.tar/n01440764_40.JPEG", "n01440764 tench"),
        ("n01443537", "n01443537 goldfish"),
        ("n01440764/ILSVRC2012_val_00000001.JPEG", "n01751748 sea snake"),
        ("notes.txt", ""),
        (".", ""),
    ],
)
def test_class_is_that_of_the_name(key: str, name: str) -> None:
    assert class_of(Issue(key, Code.UNREADABLE, "")) == name


def many(count: int) -> PartReport:
    issues = [Issue(f"n01440764/n01440764_{number}.JPEG", Code.MISSING_IMAGE, "") for number in range(count)]
    rare = [Issue("n01443537", Code.MISSING_CLASS, ""), Issue("n01440764/x", Code.CMYK, "", known=True)]
    return PartReport("/d/train", "train", "class folders", issues=(*issues, *rare))


def test_issues_are_counted_and_those_of_rare_kinds_are_listed() -> None:
    found = list_issues(CheckReport("/d", False, (many(3_000),)), known=False)
    assert found.count == 3_001
    assert len(found.entries) == listing.LISTED
    assert [(kind.code, kind.count, kind.classes, kind.listed) for kind in found.kinds] == [
        ("missing-image", 3_000, 1, 999),
        ("missing-class", 1, 1, 1),
    ]
    assert found.classes == (("n01440764 tench", 3_000), ("n01443537 goldfish", 1))
    assert found.entries[-1].issue.code is Code.MISSING_CLASS
    odd = list_issues(CheckReport("/d", False, (many(3_000),)), known=True)
    assert [entry.issue.code for entry in odd.entries] == [Code.CMYK]


def test_images_that_a_comparison_counts_without_names_are_counted() -> None:
    comparison = Comparison("/e", "bytes", 5, Listed(100, ("a",) * 20), Listed(), Listed())
    part = PartReport("/d/train", "train", "class folders", comparison=comparison)
    assert list_issues(CheckReport("/d", False, (part,)), known=False).count == 80


def test_pictures_are_those_of_the_faulty_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = frozenset([Fault.TRUNCATED_IMAGE, Fault.ZERO_BYTE_IMAGE, Fault.CMYK, Fault.PNG_AS_JPEG])
    write_mini(tmp_path, MiniSpec(classes=6, per_class=3, mean_bytes=3_000, faults=faults))
    report = check(tmp_path, deep=True, overview=True, jobs=1)
    found = list_issues(report, known=False)
    tried = {str(entry.issue.code): (bool(entry.picture), entry.undecodable) for entry in found.entries}
    assert tried == {
        "truncated-image": (True, False),
        "png": (True, False),
        "cmyk": (True, False),
        "zero-bytes": (False, True),
    }
    assert found.unpictured == 0
    for entry in found.entries:
        if entry.picture:
            data = base64.b64decode(entry.picture.removeprefix("data:image/jpeg;base64,"))
            assert max(Image.open(io.BytesIO(data)).size) <= listing.SIDE
    monkeypatch.setattr(listing, "PICTURED", 2)
    fewer = list_issues(report, known=False)
    assert sum(bool(entry.picture) or entry.undecodable for entry in fewer.entries) == 2
    assert fewer.unpictured == 2
