"""What is an address, and what is a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.paths import given_location, given_path
from ilsvrc.stores.path import StorePath
from ilsvrc.stores.url import is_url, parse_url
from tests.cli.helpers import ilsvrc


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3:/bucket/a", "s3://bucket/a"),
        (str(Path("gs://bucket//a")), "gs://bucket/a"),
        ("AZ://container", "az://container"),
        ("s3://bucket/./a/.", "s3://bucket/a"),
        ("s3://bucket/a..b", "s3://bucket/a..b"),
        ("https://host:8443/x y/é.tar", "https://host:8443/x y/é.tar"),
    ],
)
def test_an_address_is_understood_however_it_was_written(text: str, address: str) -> None:
    assert is_url(text)
    assert str(parse_url(text)) == address
    assert given_location(text) == given_location(Path(text)) == StorePath(address)


@pytest.mark.parametrize("text", ["/data/s3", "s3", "a:b", "C:/data", "./x:/y", "data/s3:/x"])
def test_a_path_is_no_address(text: str) -> None:
    assert not is_url(text)
    assert given_location(text) == given_path(text) == Path(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://host/x", "ftp:// is no address"),
        ("s3://", "has no bucket"),
        ("s3:", "has no bucket"),
        ("gcs:/bucket/x", "gcs:// is no address"),
        ("s3://bucket/../other", r"no '\.\.' and no control character"),
        ("s3://bucket/a\nb", "no control character"),
        ("s3://bucket/a\udc80", "no control character"),
        ("https://user:hunter2@host/x", "no name and password"),
        ("https://host/x?token=hunter2", "no question mark"),
    ],
)
def test_an_address_that_can_not_be_used_is_refused_and_its_secrets_not_shown(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        given_location(text)
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_where_only_a_path_will_do_an_address_is_refused_with_the_next_command() -> None:
    with pytest.raises(UsageError, match="lies in an object store") as caught:
        given_path("s3://bucket/a b", "the folder")
    assert "ilsvrc prepare 's3://bucket/a b' FOLDER" in caught.value.hint


@pytest.mark.parametrize("text", ["s3://", "s3:///archives", "gs:/"])
def test_the_program_refuses_an_address_without_a_bucket(text: str, tmp_path: Path) -> None:
    called = ilsvrc("prepare", text, tmp_path / "new", status=2)
    assert "has no bucket" in called.stderr
    assert "variable unset" in called.stderr
    assert not list(tmp_path.iterdir())


def test_the_program_takes_no_unknown_address_for_a_folder() -> None:
    assert "gcs:// is no address" in ilsvrc("mini", "gcs://bucket/x", status=2).stderr
