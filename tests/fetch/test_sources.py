from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from ilsvrc import facts
from ilsvrc.errors import UsageError
from ilsvrc.fetch.credentials import Credentials
from ilsvrc.fetch.request import FetchRequest
from ilsvrc.fetch.sources import Sources, file_name, plan, wanted
from ilsvrc.fetch.torrents import Torrent, expand

HERE = Path()
LOGIN = Credentials(headers=("Cookie: session=1",))
TORRENT = Torrent("x.tar", 9, 1, "0" * 40, b"")


def test_nothing_named_means_train_val_and_devkit_from_image_net() -> None:
    planned = plan(FetchRequest(HERE, credentials=LOGIN), [])
    assert [s.name for s in planned] == [facts.TRAIN, facts.VAL, facts.DEVKIT]
    assert planned[0].urls == (f"https://image-net.org/data/ILSVRC/2012/{facts.TRAIN}",)


def test_without_a_login_the_error_is_a_page_of_instructions() -> None:
    with pytest.raises(UsageError) as caught:
        plan(FetchRequest(HERE, names=(facts.VAL,)), [])
    for word in ("https://image-net.org/login", "--cookies", "--header", "--netrc", "--torrent academic", "--url"):
        assert word in caught.value.hint


def test_one_archive_takes_every_url_whatever_the_file_is_called_there() -> None:
    urls = ("http://a/val", "http://b/other.tar", "http://c/folder/")
    planned = plan(FetchRequest(HERE, names=(facts.VAL,), urls=urls), [])
    assert planned == [Sources(facts.VAL, ("http://a/val", "http://b/other.tar", f"http://c/folder/{facts.VAL}"))]


def test_several_archives_take_the_urls_that_bear_their_names() -> None:
    urls = (f"http://a/{facts.VAL}", f"http://b/{facts.TRAIN}", "http://c/")
    planned = plan(FetchRequest(HERE, names=(facts.TRAIN, facts.VAL), urls=urls), [])
    assert planned[0].urls == (urls[1], f"http://c/{facts.TRAIN}")
    assert planned[1].urls == (urls[0], f"http://c/{facts.VAL}")


def test_names_come_from_the_urls_where_none_is_given() -> None:
    assert wanted(FetchRequest(HERE, urls=("http://a/x%20y.tar?q=1", "http://b/x%20y.tar"))) == ("x y.tar",)


def test_names_come_from_the_torrents_where_nothing_else_is_given() -> None:
    planned = plan(FetchRequest(HERE, torrents=("x.torrent",)), [TORRENT])
    assert planned == [Sources("x.tar", (), TORRENT)]


def test_a_torrent_and_a_url_of_one_archive_are_used_together() -> None:
    planned = plan(FetchRequest(HERE, urls=("http://a/x.tar",), torrents=("x.torrent",)), [TORRENT])
    assert planned == [Sources("x.tar", ("http://a/x.tar",), TORRENT)]


def test_a_url_or_torrent_of_none_of_the_archives_is_refused() -> None:
    names = (facts.TRAIN, facts.VAL)
    with pytest.raises(UsageError, match="none of the requested archives"):
        plan(FetchRequest(HERE, names=names, urls=("http://a/other.tar", "http://b/")), [])
    with pytest.raises(UsageError, match=r"x\.tar: matches none of the requested archives"):
        plan(FetchRequest(HERE, names=names, urls=("http://b/",)), [TORRENT])


@pytest.mark.parametrize("name", ["../x.tar", "a/b.tar", ".bashrc", "/etc/x", "a\r\nb.tar"])
def test_a_torrent_or_url_can_not_write_outside_the_folder(name: str) -> None:
    with pytest.raises(UsageError, match="not a file name"):
        plan(FetchRequest(HERE, torrents=("x.torrent",)), [Torrent(name, 9, 1, "0" * 40, b"")])
    with pytest.raises(UsageError, match="not a file name"):
        plan(FetchRequest(HERE, urls=(f"http://a/{quote(name, safe='')}",)), [])


def test_headers_go_to_one_server_only() -> None:
    """Nothing says which of two servers, or of two ports of one, a header is for."""
    for other in ("http://b/v", "http://a:81/v", "https://a/v"):
        two = FetchRequest(HERE, names=(facts.VAL,), urls=("http://a/v", other), credentials=LOGIN)
        with pytest.raises(UsageError, match="sent to every server"):
            plan(two, [])
    urls = ("http://a/x.tar", "http://a:80/x.tar")
    planned = plan(FetchRequest(HERE, torrents=("x.torrent",), urls=urls, credentials=LOGIN), [TORRENT])
    assert planned == [Sources("x.tar", urls, TORRENT)]


def test_academic_is_the_magnet_links_of_the_archives_asked_for() -> None:
    request = FetchRequest(HERE, torrents=("academic",))
    assert wanted(request) == (facts.TRAIN, facts.VAL)
    links = expand(request.torrents, wanted(request))
    assert [link[:60] for link in links] == [
        "magnet:?xt=urn:btih:a306397ccf9c2ead27155983c254227c0fd938e2",
        "magnet:?xt=urn:btih:5d6d0df7ed81efd49ca99ea4737e0ae5e3a5f2e5",
    ]
    assert all("academictorrents.com" in link for link in links)
    with pytest.raises(UsageError, match="train and val archives only"):
        expand(("academic",), (facts.DEVKIT,))


def test_short_names_and_file_names() -> None:
    assert file_name("val") == facts.VAL
    assert file_name("ILSVRC2012_bbox_val_v3.tgz") == "ILSVRC2012_bbox_val_v3.tgz"
    with pytest.raises(UsageError, match="no archive is called vla"):
        file_name("vla")
