from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ilsvrc.errors import DataError
from ilsvrc.facts import classes, val_labels
from ilsvrc.labels.causes import Cause
from ilsvrc.labels.verify import Verdict, read_val_labels, verify
from tests.labels import files
from tests.labels.files import BY_DEVKIT_ID, CLASS_FORMS, DEVKIT_IDS, IMAGE_FORMS, LEXICOGRAPHIC, TRUTH, WNIDS

BY_POSITION = ("ground truth", "tfds")


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[str], Verdict]:
    def write_and_verify(text: str) -> Verdict:
        file = tmp_path / "labels"  # no name that could give it away
        file.write_text(text, newline="")
        return verify(file)

    return write_and_verify


SCHEMES = {"ground truth": "devkit"} | dict.fromkeys(("name wnid", "kaggle", "tfds", "valprep"), "wnid")


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_recognises_each_form_of_validation_labels(judge: Callable[[str], Verdict], form: str) -> None:
    verdict = judge(IMAGE_FORMS[form](TRUTH))
    assert (verdict.ok, verdict.agree, verdict.total, verdict.cause) == (True, 50_000, 50_000, None)
    assert verdict.scheme == SCHEMES.get(form, "index")
    assert verdict.differences == ()


@pytest.mark.parametrize("form", CLASS_FORMS)
def test_recognises_each_form_of_class_list(judge: Callable[[str], Verdict], form: str) -> None:
    verdict = judge(CLASS_FORMS[form](WNIDS))
    assert (verdict.ok, verdict.agree, verdict.total, verdict.cause) == (True, 1000, 1000, None)
    assert verdict.scheme == "index"


def test_tells_forms_apart_by_name_of_their_kind(judge: Callable[[str], Verdict]) -> None:
    names = {form: judge(write(TRUTH)).form for form, write in IMAGE_FORMS.items()}
    assert "Caffe" in names["caffe in zip, tabs"]
    assert "Kaggle" in names["kaggle"]
    assert "valprep" in names["valprep"]
    assert "TFDS" in names["tfds"]
    assert "ImageNet_val_label" in names["name wnid"]


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_one_changed_label(judge: Callable[[str], Verdict], form: str) -> None:
    labels = list(TRUTH)
    labels[30_000] = 7
    verdict = judge(IMAGE_FORMS[form](labels))
    assert (verdict.ok, verdict.cause, verdict.agree) == (False, Cause.CHANGED, 49_999)
    (difference,) = verdict.differences
    assert difference.subject == "ILSVRC2012_val_00030001.JPEG"
    assert (difference.said, difference.truth) == (WNIDS[7], WNIDS[TRUTH[30_000]])


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_two_swapped_labels(judge: Callable[[str], Verdict], form: str) -> None:
    labels = list(TRUTH)
    labels[10], labels[40_000] = labels[40_000], labels[10]
    verdict = judge(IMAGE_FORMS[form](labels))
    assert (verdict.ok, verdict.cause, verdict.agree) == (False, Cause.SWAPPED, 49_998)


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_two_swapped_classes(judge: Callable[[str], Verdict], form: str) -> None:
    swapped = {134: 517, 517: 134}
    verdict = judge(IMAGE_FORMS[form]([swapped.get(i, i) for i in TRUTH]))
    assert (verdict.cause, verdict.agree) == (Cause.SWAPPED, 49_900)
    assert "n02012849 and n03126707" in verdict.detail


@pytest.mark.parametrize("form", [f for f in IMAGE_FORMS if f not in BY_POSITION])
def test_a_missing_line(judge: Callable[[str], Verdict], form: str) -> None:
    lines = IMAGE_FORMS[form](TRUTH).splitlines(keepends=True)
    del lines[25_000]
    verdict = judge("".join(lines))
    assert (verdict.ok, verdict.cause, verdict.agree) == (False, Cause.MISSING, 49_999)


@pytest.mark.parametrize("lost", [10, 25_000, 49_990])
@pytest.mark.parametrize("form", BY_POSITION)
def test_a_missing_line_where_position_counts(judge: Callable[[str], Verdict], form: str, lost: int) -> None:
    lines = IMAGE_FORMS[form](TRUTH).splitlines(keepends=True)
    del lines[lost]
    verdict = judge("".join(lines))
    assert (verdict.ok, verdict.cause) == (False, Cause.MISSING)
    place = int(verdict.detail.split("at line ")[1].split(":")[0])
    assert abs(place - (lost + 1)) <= 3  # equal labels in a row hide it by a line or two


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_a_shift_by_one_line(judge: Callable[[str], Verdict], form: str) -> None:
    verdict = judge(IMAGE_FORMS[form]([*TRUTH[1:], TRUTH[0]]))
    assert (verdict.ok, verdict.cause) == (False, Cause.SHIFTED)
    assert "early" in verdict.detail
    assert verdict.agree < 200
    late = judge(IMAGE_FORMS[form]([TRUTH[-1], *TRUTH[:-1]]))
    assert late.cause is Cause.SHIFTED
    assert "late" in late.detail


