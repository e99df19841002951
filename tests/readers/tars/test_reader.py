"""Every form of tar under the contract of readers."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.readers.reader import Found, Reader
from ilsvrc.readers.tars import packed
from ilsvrc.readers.tars.reader import TarReader
from ilsvrc.readers.tars.recognise import recognise
from ilsvrc.testing.contracts import ReaderContract
from tests.cli.helpers import ilsvrc
from tests.readers.tars.writers import FORMS, class_tars, gnu, gzipped, hugging_face, kaggle, run, zstd


@pytest.fixture(scope="session")
def written(mini: Path, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every form, written once; read them, don't change them."""
    clean = tmp_path_factory.mktemp("clean")
    for split in ("train", "val"):
        shutil.copytree(tree / split, clean / split)
    found = {form: write(mini, clean, tmp_path_factory.mktemp("form")) for form, write in FORMS.items()}
    found["class tars"] = class_tars(clean, tmp_path_factory.mktemp("form") / "train").parent
    packed_tars = class_tars(clean, tmp_path_factory.mktemp("form"))
    for path in sorted(packed_tars.iterdir())[::2]:
        gzipped(path)
    found["class tars, some gzipped"] = packed_tars
    half = class_tars(clean, tmp_path_factory.mktemp("form"))
    for path in sorted(half.glob("*.tar"))[::2]:
        shutil.copytree(clean / "train" / path.stem, half / path.stem)
        path.unlink()
    found["class tars, half unpacked"] = half
    return found


@pytest.fixture(scope="session")
def readers() -> dict[tuple[str, str], Reader]:
    """Readers that are open already, by form and split."""
    return {}


def found_at(root: Path, split: str) -> Found:
    [found] = [found for found in recognise(root) if found.split == split]
    return found


def opened(root: Path, split: str) -> TarReader:
    reader = found_at(root, split).open()
    assert isinstance(reader, TarReader)
    return reader


VAL_TOO = ("gnu", "gzip", "zstd frames", "kaggle", "hugging face", "official, gzipped")
ALL = [(form, "train") for form in FORMS] + [(form, "val") for form in VAL_TOO]
ALL += [(form, "train") for form in ("class tars", "class tars, some gzipped", "class tars, half unpacked")]


