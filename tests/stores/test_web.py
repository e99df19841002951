"""Archives on web servers are read in place where that is safe; where not, the message names the way to get them."""

from __future__ import annotations

import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.archive.remote import StoreSource
from ilsvrc.errors import UsageError
from ilsvrc.facts import TRAIN
from ilsvrc.stores.path import StorePath
from ilsvrc.stores.url import parse_url
from tests.cli.helpers import ilsvrc as command
from tests.stores.servers import Web


def test_a_folder_is_read_by_official_names(https: Web, mini: Path) -> None:
    for path in mini.iterdir():
        if path.is_file():
            shutil.copy(path, https.server.root)
    url = https.url("").rstrip("/")
    for split in ("train", "val"):
        assert list(ilsvrc.ImageNet(url, split, loader=bytes)) == list(ilsvrc.ImageNet(mini, split, loader=bytes))


def test_shards_are_read_by_their_manifests(https: Web, mini: Path, tmp_path: Path) -> None:
    ilsvrc.prepare(mini, tmp_path / "wds", format="webdataset", jobs=1, shard_images=7)
    shutil.copytree(tmp_path / "wds", https.server.root / "wds", dirs_exist_ok=True)
    theirs = ilsvrc.ImageNet(https.url("wds"), "val", loader=bytes)
    assert list(theirs) == list(ilsvrc.ImageNet(tmp_path / "wds", "val", loader=bytes))


def test_class_folders_are_read_by_their_manifests(https: Web, mini: Path, tmp_path: Path) -> None:
    ilsvrc.prepare(mini, tmp_path / "folders", jobs=1)
    shutil.copytree(tmp_path / "folders", https.server.root / "folders", dirs_exist_ok=True)
    for habit in ("ranges", "whole"):
        theirs = ilsvrc.ImageNet(https.url("folders", habit), "val", loader=bytes)
        assert list(theirs) == list(ilsvrc.ImageNet(tmp_path / "folders", "val", loader=bytes))


def test_nothing_under_an_official_name_says_that_a_web_server_lists_nothing(https: Web) -> None:
    with pytest.raises(UsageError, match="holds no archive by its official name") as caught:
        ilsvrc.ImageNet(https.url("empty"), "train")
    assert "give the address of one file" in caught.value.hint


def test_a_server_without_ranges_names_the_command_that_gets_the_file(https: Web, mini: Path, tmp_path: Path) -> None:
    shutil.copy(mini / TRAIN, https.server.root)
    refused = command("index", https.url(TRAIN, "whole"), status=2)
    assert "its server gives whole files only" in refused.stderr
    [way] = re.findall(r"(ilsvrc fetch .*) --to FOLDER", refused.stderr.replace("\n", " "))
    assert shlex.split(way) == ["ilsvrc", "fetch", TRAIN, "--url", https.url(TRAIN, "whole")]


def test_a_question_mark_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="may have no question mark") as caught:
        parse_url("https://host/a.tar?X-Amz-Signature=abcdef")
    assert "abcdef" not in str(caught.value) + caught.value.hint
    assert parse_url("s3://bucket/a?b").key == "a?b"


class Stateless(BaseHTTPRequestHandler):
    """A server that names no state of its files."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stateless() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stateless)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_names_no_state_is_refused(stateless: str) -> None:
    with pytest.raises(UsageError, match="neither an ETag nor a time of change") as caught:
        StoreSource(StorePath(f"{stateless}/other.tar"))
    assert caught.value.hint == f"bring it to this machine: curl -C - -O {stateless}/other.tar"