@pytest.mark.parametrize("form", [f for f in IMAGE_FORMS if f != "kaggle"])
def test_a_truncated_file(judge: Callable[[str], Verdict], form: str) -> None:
    text = IMAGE_FORMS[form](TRUTH)
    verdict = judge(text[: int(len(text) * 0.7)])
    assert (verdict.ok, verdict.cause) == (False, Cause.TRUNCATED)
    assert 33_000 < verdict.agree < 36_000


def test_a_truncated_file_in_no_order_is_said_to_miss_images(judge: Callable[[str], Verdict]) -> None:
    text = files.kaggle(TRUTH)
    verdict = judge(text[: int(len(text) * 0.7)])
    assert verdict.cause in (Cause.MISSING, Cause.UNREADABLE)


@pytest.mark.parametrize(
    ("labels", "scheme", "cause"),
    [
        ([DEVKIT_IDS[i] for i in TRUTH], "devkit", Cause.DEVKIT_IDS),
        ([DEVKIT_IDS[i] - 1 for i in TRUTH], "devkit0", Cause.DEVKIT_IDS),
        ([i + 1 for i in TRUTH], "index1", Cause.ONE_BASED),
        ([LEXICOGRAPHIC[i] for i in TRUTH], "lexicographic", Cause.OTHER_SCHEME),
    ],
)
def test_files_of_caffes_shape_in_other_schemes(
    judge: Callable[[str], Verdict], labels: list[int], scheme: str, cause: Cause
) -> None:
    verdict = judge(files.caffe(labels))
    assert (verdict.scheme, verdict.agree, verdict.cause, verdict.ok) == (scheme, 50_000, cause, True)
    assert "Caffe" in verdict.detail


@pytest.mark.parametrize(
    ("taken", "cause"),
    [
        ([DEVKIT_IDS[i] - 1 for i in TRUTH], Cause.DEVKIT_IDS),
        ([min(i + 1, 999) for i in TRUTH], Cause.ONE_BASED),
        ([max(i - 1, 0) for i in TRUTH], Cause.ONE_BASED),
        ([LEXICOGRAPHIC[i] for i in TRUTH], Cause.OTHER_SCHEME),
    ],
)
@pytest.mark.parametrize("form", ["name wnid", "kaggle", "tfds", "valprep"])
def test_wnids_looked_up_with_wrong_numbers(
    judge: Callable[[str], Verdict], form: str, taken: list[int], cause: Cause
) -> None:
    verdict = judge(IMAGE_FORMS[form](taken))
    assert (verdict.ok, verdict.cause) == (False, cause)


def foreign_wnids() -> list[str]:
    """Share 640 classes with ours, as the list of ILSVRC 2010 does."""
    return sorted([*WNIDS[:640], *(f"n9{i:07}" for i in range(360))])


@pytest.mark.parametrize("form", CLASS_FORMS)
def test_a_class_list_of_another_release(judge: Callable[[str], Verdict], form: str) -> None:
    verdict = judge(CLASS_FORMS[form](foreign_wnids()))
    assert (verdict.ok, verdict.cause, verdict.scheme) == (False, Cause.FOREIGN, None)
    assert "only 640 of its 1000" in verdict.detail


def test_labels_of_another_release(judge: Callable[[str], Verdict]) -> None:
    wnids = foreign_wnids()
    rng = np.random.default_rng(2010)
    drawn = rng.integers(0, 1000, 50_000)
    verdict = judge("".join(f"{n} {wnids[i]}\n" for n, i in zip(files.names(), drawn, strict=True)))
    assert verdict.cause is Cause.FOREIGN
    assert "2010" in verdict.detail
    numbers = judge("".join(f"{i + 1}\n" for i in drawn))
    assert (numbers.cause, numbers.scheme, numbers.ok) == (Cause.FOREIGN, None, False)
    assert numbers.agree < 200
    assert len(numbers.differences) == 5


@pytest.mark.parametrize("form", CLASS_FORMS)
def test_a_class_list_in_devkit_order(judge: Callable[[str], Verdict], form: str) -> None:
    verdict = judge(CLASS_FORMS[form](BY_DEVKIT_ID))
    assert verdict.scheme in ("devkit", "devkit0")
    assert (verdict.agree, verdict.cause) == (1000, Cause.DEVKIT_IDS)


@pytest.mark.parametrize("form", CLASS_FORMS)
def test_corrupted_class_lists(judge: Callable[[str], Verdict], form: str) -> None:
    write = CLASS_FORMS[form]
    swapped = [*WNIDS[:5], WNIDS[6], WNIDS[5], *WNIDS[7:]]
    assert judge(write(swapped)).cause is Cause.SWAPPED
    changed = [*WNIDS[:500], WNIDS[7], *WNIDS[501:]]
    assert judge(write(changed)).cause is Cause.CHANGED
    text = write(WNIDS)
    assert judge(text[: int(len(text) * 0.7)]).cause is Cause.TRUNCATED
    lost = judge(write([*WNIDS[:400], *WNIDS[401:]]))
    assert lost.cause in (Cause.MISSING, Cause.SHIFTED)
    assert not lost.ok