class TestTarReader(ReaderContract):
    @pytest.fixture(params=ALL, ids="-".join)
    def case(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        found: tuple[str, str] = request.param
        return found

    @pytest.fixture
    def split(self, case: tuple[str, str]) -> str:
        return case[1]

    @pytest.fixture
    def reader(
        self, case: tuple[str, str], written: dict[str, Path], readers: dict[tuple[str, str], Reader]
    ) -> Reader:
        if case not in readers:
            readers[case] = self._opened(written[case[0]], case[1])
        return readers[case]

    @staticmethod
    def _opened(root: Path, split: str) -> Reader:
        found = [found for found in recognise(root) if found.split == split]
        if not found:  # what comes later in a compressed tar is met when it was indexed
            recognise(root)[0].open()
            found = [found for found in recognise(root) if found.split == split]
        assert [item.split for item in found] == [split]
        return found[0].open()


def test_index_is_kept_and_believed_only_of_the_same_file(written: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy2(written["gzip"], tmp_path))
    first = opened(path, "train")
    stored = tmp_path / ".ilsvrc" / "i.tar.gz.members.arrow"
    before = stored.stat()
    assert opened(path, "train").identity == first.identity
    assert stored.stat() == before
    os.utime(path)
    assert opened(path, "train").identity == first.identity
    assert stored.stat() != before


@pytest.mark.parametrize("form", ["gnu", "zstd frames", "hugging face"])
def test_identity_survives_a_copy(written: dict[str, Path], tmp_path: Path, form: str) -> None:
    root = written[form]
    copy = tmp_path / "copy"
    shutil.copytree(root, copy) if root.is_dir() else shutil.copy2(root, copy)
    assert opened(copy, "train").identity == opened(root, "train").identity
    assert opened(copy, "train").state != opened(root, "train").state


def test_forms_have_the_splits_that_they_hold(written: dict[str, Path]) -> None:
    assert {found.split for found in recognise(written["hugging face"])} == {"train", "val", "test"}
    assert {found.split for found in recognise(written["one split"])} == {"train", "val"}


def test_kaggles_archive_is_known_to_hold_all_splits(tree: Path, tmp_path: Path) -> None:
    kaggle(tree, tmp_path / "anything.tar.gz")
    found = recognise(tmp_path)
    assert [item.split for item in found] == ["train", "val", "test"]
    with pytest.raises(UsageError, match=r"has no test split; it has train, val"):
        found[-1].open()
    assert [item.split for item in recognise(tmp_path)] == ["train", "val"]


def test_test_images_have_no_label(written: dict[str, Path]) -> None:
    reader = opened(written["hugging face"], "test")
    assert reader.labels.tolist() == [-1] * 3
    assert reader.names.to_pylist() == [f"ILSVRC2012_test_{n:08}.JPEG" for n in (1, 2, 3)]


def test_official_archives_are_left_to_their_own_reader(mini: Path) -> None:
    assert recognise(mini) == []


def test_short_numbers_become_official_names(tree: Path, tmp_path: Path) -> None:
    """The fake archives of tensorflow_datasets number validation images with fewer digits."""
    images = sorted((tree / "val").glob("*/*"))
    with tarfile.open(tmp_path / "ILSVRC2012_img_val.tar", "w") as archive:
        for path in images:
            archive.add(path, path.name.replace("val_0", "val_"))
    reader = opened(tmp_path, "val")
    assert sorted(reader.names.to_pylist()) == sorted(path.name for path in images)


def test_imagenette_keeps_its_splits(tree: Path, tmp_path: Path) -> None:
    """It has official validation images in train, and train images in val."""
    train, val = sorted((tree / "train").glob("*/*")), sorted((tree / "val").glob("*/*"))
    with tarfile.open(tmp_path / "imagenette2.tgz", "w:gz") as archive:
        for number, path in enumerate([*train, *val]):
            split = "val" if number % 3 == 0 else "train"
            archive.add(path, f"imagenette2/{split}/{path.parent.name}/{path.name}")
    readers = [opened(tmp_path, split) for split in ("train", "val")]
    assert sum(map(len, readers)) == len(train) + len(val)
    for reader in readers:
        again = opened(tmp_path, reader.split)
        assert again.names.equals(reader.names)
        truth = {path.name: path.read_bytes() for path in [*train, *val]}
        assert all(again.read(row) == truth[again.name(row)] for row in range(len(again)))


def test_what_is_no_image_is_passed_over(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("read me")
    (tmp_path / "._n01440764_5.JPEG").write_text("Finder")
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "caf\udce9.JPEG").write_text("latin-1")
    out = tmp_path / "x.tar"
    names = ["README.txt", "._n01440764_5.JPEG", "link", "pipe", "caf\udce9.JPEG"]
    run("tar", "-cf", out, "-C", tmp_path, *names, "-C", tree, "train")
    run("tar", "-rPf", out, "--transform=s,^,../../,", "-C", tmp_path, "README.txt")
    assert len(opened(out, "train")) == len(list((tree / "train").glob("*/*")))


@pytest.mark.parametrize(
    ("kind", "code"),
    [("symlink", "symlink"), ("hardlink", "hard-link"), ("up", "path-traversal"), ("absolute", "absolute")],
)
def test_links_and_unsafe_paths_in_an_images_place_are_refused(
    tree: Path, tmp_path: Path, kind: str, code: str
) -> None:
    images = sorted((tree / "train/n01440764").iterdir())
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(images[0], f"train/n01440764/{images[0].name}")
        info = tarfile.TarInfo("train/n01440764/n01440764_99.JPEG")
        info.type = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}.get(kind, tarfile.REGTYPE)
        info.linkname = "/etc/passwd"
        info.name = {"up": f"../{info.name}", "absolute": f"/{info.name}"}.get(kind, info.name)
        archive.addfile(info)
    with pytest.raises(ArchiveError, match=code) as caught:
        opened(tmp_path / "x.tar", "train")
    assert "n01440764_99.JPEG" in caught.value.member


def test_folder_of_another_class_is_a_contradiction(tree: Path, tmp_path: Path) -> None:
    images = sorted((tree / "train/n01440764").iterdir())
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for path in images[:3]:
            archive.add(path, f"train/n01443537/{path.name}")
    with pytest.raises(DamageError) as caught:
        opened(tmp_path / "x.tar", "train")
    for part in (
        "x.tar: train/n01443537/",
        "n01440764 (tench, index 0)",
        "n01443537 (goldfish",
        "and 2 more",
        "wrong-label",
    ):
        assert part in caught.value.message
    assert caught.value.hint


def test_validation_image_under_a_wrong_wnid_is_a_contradiction(tree: Path, tmp_path: Path) -> None:
    path = sorted((tree / "val").glob("*/*"))[0]
    other = "n15075141"
    with tarfile.open(tmp_path / "val_images.tar.gz", "w:gz") as archive:
        archive.add(path, f"{path.stem}_{other}.JPEG")
    with pytest.raises(DamageError, match=other):
        opened(tmp_path / "val_images.tar.gz", "val")


def test_an_image_that_is_there_twice_is_refused(tree: Path, tmp_path: Path) -> None:
    out = gnu(tmp_path / "x.tar", tree, "train")
    run("tar", "-rf", out, "-C", tree, "train/n01440764")
    with pytest.raises(ArchiveError, match=r"it is there twice, first as x.tar: train/n01440764/.*4 images are"):
        opened(out, "train")


@pytest.mark.parametrize("name", ["train/n00004475/n00004475_1.JPEG", "val/ILSVRC2012_val_00050001.JPEG"])
def test_images_of_another_release_are_refused(tree: Path, tmp_path: Path, name: str) -> None:
    image = next((tree / "train").glob("*/*"))
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(image, f"train/{image.parent.name}/{image.name}")
        archive.add(image, name)
    with pytest.raises(ArchiveError, match=r"unknown-(class|member)") as caught:
        opened(tmp_path / "x.tar", "train")
    assert caught.value.member == name


