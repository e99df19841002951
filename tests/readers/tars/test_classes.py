"""A folder of class tars, as interrupted scripts leave it: some unpacked, some both, some cut short."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.errors import ArchiveError, DamageError
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.tars.classes import open_classes
from ilsvrc.readers.tars.recognise import recognise
from tests.cli.helpers import ilsvrc
from tests.readers.conftest import truth_of
from tests.readers.tars.writers import gzipped, run

FIRST = "n01440764"


@pytest.fixture
def script(mini: Path, tmp_path: Path) -> Path:
    """The first line of everyone's script: mkdir train; mv ILSVRC2012_img_train.tar train/; cd train; tar -xf."""
    (tmp_path / "imagenet/train").mkdir(parents=True)
    run("tar", "-xf", mini / facts.TRAIN, "-C", tmp_path / "imagenet/train")
    return tmp_path / "imagenet"


def unpack(script: Path, wnid: str) -> Path:
    """The second line: NAME=n01440764.tar; mkdir -p ${NAME%.tar}; tar -xf $NAME -C ${NAME%.tar}."""
    folder = script / "train" / wnid
    folder.mkdir()
    run("tar", "-xf", script / "train" / f"{wnid}.tar", "-C", folder)
    return folder


def is_whole(reader: Reader, tree: Path) -> bool:
    truth = truth_of(tree, "train")
    found = {(int(reader.labels[row]), reader.name(row)): reader.read(row) for row in range(len(reader))}
    return found == truth and len(reader) == len(truth)


@pytest.mark.parametrize("below", ["", "train"])
def test_is_recognised_in_its_folder_or_the_one_above(script: Path, tree: Path, below: str) -> None:
    [found] = recognise(script / below)
    assert (found.split, found.form, found.path) == ("train", "class tars", script / "train")
    assert is_whole(found.open(), tree)
    assert (script / ".ilsvrc").is_dir()
    assert not (script / "train/.ilsvrc").exists()


def test_class_in_both_forms_counts_once(script: Path, tree: Path) -> None:
    unpack(script, FIRST)
    reader = open_classes(script / "train")
    assert is_whole(reader, tree)
    assert reader.issues == ()
    assert len(reader.containers()) == 6


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("remove", "missing-image", "1 missing"),
        ("add", "surplus-image", "1 surplus"),
        ("cut", "changed-image", "1 of another size"),
    ],
)
def test_tar_is_believed_where_its_folder_differs(
    script: Path, tree: Path, change: str, code: str, words: str
) -> None:
    folder = unpack(script, FIRST)
    image = sorted(folder.iterdir())[1]
    if change == "remove":
        image.unlink()
    elif change == "add":
        shutil.copy2(image, folder / f"{FIRST}_999999.JPEG")
    else:
        image.write_bytes(image.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=f"{code}.*{FIRST}.*{words}"):
        reader = open_classes(script / "train")
    assert is_whole(reader, tree)
    assert [issue.code for issue in reader.issues] == [code]


def test_folder_is_read_where_the_tar_is_gone(script: Path, tree: Path) -> None:
    unpack(script, FIRST)
    (script / "train" / f"{FIRST}.tar").unlink()
    reader = open_classes(script / "train")
    assert is_whole(reader, tree)
    assert reader.containers() == ()
    image = Path(reader.where(0).file)
    assert image.parent == script / "train" / FIRST
    image.write_bytes(b"other")
    with pytest.raises(DamageError, match="changed-image"):
        reader.read(0)
    image.unlink()
    with pytest.raises(DamageError, match="missing-image"):
        reader.read(0)
    with pytest.raises(DamageError, match="changed while it was in use"):
        reader.require_unchanged()


def test_folder_is_read_where_the_tar_is_cut_short(script: Path, tree: Path) -> None:
    unpack(script, FIRST)
    path = script / "train" / f"{FIRST}.tar"
    path.write_bytes(path.read_bytes()[:3000])
    for _ in range(2):  # the second time with what was kept
        with pytest.warns(UserWarning, match=r"truncated-archive.*its folder is read instead"):
            reader = open_classes(script / "train")
        assert is_whole(reader, tree)
    assert [issue.code for issue in reader.issues] == ["truncated-archive", "missing-image"]
    assert "4 images of 1,300" in reader.issues[1].detail
    assert pickle.loads(pickle.dumps(reader)).names.equals(reader.names)