def test_a_class_index_that_lost_an_entry(judge: Callable[[str], Verdict]) -> None:
    text = files.class_index(WNIDS)
    start = text.index('"400":')
    lost = judge(text[:start] + text[text.index('"401":') :])
    assert (lost.cause, lost.agree) == (Cause.MISSING, 999)
    assert "class 400" in lost.detail


def test_numbered_lists_of_the_devkit(judge: Callable[[str], Verdict]) -> None:
    mapping = "".join(f"{n} {wnid}\n" for n, wnid in enumerate(BY_DEVKIT_ID, 1))
    assert mapping.splitlines()[489] == "490 n01751748"  # the seed: line 490 is the sea snake
    assert judge(mapping).scheme == "devkit"
    clsloc = "".join(f"{wnid} {n} {classes().by_wnid(wnid).name}\n" for n, wnid in enumerate(BY_DEVKIT_ID, 1))
    verdict = judge(clsloc)
    assert (verdict.scheme, verdict.ok, verdict.cause) == ("devkit", True, None)


def test_unreadable_and_extra_lines(judge: Callable[[str], Verdict]) -> None:
    lines = files.caffe(TRUTH).splitlines()
    lines[100] = "what is this"
    verdict = judge("\n".join(lines))
    assert verdict.cause is Cause.UNREADABLE
    assert "101" in verdict.detail
    twice = files.caffe(TRUTH) + files.caffe(TRUTH[:3])
    assert judge(twice).cause is Cause.REPEATED
    truth = files.ground_truth(TRUTH).splitlines()
    truth.insert(20_000, "17")
    assert judge("\n".join(truth)).cause is Cause.EXTRA


def test_the_devkit_archive_and_its_folder(tmp_path: Path) -> None:
    archive = files.devkit_archive(tmp_path / "any.bin", files.ground_truth(TRUTH))
    verdict = verify(archive)
    assert (verdict.ok, verdict.scheme) == (True, "devkit")
    data = tmp_path / "devkit" / "data"
    data.mkdir(parents=True)
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text(files.ground_truth(TRUTH))
    assert verify(tmp_path / "devkit").ok
    cut = tmp_path / "cut"
    cut.write_bytes(archive.read_bytes()[:20_000])
    with pytest.raises(DataError, match="truncated or damaged"):
        verify(cut)


def test_the_genuine_devkit(devkit: Path) -> None:
    verdict = verify(devkit)
    assert (verdict.ok, verdict.scheme, verdict.agree) == (True, "devkit", 50_000)


def test_a_folder_tree(tmp_path: Path) -> None:
    labels = [WNIDS[i] for i in TRUTH[:300]]
    verdict = verify(files.tree(tmp_path / "wnids" / "val", labels).parent)
    assert (verdict.cause, verdict.agree, verdict.scheme) == (Cause.MISSING, 300, "wnid")
    taken = verify(files.tree(tmp_path / "devkit", [f"{DEVKIT_IDS[i] - 1:04}" for i in TRUTH[:300]]))
    assert (taken.agree, taken.scheme) == (300, "devkit0")
    moved = [*labels[:7], WNIDS[0], *labels[8:]]
    wrong = verify(files.tree(tmp_path / "moved", moved))
    assert (wrong.cause, wrong.agree) == (Cause.CHANGED, 299)
    assert wrong.differences[0].subject == "ILSVRC2012_val_00000008.JPEG"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no validation images"):
        verify(tmp_path / "empty")


@pytest.mark.parametrize("text", ["", "hello\nworld\n", '{"a": 1}', "name,age\nx,1\n"])
def test_what_is_no_label_file(judge: Callable[[str], Verdict], text: str) -> None:
    with pytest.raises(DataError, match="no form of label file"):
        judge(text)


@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_labels_for_prepare_are_indices(tmp_path: Path, form: str) -> None:
    file = tmp_path / "labels"
    file.write_text(IMAGE_FORMS[form](TRUTH), newline="")
    labels = read_val_labels(file)
    assert labels.dtype == np.int16
    np.testing.assert_array_equal(labels, val_labels())


def test_prepare_stops_at_a_disagreement_unless_told_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text(files.caffe([*TRUTH[:9], 999, *TRUTH[10:20]]))
    with pytest.raises(DataError, match="19 of 50,000 images"):
        read_val_labels(file)
    trusted = read_val_labels(file, trust=True)
    assert (len(trusted), trusted[9]) == (20, 999)
    file.write_text(files.caffe([*TRUTH[:9], 1400]))
    with pytest.raises(DataError, match="line 10: 1400 is no label"):
        read_val_labels(file, trust=True)
    file.write_text(files.synset_words(WNIDS))
    with pytest.raises(DataError, match="lists classes"):
        read_val_labels(file)


def test_a_verdict_as_json(judge: Callable[[str], Verdict]) -> None:
    document = judge(files.caffe([*TRUTH[:9], 0, *TRUTH[10:]])).to_json()
    assert (document["agree"], document["cause"]) == (49_999, "changed")
    assert document["differences"] == [
        {"line": 10, "subject": "ILSVRC2012_val_00000010.JPEG", "said": WNIDS[0], "truth": WNIDS[TRUTH[9]]}
    ]
