"""`check` over our trees, other tools' trees and archives."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ilsvrc import ImageNet, facts
from ilsvrc.check.check import check
from ilsvrc.check.report import Compared
from ilsvrc.errors import UsageError
from ilsvrc.issues import Code, Issue
from ilsvrc.prepare.prepare import prepare


@pytest.fixture(scope="module")
def prepared(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("prepared") / "tree"
    prepare(mini, tree, jobs=1)
    return tree


@pytest.fixture
def tree(prepared: Path, tmp_path: Path) -> Path:
    """A prepared tree that a test may spoil."""
    return Path(shutil.copytree(prepared, tmp_path / "tree"))


def codes(path: Path, *, deep: bool = False, against: Path | None = None) -> dict[str, Code]:
    """Every damage by key."""
    return {issue.key: issue.code for issue in check(path, deep=deep, against=against, jobs=1).damage}


@pytest.mark.parametrize(
    "layout", ["wnid", "index", "padded", "flat", "{split}/{devkit_id}/{name}", "{split}/{word}/{name}"]
)
def test_prepared_trees_of_every_layout_pass(mini: Path, tmp_path: Path, layout: str) -> None:
    prepare(mini, tmp_path, layout=layout, jobs=1)
    report = check(tmp_path, deep=True, jobs=1)
    assert report.ok
    assert [(p.split, p.layout, p.images, p.classes, p.issues) for p in report.parts] == [
        ("train", layout, 24, 6, ()),
        ("val", layout, 12, 6, ()),
    ]


def test_one_splits_folder_is_enough(tree: Path) -> None:
    parts = check(tree / "val").parts
    assert [(p.split, p.images) for p in parts] == [("val", 12)]


TRAIN_IMAGE = "n01440764/n01440764_5.JPEG"


def test_every_way_to_spoil_a_tree_is_found(tree: Path) -> None:
    train, val = tree / "train", tree / "val"
    images = sorted(p for p in train.glob("n01443537/*"))
    (images[0]).unlink()
    images[1].write_bytes(images[1].read_bytes() + b"x")
    images[2].rename(train / "n01440764" / images[2].name)
    (train / ".ipynb_checkpoints").mkdir()
    (val / "n01440764/.ipynb_checkpoints").mkdir()
    (val / "n01440764/Thumbs.db").write_bytes(b"")
    (val / "extra").mkdir()
    (val / "notes.txt").write_text("")
    (val / "broken").symlink_to("nowhere")
    assert codes(tree) == {
        f"n01443537/{images[0].name}": Code.MISSING_IMAGE,
        f"n01443537/{images[1].name}": Code.CHANGED_IMAGE,
        f"n01443537/{images[2].name}": Code.MISSING_IMAGE,
        f"n01440764/{images[2].name}": Code.SURPLUS_IMAGE,
        ".ipynb_checkpoints": Code.HIDDEN_FOLDER,
        "n01440764/.ipynb_checkpoints": Code.HIDDEN_FOLDER,
        "n01440764/Thumbs.db": Code.STRAY_FILE,
        "extra": Code.STRAY_FOLDER,
        "notes.txt": Code.STRAY_FILE,
        "broken": Code.STRAY_FILE,
    }


def test_image_twice_is_found_by_its_name(tree: Path) -> None:
    image = next((tree / "train/n01440764").iterdir())
    shutil.copy(image, tree / "train/n01443537" / image.name)
    found = check(tree).damage
    assert {(i.key, i.code) for i in found} == {
        (f"n01443537/{image.name}", Code.WRONG_LABEL),
        (f"n01443537/{image.name}", Code.DUPLICATE_IMAGE),
        (f"n01443537/{image.name}", Code.SURPLUS_IMAGE),
    }


def test_changed_bytes_of_the_same_size_are_found_by_the_deep_check_only(tree: Path) -> None:
    image = next((tree / "train/n01440764").iterdir())
    data = bytearray(image.read_bytes())
    data[20] ^= 1
    image.write_bytes(data)
    assert codes(tree) == {}
    assert codes(tree, deep=True) == {f"n01440764/{image.name}": Code.CHANGED_IMAGE}


def test_deep_check_decodes_what_has_no_manifest(tree: Path, mini: Path) -> None:
    shutil.rmtree(tree / ".ilsvrc")
    images = sorted((tree / "val").glob("*/*.JPEG"))
    images[0].write_bytes(images[0].read_bytes()[:700])
    out = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(out, "JPEG")
    images[1].write_bytes(out.getvalue())
    images[2].write_bytes(b"")
    found = {
        (issue.key.rpartition("/")[2], issue.code)
        for issue in check(tree / "val", deep=True, against=mini, jobs=1).damage
    }
    by_size = {(image.name, Code.CHANGED_IMAGE) for image in images[:3]}
    decoded = {(images[0].name, Code.TRUNCATED_IMAGE), (images[1].name, Code.CMYK), (images[2].name, Code.ZERO_BYTES)}
    assert found == by_size | decoded


def test_unreadable_image_is_an_issue(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = next((tree / "train/n01440764").iterdir())
    real = open

    def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
        if str(path) == str(image):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", refuse)
    assert codes(tree, deep=True) == {f"n01440764/{image.name}": Code.UNREADABLE}


def seed_script(source: Path, target: Path) -> None:
    """Unpack train in three steps with tar and find, as guides do; put val into folders with mkdir and mv."""
    target.mkdir()
    script = f"""
    set -e
    mkdir train val
    tar -xf {source / facts.TRAIN} -C train
    cd train
    find . -name '*.tar' | while read T; do mkdir "${{T%.tar}}"; tar -xf "$T" -C "${{T%.tar}}"; rm "$T"; done
    cd ../val
    tar -xf {source / facts.VAL}
    """
    for number, label in enumerate(facts.val_labels().tolist(), 1):
        if label < 6:
            name = f"ILSVRC2012_val_{number:08}.JPEG"
            wnid = facts.classes()[label].wnid
            script += f"if [ -e {name} ]; then mkdir -p {wnid}; mv {name} {wnid}/; fi\n"
    subprocess.run(["sh", "-c", script], cwd=target, check=True)


def test_tree_of_the_seeds_scripts_is_recognised(mini: Path, tmp_path: Path) -> None:
    seed_script(mini, tmp_path / "tree")
    report = check(tmp_path / "tree", against=mini)
    assert report.ok
    assert [p.layout for p in report.parts] == ["wnid", "wnid"]
    assert all("right label" in p.order for p in report.parts)


def test_unofficial_tree_without_reference_is_compared_with_the_facts(mini: Path, tmp_path: Path) -> None:
    seed_script(mini, tmp_path / "tree")
    report = check(tmp_path / "tree")
    assert len(report.damage) == 2000
    details = {issue.key: issue for issue in report.parts[0].issues}
    assert details["n01440764"] == Issue(
        "n01440764", Code.MISSING_IMAGE, "4 images of 1,300, by the official archive"
    )
    assert details["n02084071" if "n02084071" in details else "n15075141"].code is Code.MISSING_CLASS


def renamed(tree: Path, name: dict[str, str]) -> Path:
    """Give the class folders of a tree other names, and take its manifest away."""
    shutil.rmtree(tree / ".ilsvrc")
    for split in ("train", "val"):
        for folder in sorted((tree / split).iterdir()):
            folder.rename(folder.with_name("new-" + name[folder.name]))
        for folder in (tree / split).iterdir():
            folder.rename(folder.with_name(folder.name.removeprefix("new-")))
    return tree


def test_index_folders_of_another_tool_are_recognised_with_what_imagefolder_gives(tree: Path, mini: Path) -> None:
    renamed(tree, {facts.classes()[i].wnid: str(i) for i in range(6)})
    report = check(tree, against=mini)
    assert report.ok
    assert [p.layout for p in report.parts] == ["index", "index"]


def test_imagefolder_order_is_told_for_unpadded_folders(thousand: Path, tmp_path: Path) -> None:
    prepare(thousand, tmp_path, layout="index", splits=("val",), jobs=1)
    (part,) = check(tmp_path).parts
    assert part.order.endswith("988 of 1000 folders another label than ILSVRC 2012: folder 10 gets label 2, is 10")
    assert part.warnings == (part.order,)


@pytest.mark.parametrize("name", ["index1", "devkit", "devkit0", "lexicographic"])
def test_folders_numbered_by_another_scheme_are_one_issue_that_names_it(tree: Path, mini: Path, name: str) -> None:
    renamed(tree, {facts.classes()[i].wnid: str(facts.scheme(name).labels[i]) for i in range(6)})
    report = check(tree, against=mini)
    wrong = [issue for issue in report.damage if issue.code is Code.WRONG_LABEL]
    if name == "lexicographic":  # of the first six, only 0 and 1 have the same number in both
        wrong = [issue for issue in wrong if issue.key == "."]
    assert [issue.key for issue in wrong] == [".", "."]
    assert f"named by {name} " in wrong[0].detail


def test_folders_numbered_by_no_scheme_are_an_issue_each(tree: Path, mini: Path) -> None:
    renamed(tree, {facts.classes()[i].wnid: str((i * 7 + 300) % 1000) for i in range(6)})
    report = check(tree, against=mini)
    wrong = [issue for issue in report.damage if issue.code is Code.WRONG_LABEL]
    assert len(wrong) == 12, "one for every folder, not for every image"
    assert "n01440764" in next(i.detail for i in wrong if i.key == "300")


def test_hidden_folder_shifts_what_imagefolder_gives(tree: Path) -> None:
    (tree / "train/.ipynb_checkpoints").mkdir()
    part = check(tree).parts[0]
    assert "gives 6 of 7 folders another label" in part.order


def test_links_to_folders_are_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "train").rename(tmp_path / "elsewhere")
    (tree / "train").symlink_to(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere2", tree / "x")
    assert check(tree).ok


@pytest.mark.parametrize("deep", [False, True])
def test_archives_pass(mini: Path, tmp_path: Path, deep: bool) -> None:
    source = shutil.copytree(mini, tmp_path / "source", ignore=shutil.ignore_patterns(".ilsvrc"))
    report = check(source, deep=deep, jobs=1)
    assert report.ok
    assert [(p.split, p.form, p.images, p.digest is not None) for p in report.parts] == [
        ("train", "archive", 24, deep),
        ("val", "archive", 12, deep),
    ]


def test_tree_and_archives_in_one_folder_are_both_checked(tree: Path, mini: Path) -> None:
    shutil.copy(mini / facts.VAL, tree)
    shutil.copy(mini / "MD5SUMS", tree)
    assert [(p.split, p.form) for p in check(tree).parts] == [
        ("train", "class folders"),
        ("val", "class folders"),
        ("val", "archive"),
    ]


def test_nothing_to_check_is_the_callers_fault(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="nothing to check"):
            check(path)


def test_lost_and_unfinished_splits_are_found(tree: Path) -> None:
    shutil.rmtree(tree / "train")
    assert codes(tree) == {"train": Code.MISSING_FILE}
    shutil.rmtree(tree / "val")
    (tree / ".ilsvrc/val.arrow").unlink()
    (tree / ".ilsvrc/staging/val").mkdir(parents=True)
    assert codes(tree) == {"train": Code.MISSING_FILE, "val": Code.MISSING_FILE}


def test_a_lost_split_tells_where_it_came_from(tree: Path) -> None:
    shutil.rmtree(tree / "train")
    [lost] = [part for part in check(tree, jobs=1).parts if part.split == "train"]
    assert lost.hint == f"`ilsvrc prepare /path/to/{facts.TRAIN} {tree} --split train`"
    (tree / ".ilsvrc/train.arrow").write_bytes(b"no manifest")
    [lost] = [part for part in check(tree, jobs=1).parts if part.split == "train"]
    assert lost.hint == f"`ilsvrc prepare /path/to/the/source {tree} --split train`"


def test_names_that_are_no_text_are_strays(tree: Path) -> None:
    bad = os.fsencode(tree / "train") + b"/\xff\xfe"
    os.mkdir(bad)
    shutil.copy(os.fsencode(next((tree / "train/n01440764").iterdir())), bad + b"/n01440764_9.JPEG")
    image = next((tree / "val/n01440764").iterdir())
    shutil.copy(os.fsencode(image), os.fsencode(image.parent) + b"/\xff.JPEG")
    found = codes(tree)
    assert found == {"\\udcff\\udcfe": Code.STRAY_FOLDER, "n01440764/\\udcff.JPEG": Code.STRAY_FILE}


def test_links_in_circles_and_unreadable_folders_are_issues(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "train/loop").symlink_to("loop")
    scandir = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("val/n01440764"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    found = codes(tree)
    assert found["loop"] is Code.STRAY_FILE
    assert found["n01440764"] is Code.UNREADABLE


def test_damaged_manifest_is_said(tree: Path, mini: Path) -> None:
    (tree / ".ilsvrc/val.arrow").write_bytes(b"junk")
    assert codes(tree, against=mini) == {".ilsvrc/val.arrow": Code.UNREADABLE}


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_jobs_are_the_callers_fault(tree: Path, jobs: int) -> None:
    with pytest.raises(UsageError, match="jobs"):
        check(tree, jobs=jobs)


OTHER_TEST = "test.tar"
"""A name of which no digest is published: under the official ones a miniature is a wrong file."""


@pytest.fixture
def unlabelled(mini: Path, tmp_path: Path) -> Path:
    """A test archive, made of a miniature's images: `test/ILSVRC2012_test_*.JPEG`."""
    folder = tmp_path / "test-archives"
    folder.mkdir()
    images = ImageNet(mini, "val")
    with tarfile.open(folder / OTHER_TEST, "w") as archive:
        for number in range(1, 6):
            data = images.bytes(number)
            member = tarfile.TarInfo(f"test/ILSVRC2012_test_{number:08}.JPEG")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder / OTHER_TEST


