"""Images by path, in archives, trees, and through fsspec."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.dataset.filesystem import Browser, Entry
from ilsvrc.errors import UsageError
from tests.oracles import package


@pytest.fixture(params=["archives", "tree"])
def browser(request: pytest.FixtureRequest, mini: Path, tree: Path) -> Browser:
    return Browser(mini if request.param == "archives" else tree)


def files(tree: Path) -> dict[str, bytes]:
    return {str(p.relative_to(tree)): p.read_bytes() for p in sorted(tree.glob("*/*/*.JPEG"))}


def test_every_image_is_at_its_path(browser: Browser, tree: Path) -> None:
    found = {}
    for split in browser.entries():
        for folder in browser.entries(split.path):
            images = list(browser.entries(folder.path))
            assert folder == Entry(folder.path, len(images), True) == browser.entry(folder.path)
            for image in images:
                assert browser.entry(image.path) == image == next(browser.entries(image.path))
                found[image.path] = browser.read(image.path)
                assert image.size == len(found[image.path])
    assert found == files(tree)


@pytest.mark.parametrize(
    "path",
    [
        "dev",
        "train/n99999999",
        "train/n15075141",
        "train/n01440764/x.JPEG",
        "val/a/b/c",
        "train/x.JPEG",
        "train/n0/a",
    ],
)
def test_what_is_not_there_says_so(browser: Browser, path: str) -> None:
    for look in (browser.entry, browser.read, lambda p: list(browser.entries(p))):
        with pytest.raises(FileNotFoundError):
            look(path)


def test_folders_are_not_read(browser: Browser) -> None:
    for path in ("", "train", "train/n01440764"):
        with pytest.raises(IsADirectoryError):
            browser.read(path)


def test_pickles(browser: Browser) -> None:
    path = next(browser.entries("val/n01440764")).path
    assert pickle.loads(pickle.dumps(browser)).read(path) == browser.read(path)


def test_fsspec_opens_a_url_that_says_where(mini: Path, tree: Path) -> None:
    fsspec = package("fsspec")
    for path, data in files(tree).items():
        with fsspec.open(f"ilsvrc://{path}::{mini}") as file:
            assert file.read() == data
    with fsspec.open(f"ilsvrc://{path}", root=mini) as file:
        assert file.read(10) == data[:10]


def test_fsspec_lists_walks_and_cats(mini: Path, tree: Path) -> None:
    fs = package("fsspec").filesystem("ilsvrc", root=str(mini))
    assert sorted(fs.find("")) == sorted(files(tree))
    assert fs.glob("val/*/*.JPEG") == [path for path in files(tree) if path.startswith("val/")]
    assert fs.cat(fs.glob("val/*/*.JPEG")) == {p: d for p, d in files(tree).items() if p.startswith("val/")}
    path = fs.glob("train/n01440764/*")[1]
    assert fs.info(f"ilsvrc://{path}") == {"name": path, "size": len(files(tree)[path]), "type": "file"}
    assert fs.isdir("train/n01440764")
    assert not fs.exists("train/n15075141")
    assert fs.cat_file(path, 5, 9) == files(tree)[path][5:9]
    assert [len(names) for _, _, names in fs.walk("train") if names] == [4] * 6
    assert pickle.loads(pickle.dumps(fs)).cat_file(path) == files(tree)[path]


def test_fsspec_refuses_to_write_or_guess(mini: Path) -> None:
    fsspec = package("fsspec")
    with pytest.raises(UsageError, match="read-only"):
        fsspec.filesystem("ilsvrc", root=str(mini)).open("train/n01440764/new.JPEG", "wb")
    with pytest.raises(UsageError, match="where the archives are"):
        fsspec.filesystem("ilsvrc")


def test_pyarrow_opens_images(mini: Path, tree: Path) -> None:
    fs = package("fsspec").filesystem("ilsvrc", root=str(mini))
    pafs = package("pyarrow.fs")
    through = pafs.PyFileSystem(pafs.FSSpecHandler(fs))
    path, data = next(iter(files(tree).items()))
    with through.open_input_file(path) as file:
        assert file.read() == data
    assert through.get_file_info(path).size == len(data)


def test_wnids_are_folders_in_every_layout(mini: Path) -> None:
    wnids = [Path(entry.path).name for entry in Browser(mini).entries("val")]
    assert wnids == list(facts.classes().wnids[:6])
