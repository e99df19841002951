from __future__ import annotations

import hashlib
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from ilsvrc.facts import DEVKIT, TEST, TRAIN, VAL
from ilsvrc.fetch.aria2 import find_aria2c
from ilsvrc.testing import Form, State
from ilsvrc.testing.forms.download import stop_download
from ilsvrc.testing.spec import MiniSpec
from tests.fetch.servers import Recorder, serving
from tests.oracles import package
from tests.testing.conftest import Written
from tests.testing.helpers import tree

HALF = State.HALF_DOWNLOAD


def test_of_the_archives_one_is_at_aria2_and_one_at_a_browser(written: Written) -> None:
    half, whole = tree(written(state=HALF)), tree(written())
    assert sorted(half) == [DEVKIT, TEST, TRAIN, f"{TRAIN}.aria2", f"{VAL}.part", "MD5SUMS"]
    assert all(half[name] == whole[name] for name in (DEVKIT, TEST, "MD5SUMS"))
    assert len(half[TRAIN]) == len(whole[TRAIN])
    there = len(half[TRAIN].rstrip(b"\0"))
    assert 0 < there < len(whole[TRAIN])
    assert half[TRAIN][:there] == whole[TRAIN][:there]
    assert half[f"{VAL}.part"] == whole[VAL][: int(len(whole[VAL]) * 0.6)]


@pytest.mark.parametrize("size", [300_000, 3_000_000, 5 << 20])
def test_aria2c_resumes_what_aria2_left(tmp_path: Path, size: int) -> None:
    data = b"".join(hashlib.sha256(b"%d" % k).digest() for k in range(size // 32))
    (tmp_path / TRAIN).write_bytes(data)
    (tmp_path / VAL).write_bytes(data)
    stop_download(MiniSpec(), tmp_path)
    assert (tmp_path / TRAIN).read_bytes() != data
    server = Recorder(data)
    with serving(server):
        options = ["--no-conf", "--all-proxy=", "--split=1", f"--out={TRAIN}", f"--dir={tmp_path}", "--continue"]
        subprocess.run([find_aria2c(), *options, server.url], check=True, capture_output=True)
    assert (tmp_path / TRAIN).read_bytes() == data
    assert not (tmp_path / f"{TRAIN}.aria2").exists()
    asked = [headers["Range"] for headers in server.seen if "Range" in headers]
    [first] = {int(text.removeprefix("bytes=").partition("-")[0]) for text in asked}
    assert first == int(len(data) * 0.6) // (1 << 14) * (1 << 14), "it resumes where the control file says"


def test_the_hub_would_resume_the_last_train_file(written: Written, tmp_path: Path) -> None:
    package("huggingface_hub")
    from huggingface_hub._local_folder import get_local_download_paths

    for form, lost in {
        Form.HF_PARQUET: "data/train-00001-of-00002.parquet",
        Form.HF_TAR: "data/train_images_4.tar.gz",
    }.items():
        left, whole = tree(written(form, state=HALF)), tree(written(form))
        etag = hashlib.sha256(whole[lost]).hexdigest()
        incomplete = get_local_download_paths(tmp_path, lost).incomplete_path(etag)
        data = left.pop(incomplete.relative_to(tmp_path).as_posix())
        assert data == whole[lost][: int(len(whole[lost]) * 0.6)]
        assert left == {name: data for name, data in whole.items() if name != lost}


@pytest.mark.parametrize(
    ("form", "compressed", "cut"),
    [
        (Form.KAGGLE_ZIP, False, "imagenet-object-localization-challenge.zip"),
        (Form.KAGGLE_TARGZ, False, "imagenet_object_localization_patched2019.tar.gz"),
        (Form.TREE_TAR, False, "train.tar"),
        (Form.TREE_TAR, True, "train.tar.gz"),
    ],
)
def test_others_are_cut_short_under_their_own_name(written: Written, form: Form, compressed: bool, cut: str) -> None:
    half, whole = (tree(written(form, state=state, compressed=compressed)) for state in (HALF, State.COMPLETE))
    assert [name for name in whole if half[name] != whole[name]] == [cut]
    assert half[cut] == whole[cut][: int(len(whole[cut]) * 0.6)]


def test_a_zip_that_is_cut_short_has_no_directory(written: Written) -> None:
    [path] = written(Form.KAGGLE_ZIP, state=HALF).iterdir()
    assert not zipfile.is_zipfile(path)
    assert path.read_bytes()[:4] == b"PK\3\4"
    with pytest.raises(tarfile.ReadError), tarfile.open(written(Form.TREE_TAR, state=HALF) / "train.tar") as archive:
        archive.getmembers()