def test_tar_that_is_cut_short_alone_is_refused(script: Path) -> None:
    path = script / "train" / f"{FIRST}.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ArchiveError, match=rf"{FIRST}.tar.*truncated-archive"):
        open_classes(script / "train")


def test_few_classes_are_enough(script: Path) -> None:
    for path in sorted((script / "train").iterdir())[1:]:
        path.unlink()
    assert len(open_classes(script / "train")) == 4


def test_two_tars_of_a_class_are_refused(script: Path) -> None:
    path = script / "train" / f"{FIRST}.tar"
    gzipped(path, "-k")
    with pytest.raises(ArchiveError, match=f"duplicate-member|{FIRST}.tar.gz"):
        open_classes(script / "train")


def test_image_of_another_class_is_a_contradiction(script: Path, tree: Path) -> None:
    with tarfile.open(script / "train" / f"{FIRST}.tar", "w") as archive:
        path = next((tree / "train/n01443537").iterdir())
        archive.add(path, path.name)
    with pytest.raises(DamageError, match=f"{FIRST}.tar: {path.name}.*n01443537.*{FIRST}"):
        open_classes(script / "train")


def test_new_or_changed_tars_are_indexed_again(script: Path, tree: Path) -> None:
    aside = script / f"{FIRST}.tar"
    (script / "train" / aside.name).rename(aside)
    assert len(open_classes(script / "train")) == 20
    aside.rename(script / "train" / aside.name)
    assert is_whole(open_classes(script / "train"), tree)


@pytest.mark.parametrize("form", ["tar", pytest.param("gzip", marks=pytest.mark.slow)])
def test_a_thousand_tars_need_few_open_files(thousand: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "train").mkdir()
    run("tar", "-xf", thousand / facts.TRAIN, "-C", tmp_path / "train")
    if form == "gzip":
        run("gzip", "-1", "-r", tmp_path / "train")
    code = f"""
import pickle, resource
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
from ilsvrc.readers.tars.classes import open_classes
for _ in range(2):
    reader = open_classes(Path({str(tmp_path / "train")!r}))
reader.require_unchanged()
taken = sum(len(data) for _, data in reader.take(reader.storage_order()))
print(len(reader.containers()), taken == reader.sizes.sum())
print(sum(len(reader.read(row)) for row in range(0, len(reader), 7)) == reader.sizes[::7].sum())
assert pickle.loads(pickle.dumps(reader)).identity == reader.identity
"""
    assert run(sys.executable, "-c", code).split() == [b"1000", b"True", b"True"]


def test_tar_among_many_that_changes_is_told(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilsvrc.readers.tars.reader.MANY", 2)
    reader = open_classes(script / "train")
    assert len(reader.read(0)) == reader.sizes[0]
    reader.require_unchanged()
    (script / "train" / f"{FIRST}.tar").touch()
    with pytest.raises(ArchiveError, match="wrong-file"):
        reader.read(0)
    with pytest.raises(ArchiveError, match="wrong-file"):
        reader.require_unchanged()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fifo", "no regular file"),
        ("link", "a link that leads nowhere"),
        ("loop", "a link that"),
        ("folder", "a folder"),
    ],
)
def test_what_has_the_name_of_a_tar_and_is_no_file_is_refused(script: Path, kind: str, words: str) -> None:
    path = script / "train/n01443537.tar"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("gone.tar" if kind == "link" else path.name)
    [found] = recognise(script)
    with pytest.raises(DamageError, match=rf"train: n01443537\.tar is {words}") as caught:
        found.open()
    assert [issue.key for issue in caught.value.issues] == [str(path)]
    assert "move it away" in caught.value.hint
    done = ilsvrc("prepare", script, script.parent / "out", status=1)
    assert "n01443537.tar" in done.stderr
    assert not (script.parent / "out/train").exists()


def test_only_such_entries_are_still_taken_for_class_tars(script: Path) -> None:
    for path in sorted((script / "train").iterdir()):
        path.unlink()
        path.symlink_to("../archives/" + path.name)
    done = ilsvrc("check", script, status=None)
    assert done.returncode in (1, 2)
    assert "n01440764.tar" in done.stdout + done.stderr
