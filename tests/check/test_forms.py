"""`check` of every form: it is called by its name, counted, and equal to the official archives image by image."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.check.check import check
from ilsvrc.check.report import Compared
from ilsvrc.errors import UsageError
from ilsvrc.issues import Code
from ilsvrc.testing.mini import MiniSpec, write_mini
from ilsvrc.testing.spec import Form
from tests.cli.helpers import ilsvrc, ilsvrc_json
from tests.conftest import SMALL

KAGGLE = "ILSVRC/Data/CLS-LOC"

NAMES = {
    Form.ARCHIVES: "archive",
    Form.INNER: "class tars",
    Form.HEAP: "class folders",
    Form.TREE: "class folders",
    Form.KAGGLE: "class folders",
    Form.KAGGLE_ZIP: "zip",
    Form.KAGGLE_TARGZ: "tar.gz",
    Form.HF_PARQUET: "Parquet",
    Form.HF_TAR: "Hugging Face tar.gz",
    Form.TREE_TAR: "tar",
}


def written(folder: Path, form: Form) -> Path:
    """A miniature with the images of the fixture `mini`, in another form."""
    write_mini(folder, MiniSpec(classes=6, per_class=4, val_per_class=2, mean_bytes=4_000, form=form))
    return folder


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    return written(tmp_path / "kaggle", Form.KAGGLE)


@pytest.mark.parametrize("form", Form)
def test_every_form_is_named_and_equal_to_the_archives(mini: Path, tmp_path: Path, form: Form) -> None:
    assert SMALL.images == 36
    report = check(written(tmp_path / "data", form), against=mini, deep=True, jobs=1)
    assert report.ok, report.verdict
    assert [part.split for part in report.parts] == ["train", "val"]
    assert report.parts[0].form == NAMES[form]
    assert f"{NAMES[form]} (" in report.recognised
    for part, images in zip(report.parts, (24, 12), strict=True):
        assert part.comparison is not None
        assert (part.images, part.comparison.equal, part.comparison.what) == (images, images, "bytes")
        assert Compared("bytes", str(mini)) in part.compared


@pytest.mark.parametrize("form", [Form.KAGGLE_ZIP, Form.HF_PARQUET, Form.TREE_TAR])
def test_counts_of_packed_forms_are_compared_with_the_facts(tmp_path: Path, form: Form) -> None:
    train, val = check(written(tmp_path / "data", form)).parts
    assert (train.images, train.wanted) == (24, 1_281_167)
    assert (val.images, val.wanted) == (12, 50_000)
    details = {issue.key: issue for issue in val.issues}
    assert details["n01440764"].detail == "2 images of 50, by the official archive"
    assert details["n15075141"].code is Code.MISSING_CLASS
    assert len(val.issues) == 1000


def test_devkit_beside_class_tars_tells_their_counts(tmp_path: Path) -> None:
    train, _ = check(written(tmp_path / "data", Form.INNER)).parts
    assert train.issues == ()
    assert train.wanted == 24
    assert train.compared[0].against.startswith("the devkit beside it")
    next((tmp_path / "data/train").glob("n01443537.tar")).unlink()
    train, _ = check(tmp_path / "data").parts
    assert [(issue.key, issue.code) for issue in train.issues] == [("n01443537", Code.MISSING_CLASS)]


def test_splits_without_digest_are_called_unproved_with_the_comparisons_instead(mini: Path, tmp_path: Path) -> None:
    shards = written(tmp_path / "data", Form.HF_PARQUET)
    told = check(shards, against=mini, deep=True, jobs=1).verdict
    instead = "names, sizes and bytes were compared and every image was decoded"
    assert f"unproved, as no digest is known, but {instead}" in told
    assert "unproved" not in check(mini, deep=True, jobs=1).verdict


def test_digests_beside_shards_are_proved(mini: Path, tmp_path: Path) -> None:
    shards = written(tmp_path / "data", Form.HF_PARQUET)
    subprocess.run("sha256sum *.parquet > SHA256SUMS", shell=True, cwd=shards / "data", check=True)
    report = check(shards, against=mini, deep=True, jobs=1)
    assert report.ok
    assert all(Compared("digest", "the sha256 in SHA256SUMS") in part.compared for part in report.parts)
    assert "unproved" not in report.verdict
    with next((shards / "data").glob("validation-*")).open("r+b") as file:
        file.seek(-20, 2)  # in the footer, behind all images
        byte = file.read(1)
        file.seek(-20, 2)
        file.write(bytes([byte[0] ^ 1]))
    assert not check(shards, against=mini, deep=True, jobs=1).ok


def test_zip_of_two_splits_is_hashed_once(tmp_path: Path) -> None:
    folder = written(tmp_path / "data", Form.KAGGLE_ZIP)
    [packed] = folder.glob("*.zip")
    digest = hashlib.md5(packed.read_bytes()).hexdigest()
    (folder / "MD5SUMS").write_text(f"{digest}  {packed.name}\n")
    stages = []

    def listen(event: object) -> None:
        stages.append((type(event).__name__, getattr(event, "stage", "")))

    train, val = check(folder, deep=True, jobs=1, listener=listen).parts
    assert train.digest == val.digest == f"md5:{digest}"
    assert stages.count(("Started", f"md5 of {packed.name}")) == 1


def test_every_damaged_image_of_a_zip_is_an_issue(mini: Path, tmp_path: Path) -> None:
    """The CRC of two members is wrong; all others are decoded."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for image in unpacked(mini):
            archive.writestr(f"train/{image[0].partition('_')[0]}/{image[0]}", image[1])
        infos = archive.infolist()
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for info in infos[3], infos[7]:
        data[info.header_offset + 30 + len(info.filename) + info.file_size // 2] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    (part,) = check(tmp_path / "a.zip", against=mini / facts.TRAIN, deep=True, jobs=1).parts
    assert part.images == 24
    assert {issue.key for issue in part.issues} == {infos[3].filename, infos[7].filename}
    assert part.comparison is not None
    assert (part.comparison.equal, part.comparison.differing.count) == (22, 2)


def unpacked(mini: Path) -> list[tuple[str, bytes]]:
    """Name and bytes of every train image, by the standard library."""
    found = []
    with tarfile.open(mini / facts.TRAIN) as outer:
        for member in outer:
            file = outer.extractfile(member)
            assert file is not None
            with tarfile.open(fileobj=io.BytesIO(file.read())) as inner:
                for image in inner:
                    data = inner.extractfile(image)
                    assert data is not None
                    found.append((image.name, data.read()))
    return found


@pytest.mark.parametrize("level", ["", "ILSVRC", "ILSVRC/Data", KAGGLE])
def test_kaggle_is_found_at_every_level_and_said_in_one_line(kaggle: Path, level: str) -> None:
    report = check(kaggle / level)
    assert report.recognised == f"class folders (train, val) at {kaggle / KAGGLE}"
    told = ilsvrc("check", kaggle / level, status=1).stdout.splitlines()
    assert told[0] == f"recognised: {report.recognised}"


def test_validation_labels_are_compared_with_kaggles_list(kaggle: Path, mini: Path) -> None:
    val = check(kaggle, against=mini).parts[1]
    assert Compared("labels", "LOC_val_solution.csv") in val.compared
    assert val.issues == ()
    path = kaggle / "LOC_val_solution.csv"
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    wrong = next(row for row in rows if not row[1].startswith("n01440764"))
    true = wrong[1].split()[0]
    wrong[1] = wrong[1].replace(true, "n01440764")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    (issue,) = check(kaggle, against=mini).parts[1].issues
    assert (issue.key, issue.code) == (f"{wrong[0]}.JPEG", Code.WRONG_LABEL)
    assert "n01440764" in issue.detail
    assert true in issue.detail


def test_kaggles_list_that_lacks_images_or_is_none_is_said(kaggle: Path, mini: Path) -> None:
    path = kaggle / "LOC_val_solution.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]))
    val = check(kaggle, against=mini).parts[1]
    assert val.issues == ()
    assert ("labels of 2 images", "LOC_val_solution.csv does not list them") in [
        (lack.what, lack.reason) for lack in val.not_compared
    ]
    path.write_text("junk\n")
    (issue,) = check(kaggle, against=mini).parts[1].issues
    assert (issue.key, issue.code) == ("LOC_val_solution.csv", Code.UNREADABLE)


def test_list_beside_the_packed_download_is_compared_too(mini: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "data", Form.KAGGLE_TARGZ)
    assert Compared("labels", "LOC_val_solution.csv") in check(folder, against=mini).parts[1].compared


def test_list_that_is_not_at_the_root_of_kaggles_folder_is_not_read(kaggle: Path) -> None:
    shutil.move(kaggle / "LOC_val_solution.csv", kaggle / KAGGLE)
    assert "labels" not in [made.what for made in check(kaggle).parts[1].compared]


def test_test_split_of_kaggle_is_a_heap_of_100_000(tmp_path: Path) -> None:
    write_mini(tmp_path / "data", MiniSpec(classes=2, mean_bytes=2_000, test_images=3, form=Form.KAGGLE))
    part = check(tmp_path / "data").parts[2]
    assert (part.split, part.images, part.wanted, part.classes, part.layout) == ("test", 3, 100_000, 0, "flat")
    assert [issue.detail for issue in part.issues] == ["3 images of 100,000, by the facts of ILSVRC 2012"]


def test_missing_files_of_a_split_are_a_fault_that_names_the_command(tmp_path: Path) -> None:
    folder = written(tmp_path / "data", Form.HF_PARQUET)
    [first, *_] = sorted((folder / "data").glob("train-*"))
    first.unlink()
    train, val = check(folder).parts
    assert {issue.code for issue in train.issues} == {Code.MISSING_FILE}
    assert train.hint == f"`ilsvrc fetch --hf --split train --to {folder}` fetches it"
    assert val.images == 12


def test_document_has_schema_form_and_comparison(kaggle: Path, mini: Path) -> None:
    next((kaggle / KAGGLE / "val").iterdir()).unlink()
    told = ilsvrc_json("check", kaggle, "--against", mini, status=1)
    assert told["schema"] == "ilsvrc.check/1"
    assert told["recognised"].startswith("class folders (train, val) at ")
    _, val = told["parts"]
    assert val["form"] == "class folders"
    [lost] = val["comparison"].pop("only_there")["first"]
    assert val["comparison"] == {
        "against": str(mini),
        "what": "sizes",
        "equal": 11,
        "differing": {"count": 0, "first": []},
        "only_here": {"count": 0, "first": []},
    }
    assert [issue["key"] for issue in val["issues"]] == [lost]
    assert json.dumps(told)


def test_against_nothing_is_the_callers_fault(mini: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no split of ILSVRC 2012 in any known form: there is nothing in it"):
        check(mini, against=tmp_path)