def test_train_of_hugging_face_that_lacks_parts_is_refused(tree: Path, tmp_path: Path) -> None:
    folder = hugging_face(tree, tmp_path / "hf")
    (folder / "data/train_images_3.tar.gz").unlink()
    (folder / "data/train_images_4.tar.gz").unlink()
    with pytest.raises(DamageError, match=r"3 of 5 files of train .* missing: train_images_3\.tar\.gz, ") as caught:
        opened(folder, "train")
    assert [Path(issue.key).name for issue in caught.value.issues] == [
        "train_images_3.tar.gz",
        "train_images_4.tar.gz",
    ]
    assert f"ilsvrc fetch --hf --split train --to {folder}`" in caught.value.hint
    done = ilsvrc("prepare", folder, tmp_path / "out", status=1)
    assert "ilsvrc fetch --hf" in done.stderr
    assert not (tmp_path / "out/train").exists()
    part = folder / "data/train_images_0.tar.gz"
    assert len(opened(part, "train"))


def test_spans_count_through_all_tars(written: dict[str, Path]) -> None:
    reader = opened(written["class tars"], "train")
    joined = b"".join(container.path.read_bytes() for container in reader.containers())
    spans = reader.spans(np.arange(len(reader)))
    assert spans is not None
    assert len(reader.containers()) == 6
    for row, (start, stop) in enumerate(spans.tolist()):
        assert joined[start:stop] == reader.read(row)
    assert opened(written["gzip"], "train").spans(np.arange(3)) is None


def test_part_knows_only_its_own_tars(written: dict[str, Path]) -> None:
    reader = opened(written["class tars, half unpacked"], "train")
    for rows in ([0], [len(reader) - 1], [5, 0, 4]):
        part = reader.part(np.array(rows))
        assert len(part.containers()) <= 1
        assert len(pickle.dumps(part)) < 10_000
        assert [part.read(at) for at in range(len(rows))] == [reader.read(row) for row in rows]


def test_only_tars_with_digests_can_be_verified(written: dict[str, Path]) -> None:
    assert len(found_at(written["gzip"], "train").open(verify=True)) == 24
    with pytest.raises(UsageError, match="no digests"):
        found_at(written["gnu"], "train").open(verify=True)


def _names(reader: TarReader, row: int) -> tuple[str, int]:
    return reader.name(row), len(reader.read(row))


def test_forks_while_threads_decompress(written: dict[str, Path]) -> None:
    reader = opened(written["gzip"], "train")
    reader.read(0)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        found = pool.starmap(_names, [(reader, row) for row in range(len(reader))])
    assert found == [_names(reader, row) for row in range(len(reader))]
    pid = os.fork()
    if not pid:
        os._exit(0 if len(reader.read(3)) == reader.sizes[3] else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_long_zstd_frame_is_read_from_front_to_back_only(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "LONGEST", 10_000)
    path = zstd(gnu(tmp_path / "i.tar", tree, "train"))
    reader = opened(path, "train")
    order = reader.storage_order()
    assert [row for row, _ in reader.take(order)] == order.tolist()
    with pytest.raises(UsageError, match="can't be read at random") as caught:
        reader.read(int(order[5]))
    assert "pzstd" in caught.value.hint
    with pytest.raises(UsageError, match="can't be read at random"):
        list(reader.take(order[::-1]))


@pytest.mark.parametrize(("program", "back"), [("bzip2", "bunzip2"), ("xz", "unxz")])
def test_other_compression_is_refused_with_the_command(tree: Path, tmp_path: Path, program: str, back: str) -> None:
    out = gnu(tmp_path / "i.tar", tree, "train")
    run(program, out)
    with pytest.raises(UsageError, match=program) as caught:
        recognise(tmp_path)[0].open()
    assert back in caught.value.hint
    run("sh", "-c", caught.value.hint.removeprefix("unpack it: "))
    assert len(opened(out, "train")) == 24


def test_state_of_one_tar_is_its_file_state(written: dict[str, Path]) -> None:
    assert json.loads(opened(written["gnu"], "train").state)["size"] == written["gnu"].stat().st_size
    assert len(opened(written["hugging face"], "train").state) == 32


def test_other_files_are_recognised_only_if_damaged_and_named_after_a_split(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "train.tar").write_bytes(b"<!DOCTYPE html> log in")
    (tmp_path / "val.tar.gz").write_bytes(b"\x1f\x8b garbage")
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("notes")
    gnu(tmp_path / "notes.tar", tmp_path, "notes.txt")
    gzipped(gnu(tmp_path / "more.tar", tmp_path, "notes.txt"))
    found = recognise(tmp_path)
    assert [(one.split, one.path.name, one.damaged) for one in found] == [
        ("train", "train.tar", True),
        ("val", "val.tar.gz", True),
    ]
    assert recognise(tmp_path / "notes.tar") == []
    assert recognise(tmp_path / "nothing") == []
