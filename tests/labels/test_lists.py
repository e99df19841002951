"""Lists of train and test images, running numbers and whole archives, in the shapes that Caffe and Kaggle ship.

Their shapes were looked up in Kaggle's notebooks, in issue 36 of lgarithm/crystalnet (lines of each file) and in
Caffe's data/ilsvrc12; most tests take the ten classes of imagenette, which a list may be about alone.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from ilsvrc.errors import DataError, UsageError
from ilsvrc.facts import ClassList, class_list, class_lists, classes, detection_wnids
from ilsvrc.facts.names import val_name
from ilsvrc.labels.causes import Cause
from ilsvrc.labels.rewrite import Conversion, rewrite
from ilsvrc.labels.sources import read_listing
from ilsvrc.labels.verify import Verdict, read_val_labels, verify
from tests.labels import files
from tests.labels.files import DEVKIT_IDS, TRUTH, WNIDS

NETTE = sorted(class_list("imagenette").labels)
IMAGES = [(label, 3 + 7 * n) for label in NETTE for n in range(classes()[label].train_images)]
"""Class and number of every train image of imagenette; the true numbers have gaps too."""


def names(images: Iterable[tuple[int, int]] = IMAGES) -> list[str]:
    return [f"{WNIDS[label]}/{WNIDS[label]}_{number}" for label, number in images]


def caffe(labels: Iterable[object], *, prefix: str = "", separator: str = " ") -> str:
    return "".join(f"{prefix}{n}.JPEG{separator}{label}\n" for n, label in zip(names(), labels, strict=False))


LABELS = [label for label, _ in IMAGES]


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[str], Verdict]:
    def write_and_verify(text: str) -> Verdict:
        path = tmp_path / "labels"
        path.write_text(text, newline="")
        return verify(path)

    return write_and_verify


FORMS: dict[str, str] = {
    "caffe": caffe(LABELS),
    "caffe, CRLF": caffe(LABELS).replace("\n", "\r\n"),
    "caffe without final newline": caffe(LABELS).rstrip("\n"),
    "PaddleClas": caffe(LABELS, prefix="train/"),
    "absolute with blanks, tabs": caffe(LABELS, prefix="/my data/ImageNet 1k/train/", separator="\t"),
    "in a zip": caffe(LABELS, prefix="train.zip@/", separator="\t"),
    "MXNet": "".join(f"{k}\t{i}.000000\t{n}.JPEG\n" for k, (n, i) in enumerate(zip(names(), LABELS, strict=True))),
    "wnids": caffe(WNIDS[label] for label in LABELS),
    "flat": "".join(f"{n[10:]}.JPEG {label}\n" for n, label in zip(names(), LABELS, strict=True)),
    "Hugging Face's names": "".join(f"{n}_{n[:9]}.JPEG {i}\n" for n, i in zip(names(), LABELS, strict=True)),
    "shuffled": "".join(sorted(caffe(LABELS).splitlines(keepends=True), key=lambda line: line[::-1])),
}


@pytest.mark.parametrize("form", FORMS)
def test_recognises_each_form_of_train_list(judge: Callable[[str], Verdict], form: str) -> None:
    verdict = judge(FORMS[form])
    assert (verdict.ok, verdict.cause, verdict.selection) == (True, None, "imagenette")
    assert (verdict.agree, verdict.total) == (len(IMAGES), len(IMAGES))
    assert verdict.scheme == ("wnid" if form == "wnids" else "index")


@pytest.mark.parametrize(
    ("scheme", "labels", "cause"),
    [
        ("index1", [i + 1 for i in LABELS], Cause.ONE_BASED),
        ("devkit", [DEVKIT_IDS[i] for i in LABELS], Cause.DEVKIT_IDS),
    ],
)
def test_train_lists_in_another_scheme_pass_with_a_warning(
    judge: Callable[[str], Verdict], scheme: str, labels: list[int], cause: Cause
) -> None:
    verdict = judge(caffe(labels))
    assert (verdict.ok, verdict.scheme, verdict.cause) == (True, scheme, cause)


def test_wrong_train_labels_are_named(judge: Callable[[str], Verdict]) -> None:
    verdict = judge(caffe([*LABELS[:99], 7, *LABELS[100:]]))
    assert (verdict.ok, verdict.cause, verdict.agree) == (False, Cause.CHANGED, len(LABELS) - 1)
    first = verdict.differences[0]
    assert (first.line, first.subject) == (100, names()[99][10:])
    assert (first.said, first.truth) == (WNIDS[7], WNIDS[LABELS[99]])
    swap = {NETTE[2]: NETTE[3], NETTE[3]: NETTE[2]}
    assert judge(caffe(swap.get(i, i) for i in LABELS)).cause is Cause.SWAPPED
    assert judge(caffe(NETTE.index(i) for i in LABELS)).ok is False, "numbered anew, 0 to 9"


def test_train_lists_that_are_not_whole(judge: Callable[[str], Verdict]) -> None:
    lines = caffe(LABELS).splitlines(keepends=True)
    ends = judge("".join(lines[:-500]))
    assert (ends.cause, ends.agree) == (Cause.TRUNCATED, len(lines) - 500)
    assert judge("".join(lines[:-500])[:-5]).cause is Cause.TRUNCATED, "its last line is cut"
    lost = judge("".join([*lines[:700], *lines[701:]]))
    assert (lost.ok, lost.cause) == (False, Cause.MISSING)
    assert f"1 of {len(lines):,} images are missing" in lost.detail
    assert f"{WNIDS[0]} has 1,299 of 1,300" in lost.detail
    moved = judge("".join([*lines[:700], *lines[701:]]) + f"{WNIDS[217]}/{WNIDS[217]}_999999.JPEG 217\n")
    assert (moved.ok, moved.cause) == (False, Cause.MISSING), "as many entries as there are images"
    twice = judge("".join([*lines, lines[41]]))
    assert (twice.ok, twice.cause) == (False, Cause.REPEATED)
    assert f"line {len(lines) + 1}" in twice.detail
    more = judge("".join(lines) + f"{WNIDS[0]}/{WNIDS[0]}_999999.JPEG 0\n")
    assert (more.ok, more.cause) == (False, Cause.EXTRA)
    odd = judge("".join([*lines[:50], "what\n", *lines[50:]]))
    assert (odd.ok, odd.cause) == (False, Cause.UNREADABLE)
    assert "51" in odd.detail


def test_train_images_of_other_classes(judge: Callable[[str], Verdict]) -> None:
    verdict = judge("".join(f"n00004475/n00004475_{n}.JPEG {n % 7}\n" for n in range(50)))
    assert (verdict.ok, verdict.cause) == (False, Cause.FOREIGN)
    assert "no class of ILSVRC 2012, the first: n00004475_0" in verdict.detail


def running(images: Sequence[str]) -> str:
    return "".join(f"{image} {n}\n" for n, image in enumerate(images, 1))


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ("val", running([val_name(n)[:-5] for n in range(1, 50_001)])),
        ("test", running([f"ILSVRC2012_test_{n:08}" for n in range(1, 1001)])),
        ("train", running(names())),
    ],
)
def test_running_numbers_are_no_labels(judge: Callable[[str], Verdict], split: str, text: str) -> None:
    verdict = judge(text)
    assert (verdict.ok, verdict.cause, verdict.scheme) == (False, Cause.NO_LABELS, None)
    assert verdict.form == f"list of {split} images, as in ImageSets/CLS-LOC"
    assert f"{text.count(chr(10)):,} {split} images" in verdict.detail
    assert "2010" not in verdict.detail


def test_caffes_test_list_holds_no_labels(judge: Callable[[str], Verdict]) -> None:
    verdict = judge("".join(f"ILSVRC2012_test_{n:08}.JPEG 0\n" for n in range(1, 100_001)))
    assert (verdict.ok, verdict.cause, verdict.form) == (False, Cause.NO_LABELS, "Caffe's test.txt")
    assert "100,000 test images with a 0 in place of each label" in verdict.detail


def solution(images: Iterable[tuple[int, int]]) -> Iterator[str]:
    yield "ImageId,PredictionString\n"
    for label, number in images:
        yield f"{WNIDS[label]}_{number},{WNIDS[label]} 115 49 448 294 {WNIDS[label]} 1 2 3 4 \n"


def test_kaggles_train_solution_has_the_images_with_a_box(judge: Callable[[str], Verdict]) -> None:
    verdict = judge("".join(solution(IMAGES)))
    assert (verdict.form, verdict.scheme) == ("Kaggle's LOC_train_solution.csv", "wnid")
    assert (verdict.ok, verdict.cause, verdict.agree, verdict.total) == (False, Cause.MISSING, len(IMAGES), 544_546)
    assert "every entry is right" in verdict.detail


def test_kaggles_whole_train_solution(tmp_path: Path) -> None:
    boxed = [(s.index, n) for s in classes() for n in range(544 + (s.index < 546))]
    assert len(boxed) == 544_546
    (tmp_path / "LOC_train_solution.csv").write_text("".join(solution(boxed)))
    verdict = verify(tmp_path / "LOC_train_solution.csv")
    assert (verdict.ok, verdict.agree, verdict.total, verdict.cause) == (True, 544_546, 544_546, None)


def test_the_detection_task_is_named(judge: Callable[[str], Verdict]) -> None:
    words = "".join(f"{wnid} something\n" for wnid in sorted(detection_wnids(), reverse=True))
    for text in (words, "".join(f"{line.split()[0]}\n" for line in words.splitlines())):
        verdict = judge(text)
        assert (verdict.ok, verdict.cause) == (False, Cause.NO_LABELS)
        assert "detection task" in verdict.detail


@pytest.mark.parametrize("listed", class_lists(), ids=lambda listed: listed.name)
def test_class_lists_are_named(judge: Callable[[str], Verdict], listed: ClassList) -> None:
    wnids = sorted(listed.wnids, key=lambda wnid: wnid[::-1])
    verdict = judge("".join(f"{wnid}\n" for wnid in wnids))
    assert (verdict.ok, verdict.cause) == (False, Cause.NO_LABELS)
    assert f"`--classes {listed.name}`" in verdict.detail


def test_val_lists_of_a_class_list_are_whole(judge: Callable[[str], Verdict]) -> None:
    lines = [line for line in files.caffe(TRUTH).splitlines(keepends=True) if int(line.split()[1]) in NETTE]
    verdict = judge("".join(lines))
    assert (verdict.ok, verdict.agree, verdict.total, verdict.selection) == (True, 500, 500, "imagenette")
    lost = judge("".join(lines[:100] + lines[101:]))
    assert (lost.ok, lost.cause, lost.agree, lost.total) == (False, Cause.MISSING, 499, 500)
    assert lines[100].split()[0] in lost.detail


def test_lists_without_validation_labels_are_refused_by_prepare(tmp_path: Path) -> None:
    path = tmp_path / "val.txt"
    path.write_text(running([val_name(n)[:-5] for n in range(1, 50_001)]))
    with pytest.raises(DataError, match="the numbers are no labels") as caught:
        read_val_labels(path, trust=True)
    assert "LOC_val_solution.csv" in caught.value.hint
    path.write_text(caffe(LABELS))
    with pytest.raises(DataError, match="lists train images"):
        read_val_labels(path, trust=True)


def test_train_lists_are_converted_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(caffe(LABELS))
    done = rewrite(path, Conversion("devkit"))
    assert (done.source, done.labels) == ("index", len(LABELS))
    assert done.text == caffe(DEVKIT_IDS[i] for i in LABELS)
    with pytest.raises(DataError, match="lists train images"):
        rewrite(path, Conversion("devkit", form="list"))
    path.write_text(running(names()))
    with pytest.raises(UsageError, match="the numbers are no labels"):
        rewrite(path, Conversion("devkit"))


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle in an archive was loaded",))


def caffe_archive(path: Path, **changes: str) -> Path:
    """Write an archive laid out as caffe_ilsvrc12.tar.gz is, its train list of ten classes."""
    texts = {
        "./det_synset_words.txt": "".join(f"{wnid} word\n" for wnid in sorted(detection_wnids())),
        "./synset_words.txt": files.synset_words(WNIDS),
        "./synsets.txt": files.synsets(WNIDS),
        "./test.txt": "".join(f"ILSVRC2012_test_{n:08}.JPEG 0\n" for n in range(1, 101)),
        "./train.txt": caffe(LABELS),
        "./val.txt": files.caffe(TRUTH),
    } | changes
    members = {name: text.encode() for name, text in texts.items()}
    members["./imagenet.bet.pickle"] = pickle.dumps(Bomb())
    members["./._train.txt"] = b"\0\5\x16\7\0\2\0\0Mac OS X"  # the genuine one has such files too
    members["./imagenet_mean.binaryproto"] = bytes(range(256)) * 99
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_caffes_archive_is_judged_member_by_member(tmp_path: Path) -> None:
    verdict = verify(caffe_archive(tmp_path / "caffe_ilsvrc12.tar.gz"))
    assert (verdict.ok, verdict.agree, verdict.total, verdict.scheme) == (True, 4, 4, "index")
    told = {member.path.rpartition("/")[2]: member.cause for member in verdict.members}
    assert told == {
        "det_synset_words.txt": Cause.NO_LABELS,
        "synset_words.txt": None,
        "synsets.txt": None,
        "test.txt": Cause.NO_LABELS,
        "train.txt": None,
        "val.txt": None,
        "imagenet.bet.pickle": Cause.NO_LABELS,
        "imagenet_mean.binaryproto": Cause.NO_LABELS,
    }
    assert len(verdict.to_json()["members"]) == 8


def test_one_wrong_member_makes_an_archive_wrong(tmp_path: Path) -> None:
    wrong = {"./val.txt": files.caffe([*TRUTH[:9], 0, *TRUTH[10:]])}
    verdict = verify(caffe_archive(tmp_path / "a.tar.gz", **wrong))
    assert (verdict.ok, verdict.agree, verdict.total, verdict.cause) == (False, 3, 4, Cause.CHANGED)


def test_validation_labels_are_taken_from_caffes_archive(tmp_path: Path) -> None:
    archive = caffe_archive(tmp_path / "a.tar.gz")
    assert read_val_labels(archive).tolist() == TRUTH
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:-9000])
    with pytest.raises(DataError, match="truncated or damaged"):
        verify(cut)


def test_archives_of_one_file(tmp_path: Path) -> None:
    for name, text in (("train.txt", caffe(LABELS)), ("readme.txt", "hello\n")):
        data, member = text.encode(), tarfile.TarInfo(name)
        member.size = len(data)
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            archive.addfile(member, io.BytesIO(data))
    assert verify(tmp_path / "train.txt.tar").ok
    with pytest.raises(DataError, match="none of its 1 members holds labels"):
        verify(tmp_path / "readme.txt.tar")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar"
    member = tarfile.TarInfo("train.txt")
    member.size = 1 << 40
    path.write_bytes(member.tobuf() + bytes(1024))
    with pytest.raises(DataError, match="more than 1,000,000,000 bytes"):
        verify(path)


def test_a_line_without_end_is_no_label_file(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_text(caffe(LABELS) + "x" * 3_000_000)
    with pytest.raises(DataError, match="a line is longer than"):
        read_listing(path)


def test_a_full_size_train_list_takes_little_memory(tmp_path: Path) -> None:
    """1,281,167 lines; 194 MB and 3 to 5 s of processor time were measured, on a busy machine."""
    path = tmp_path / "train.txt"
    with path.open("w") as file:
        for s in classes():
            file.writelines(f"{s.wnid}/{s.wnid}_{3 + 7 * n}.JPEG {s.index}\n" for n in range(s.train_images))
    code = (
        "import sys; from ilsvrc.labels.verify import verify; v = verify(sys.argv[1]);"
        "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'));"
        "print(v.ok, v.agree, v.total, int(peak) >> 10)"
    )
    told = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    ok, agree, total, megabytes = told.split()
    assert (ok, agree, total) == ("True", "1281167", "1281167")
    assert int(megabytes) < 300
