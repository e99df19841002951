"""Images by path, in archives, trees, and through fsspec."""

from __future__ import annotations

import errno
import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from ilsvrc import facts
from ilsvrc.dataset.filesystem import Browser, Entry, IlsvrcFileSystem
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


def test_fsspec_refuses_to_guess() -> None:
    with pytest.raises(UsageError, match="where the archives are"):
        package("fsspec").filesystem("ilsvrc")


IMAGE = "val/n01440764/new.JPEG"

WRITES: dict[str, tuple[Any, ...]] = {
    "open": (IMAGE, "wb"),
    "mkdir": (IMAGE,),
    "makedir": (IMAGE,),
    "makedirs": (IMAGE,),
    "mkdirs": (IMAGE,),
    "rmdir": (IMAGE,),
    "rm": (IMAGE,),
    "rm_file": (IMAGE,),
    "delete": (IMAGE,),
    "mv": (IMAGE, IMAGE),
    "move": (IMAGE, IMAGE),
    "rename": (IMAGE, IMAGE),
    "touch": (IMAGE,),
    "pipe": (IMAGE, b"x"),
    "pipe_file": (IMAGE, b"x"),
    "write_bytes": (IMAGE, b"x"),
    "write_text": (IMAGE, "x"),
    "cp_file": ("val/n01440764", IMAGE),
    "cp": ("val/n01440764", IMAGE),
    "copy": ("val/n01440764", IMAGE),
    "put": ("/etc/hostname", IMAGE),
    "put_file": ("/etc/hostname", IMAGE),
    "upload": ("/etc/hostname", IMAGE),
}


@pytest.mark.parametrize("method", WRITES)
def test_fsspec_refuses_to_write(mini: Path, method: str) -> None:
    fs = package("fsspec").filesystem("ilsvrc", root=str(mini))
    before = fs.find("")
    with pytest.raises(OSError, match="Read-only file system") as caught:
        getattr(fs, method)(*WRITES[method])
    assert (caught.value.errno, caught.value.filename) == (errno.EROFS, IMAGE)
    assert fs.find("") == before


@pytest.mark.parametrize("mode", ["w", "wb", "xb", "ab", "a", "r+b", "w+b"])
def test_fsspec_opens_for_reading_alone(mini: Path, mode: str) -> None:
    fs = package("fsspec").filesystem("ilsvrc", root=str(mini))
    with pytest.raises(OSError, match="Read-only"):
        fs.open(fs.find("val")[0], mode)
    with pytest.raises(OSError, match="Read-only"):
        fs.get_mapper("val")["new"] = b"x"


def test_an_open_image_can_not_be_written(mini: Path, tree: Path) -> None:
    fs = package("fsspec").filesystem("ilsvrc", root=str(mini))
    path, data = next(iter(files(tree).items()))
    with fs.open(path) as file:
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert (file.size, file.path) == (len(data), path)
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")
        with pytest.raises(io.UnsupportedOperation):
            file.truncate(0)
        file.seek(-3, io.SEEK_END)
        assert file.read() == data[-3:]


def test_paths_may_begin_with_a_slash(mini: Path, tree: Path) -> None:
    fs = package("fsspec").filesystem("ilsvrc", root=str(mini))
    assert (
        fs.glob("/val/*")
        == fs.glob("val/*")
        == sorted({str(Path(path).parent) for path in files(tree) if path[0] == "v"})
    )
    assert fs.glob("/*") == fs.ls("/", detail=False) == ["train", "val"]
    assert fs.glob("/val/*/*.JPEG") == fs.find("/val") == [path for path in files(tree) if path[0] == "v"]
    path, data = next(iter(files(tree).items()))
    assert fs.cat(f"/{path}") == fs.cat([f"/{path}"])[path] == data
    assert fs.info(f"/{path}")["name"] == path


def test_blocks_heads_and_tails_are_those_of_the_file(mini: Path, tree: Path) -> None:
    fs = package("fsspec").filesystem("ilsvrc", root=str(mini))
    local = package("fsspec").filesystem("file")
    for path in files(tree):
        for given in ((0, 10), (7, 100), (5, None), (0, 1 << 30), (3, 50, b"\xff"), (0, None, b"\xff")):
            assert fs.read_block(path, *given) == local.read_block(str(tree / path), *given)
        assert (fs.head(path, 9), fs.tail(path, 9)) == (local.head(tree / path, 9), local.tail(tree / path, 9))


def test_a_split_that_is_not_there_is_a_missing_path(mini: Path) -> None:
    fs = package("fsspec").filesystem("ilsvrc", root=str(mini))
    assert not fs.isdir("test")
    assert not fs.exists("test/ILSVRC2012_test_00000001.JPEG")
    with pytest.raises(FileNotFoundError, match="no such split"):
        fs.ls("test")


def test_whole_folders_are_copied_out(mini: Path, tree: Path, tmp_path: Path) -> None:
    package("fsspec").filesystem("ilsvrc", root=str(mini)).get("val", str(tmp_path / "out"), recursive=True)
    assert {f"val/{p.relative_to(tmp_path / 'out')}": p.read_bytes() for p in (tmp_path / "out").glob("*/*")} == {
        path: data for path, data in files(tree).items() if path.startswith("val/")
    }


def test_a_local_cache_reads_through(mini: Path, tree: Path, tmp_path: Path) -> None:
    fsspec = package("fsspec")
    path, data = next(iter(files(tree).items()))
    for _ in range(2):
        with fsspec.open(
            f"simplecache::ilsvrc://{path}::{mini}", simplecache={"cache_storage": str(tmp_path)}
        ) as file:
            assert file.read() == data


class FolderBrowser(Browser):
    """Looks into any local folder: fsspec's own tests want folders and files of their names side by side."""

    root: Path

    def entries(self, path: str = "") -> Iterator[Entry]:
        found = self.root / path
        if found.is_dir():
            yield from (self.entry(f"{path}/{each.name}".lstrip("/")) for each in sorted(found.iterdir()))
        else:
            yield self.entry(path)

    def entry(self, path: str) -> Entry:
        found = self.root / path
        return Entry(path, found.stat().st_size, found.is_dir())

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()


class TestGet(AbstractGetTests, AbstractFixtures):  # type: ignore[misc]
    """fsspec's own tests of copying out. Those of `copy`, `put`, `pipe` and `open` write into it."""

    test_get_directory_recursive = None
    """Makes its folders by writing into the file system; `test_whole_folders_are_copied_out` is ours for the same."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "folder"

    @pytest.fixture
    def fs(self, folder: Path) -> IlsvrcFileSystem:
        found = IlsvrcFileSystem(folder, skip_instance_cache=True)
        found.browser = FolderBrowser(folder)
        return found

    @pytest.fixture
    def fs_path(self) -> str:
        return ""

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self, local_fs: Any, folder: Path) -> str:
        return self._within(self._bulk_operations_scenario_0, local_fs, folder)

    @pytest.fixture
    def fs_glob_edge_cases_files(self, local_fs: Any, folder: Path) -> str:
        return self._within(self._glob_edge_cases_files, local_fs, folder)

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self, local_fs: Any, folder: Path) -> str:
        return self._within(self._dir_and_file_with_same_name_prefix, local_fs, folder)

    @pytest.fixture
    def fs_10_files_with_hashed_names(self, local_fs: Any, folder: Path) -> str:
        return self._within(self._10_files_with_hashed_names, local_fs, folder)

    @staticmethod
    def _within(scenario: Callable[..., str], local_fs: Any, folder: Path) -> str:
        return os.path.relpath(scenario(local_fs, os.path.join, str(folder)), folder)


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
