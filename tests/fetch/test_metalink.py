"""Metalink files of both versions, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc.errors import DataError, UsageError
from ilsvrc.fetch.metalink import with_metalinks
from ilsvrc.fetch.request import FetchRequest
from tests.fetch.nginx import Nginx

from ..cli.helpers import ilsvrc_json

VERSION_4 = """<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <file name="a.tar">
    <size>3</size>
    <url priority="2" location="de">{second}</url>
    <url priority="1">{first}</url>
    <metaurl mediatype="torrent">http://127.0.0.1/a.torrent</metaurl>
  </file>
</metalink>
"""
VERSION_3 = """<metalink version="3.0" xmlns="http://www.metalinker.org/">
  <files><file name="a.tar"><resources>
    <url type="http" preference="10">{second}</url>
    <url type="ftp" preference="100">ftp://127.0.0.1/a.tar</url>
    <url type="http" preference="90">{first}</url>
  </resources></file></files>
</metalink>
"""


@pytest.mark.parametrize("form", [VERSION_4, VERSION_3], ids=["version 4", "version 3"])
def test_servers_are_read_with_the_preferred_first(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.meta4").write_text(form.format(first="http://one/a.tar", second="http://two/a.tar"))
    request = with_metalinks(FetchRequest(tmp_path, urls=("http://zero/a.tar",)), [tmp_path / "a.meta4"])
    assert request.names == ("a.tar",)
    assert request.urls == ("http://zero/a.tar", "http://one/a.tar", "http://two/a.tar")


def test_without_metalinks_a_request_stays_as_it_is(tmp_path: Path) -> None:
    assert with_metalinks(FetchRequest(tmp_path), []) == FetchRequest(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><body>log in</body></html>",
        "not xml",
        '<!DOCTYPE x [<!ENTITY a "b">]><metalink/>',
        VERSION_4.format(first="ftp://a", second=""),
        VERSION_4.format(first="http://a/b", second="http://c/d").replace('"1"', '"abc"'),
        VERSION_3.format(first="http://a/b", second="http://c/d").replace('"90"', '"-1.5"'),
        VERSION_4.format(first="http://[::1", second="http://c/d"),
        VERSION_4.format(first="http://a/b", second="http://c/d").replace("a.tar", "a&#13;&#10;b.tar"),
        VERSION_4.format(first="http://a/b", second="http://c/d").replace('"UTF-8"', '"nonsense"'),
    ],
)
def test_what_lists_no_server_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.meta4").write_text(text)
    with pytest.raises(DataError, match=r"a\.meta4") as caught:
        with_metalinks(FetchRequest(tmp_path), [tmp_path / "a.meta4"])
    assert caught.value.hint


def test_a_metalink_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        with_metalinks(FetchRequest(tmp_path), [tmp_path / "a.meta4"])


def test_an_archive_comes_from_the_mirrors_of_a_metalink(tmp_path: Path) -> None:
    nginx = Nginx(tmp_path / "server")
    try:
        (nginx.root / "a.tar").write_bytes(bytes(range(256)) * 12_000)
        urls = {"first": nginx.url("ranges", "a.tar"), "second": nginx.url("mirror", "a.tar")}
        (tmp_path / "a.meta4").write_text(VERSION_4.format(**urls))
        told = ilsvrc_json("fetch", "--to", tmp_path / "to", "--metalink", tmp_path / "a.meta4")
    finally:
        nginx.close()
    assert [(a["name"], a["size"]) for a in told["archives"]] == [("a.tar", 256 * 12_000)]
    assert (tmp_path / "to/a.tar").read_bytes() == bytes(range(256)) * 12_000