@pytest.mark.parametrize("deep", [False, True])
def test_test_archive_is_checked_without_labels_and_counted(unlabelled: Path, deep: bool) -> None:
    (part,) = check(unlabelled, deep=deep, jobs=1).parts
    assert (part.split, part.form, part.images, part.classes, part.wanted) == ("test", "tar", 5, 0, 100_000)
    assert part.compared == (Compared("image count", "the facts of ILSVRC 2012"),)
    assert [(issue.key, issue.code) for issue in part.issues] == [("test", Code.MISSING_IMAGE)]


def test_damaged_image_of_a_test_archive_is_found(unlabelled: Path) -> None:
    archive = unlabelled
    with tarfile.open(archive) as members:
        third = members.getmembers()[2]
    with archive.open("r+b") as file:
        file.seek(third.offset_data + third.size // 2)
        file.write(bytes(third.size - third.size // 2))
    assert set(codes(unlabelled)) == {"test"}
    assert {Path(key).name for key in codes(unlabelled, deep=True)} == {"test", "ILSVRC2012_test_00000003.JPEG"}


@pytest.fixture
def unlabelled_tree(unlabelled: Path, tmp_path: Path) -> Path:
    """A tree of the test split, as `prepare` makes it."""
    tree = tmp_path / "test-tree"
    prepare(unlabelled, tree, splits=("test",), verify="none", jobs=1)
    return tree


def test_tree_of_the_test_split_is_compared_with_its_manifest(unlabelled_tree: Path) -> None:
    report = check(unlabelled_tree, deep=True, jobs=1)
    (part,) = report.parts
    assert (part.split, part.layout, part.images, part.classes, part.issues) == ("test", "flat", 5, 0, ())
    assert part.order == ""
    assert "names, sizes and digests compared with the manifest" in report.verdict
    images = sorted((unlabelled_tree / "test").iterdir())
    images[0].unlink()
    images[1].write_bytes(b"x" * images[1].stat().st_size)
    found = check(unlabelled_tree, deep=True, jobs=1).damage
    assert {(issue.key, issue.code) for issue in found} == {
        ("ILSVRC2012_test_00000001.JPEG", Code.MISSING_IMAGE),
        ("ILSVRC2012_test_00000002.JPEG", Code.NOT_AN_IMAGE),
        ("ILSVRC2012_test_00000002.JPEG", Code.CHANGED_IMAGE),
    }


def test_tree_of_the_test_split_is_compared_with_its_archive_or_with_the_facts(
    unlabelled_tree: Path, unlabelled: Path
) -> None:
    shutil.rmtree(unlabelled_tree / ".ilsvrc")
    (part,) = check(unlabelled_tree).parts
    assert part.issues == (Issue("test", Code.MISSING_IMAGE, "5 images of 100,000, by the facts of ILSVRC 2012"),)
    assert part.wanted == 100_000
    assert check(unlabelled_tree, against=unlabelled).verdict.startswith(
        f"nothing is wrong in 5 images: names and sizes compared with {OTHER_TEST}"
    )
    (unlabelled_tree / "test/ILSVRC2012_test_00000004.JPEG").unlink()
    assert codes(unlabelled_tree, against=unlabelled) == {"ILSVRC2012_test_00000004.JPEG": Code.MISSING_IMAGE}


def test_digests_of_the_manifest_are_compared_also_where_archives_are_named(tree: Path, mini: Path) -> None:
    image = next((tree / "train/n01440764").iterdir())
    data = bytearray(image.read_bytes())
    data[20] ^= 1
    image.write_bytes(data)
    assert codes(tree, deep=True, against=mini) == {f"n01440764/{image.name}": Code.CHANGED_IMAGE}


def test_manifest_of_another_split_is_not_believed(tree: Path) -> None:
    shutil.copy(tree / ".ilsvrc/train.arrow", tree / ".ilsvrc/val.arrow")
    first, *_ = check(tree / "val").damage
    assert (first.key, first.code) == (".ilsvrc/val.arrow", Code.UNREADABLE)
    assert "images that are not below val/" in first.detail


def test_counts_are_not_compared_with_a_devkit_that_nothing_can_read(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(shutil.copytree(mini, tmp_path / "source", ignore=shutil.ignore_patterns(".ilsvrc")))
    monkeypatch.setitem(sys.modules, "scipy", None)  # as where it is not installed
    lacking = {lack.what: lack.reason for lack in check(source).parts[0].not_compared}
    assert lacking["image counts per class"].endswith("reading its meta.mat needs scipy (pip install scipy)")
    monkeypatch.undo()
    (source / facts.DEVKIT).write_bytes(b"junk")
    report = check(source)
    assert {issue.key for issue in report.damage} == {facts.DEVKIT}
    assert [part.images for part in report.parts] == [24, 12], "the archives are looked at all the same"


def test_archive_with_a_sha256_only_is_compared_with_it(mini: Path, tmp_path: Path) -> None:
    shutil.copy(mini / facts.VAL, tmp_path)
    digest = hashlib.sha256((mini / facts.VAL).read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  {facts.VAL}\n")
    (part,) = check(tmp_path, deep=True, jobs=1).parts
    assert part.compared == (Compared("digest", "the sha256 in SHA256SUMS"),)
    assert part.digest == f"sha256:{digest}"
