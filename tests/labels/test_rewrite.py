from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ilsvrc.errors import DataError, UsageError
from ilsvrc.facts import scheme, schemes
from ilsvrc.labels.rewrite import Conversion, rewrite
from tests.labels import files
from tests.labels.files import DEVKIT_IDS, TRUTH, WNIDS

NAMES = [s.name for s in schemes()]


def write(path: Path, text: str) -> Path:
    path.write_text(text, newline="")
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.integers(0, 999), min_size=1),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["{}", "train/n01440764/n01440764_18.JPEG {}", "a b,{}", "x\t{} "]),
)
def test_all_but_the_labels_stays(  # noqa: PLR0917
    tmp_path: Path, indices: list[int], source: str, target: str, end: str, line: str
) -> None:
    before = write(tmp_path / "a", end.join(line.format(scheme(source).labels[i]) for i in indices))
    done = rewrite(before, Conversion(target, source))
    assert done.text == end.join(line.format(scheme(target).labels[i]) for i in indices)
    assert done.labels == len(indices)


def test_the_scheme_is_told_from_validation_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "a", files.caffe([DEVKIT_IDS[i] for i in TRUTH]))
    done = rewrite(path, Conversion("index"))
    assert (done.source, done.text) == ("devkit", files.caffe(TRUTH))
    write(path, files.caffe([DEVKIT_IDS[i] for i in TRUTH[:10]]))
    with pytest.raises(UsageError, match="can't be recognised") as error:
        rewrite(path, Conversion("index"))
    assert "--from" in error.value.hint


def test_other_forms(tmp_path: Path) -> None:
    path = write(tmp_path / "a", files.ground_truth(TRUTH))
    assert rewrite(path, Conversion("index", form="val.txt")).text == files.caffe(TRUTH)
    write(path, files.kaggle(TRUTH))
    assert rewrite(path, Conversion("devkit", form="list")).text == files.ground_truth(TRUTH)
    assert rewrite(path, Conversion("wnid", form="list")).text == files.tfds(TRUTH)
    csv = rewrite(path, Conversion("wnid", form="csv")).text.splitlines()
    assert csv[:2] == ["name,label", f"ILSVRC2012_val_00000001.JPEG,{WNIDS[65]}"]


def test_mxnets_list_keeps_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a", files.mxnet(TRUTH[:3]))
    assert (
        rewrite(path, Conversion("devkit", "index")).text.splitlines()[0]
        == "0\t490\tval/ILSVRC2012_val_00000001.JPEG"
    )


def test_a_header_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "name,prediction\na,65\n")
    assert rewrite(path, Conversion("devkit", "index")).text == "name,prediction\na,490\n"


@pytest.mark.parametrize(
    ("text", "conversion", "message"),
    [
        ("a 1\nb 0\n", Conversion("index", "devkit"), "line 2: 0 is not in the scheme devkit"),
        ("a 1\nb\nc 2\n", Conversion("index", "devkit"), "line 2: no label"),
        ("a n01440764\n", Conversion("index", "devkit"), "no whole numbers"),
        ("a 1\n", Conversion("index", "wnid"), "no wnids"),
        ("a 1\n", Conversion("indx", "devkit"), "no label scheme"),
        ("a 1\n", Conversion("index", "devkit", "xls"), "no form of label file"),
        ("ILSVRC2012_val_00000002.JPEG 1\n", Conversion("index", "devkit", "list"), "missing or repeated"),
        ("n01440764 tench, Tinca tinca\n", Conversion("devkit", "index"), "no label at the end"),
        ("n01440764 tench, Tinca tinca\n", Conversion("devkit", "index", "list"), "lists classes"),
        ("", Conversion("devkit", "index"), "no label at the end"),
    ],
)
def test_what_can_not_be_rewritten(tmp_path: Path, text: str, conversion: Conversion, message: str) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        rewrite(write(tmp_path / "a", text), conversion)
