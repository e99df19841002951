"""Decide the sources of each archive: the URLs and torrents with its file name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ilsvrc import facts
from ilsvrc.archive.expected import Expected, expected_digest
from ilsvrc.errors import UsageError
from ilsvrc.fetch.request import FetchRequest
from ilsvrc.fetch.torrents import ACADEMIC, Torrent
from ilsvrc.fetch.urls import origin, shown

SHORT = {"train": facts.TRAIN, "val": facts.VAL, "test": facts.TEST, "devkit": facts.DEVKIT}
"""Short names of the official archives."""

DEFAULT = (facts.TRAIN, facts.VAL, facts.DEVKIT)


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of one archive.

    name : file name
    urls : servers of this one file
    torrent : of this one file, or None
    expected : the digest that the source itself states; None if it states none
    signed : whether the queries of the URLs are signatures, which differ each time that the source is asked
    """

    name: str
    urls: tuple[str, ...]
    torrent: Torrent | None = None
    expected: Expected | None = None
    signed: bool = False

    @property
    def algorithm(self) -> str:
        """The algorithm of the digest to compute."""
        return self.expected.digest.algorithm if self.expected else "md5"

    def expected_digest(self, archive: Path, size: int) -> Expected | None:
        """Return the digest that an archive of this name and size should have: as the source states it, or MD5."""
        return self.expected or expected_digest(archive, size, "md5")


def file_name(word: str) -> str:
    """Return the official file name for a short name or a file name; UsageError if it is neither."""
    name = SHORT.get(word, word)
    if facts.official(name) is None:
        raise UsageError(f"no archive is called {word}", hint=f"one of {', '.join(SHORT)}, or an official file name")
    return name


def wanted(request: FetchRequest) -> tuple[str, ...]:
    """Return the archives that a request names before any torrent is read; empty if only the torrents name them."""
    named = request.names or tuple(filter(None, map(_basename, request.urls)))
    if named or (request.torrents and request.torrents != (ACADEMIC,) and not request.urls):
        return tuple(dict.fromkeys(named))
    if request.torrents and not request.urls and not request.credentials:
        return tuple(name for name in DEFAULT if name in facts.infohashes())
    return DEFAULT


def plan(request: FetchRequest, torrents: Iterable[Torrent]) -> list[Sources]:
    """Return the sources of every archive of a request, the URLs and torrents matched by file name.

    If one archive is requested, every URL and torrent is used for it, whatever its own file name.
    """
    found = list(torrents)
    names = wanted(request) or tuple(dict.fromkeys(t.name for t in found))
    _refuse_paths(names)
    single = len(names) == 1
    planned = [_sources(name, request, found, single=single) for name in names]
    _refuse_unused(request, found, planned)
    _refuse_leaks(request, planned)
    return planned


def _sources(name: str, request: FetchRequest, torrents: list[Torrent], *, single: bool) -> Sources:
    torrent = next((t for t in torrents if t.name == name or single), None)
    urls = tuple(_resolved(url, name) for url in request.urls if single or _basename(url) in ("", name))
    if not urls and (request.credentials or not torrent):
        urls = (_official(name, request),)
    return Sources(name, urls, torrent)


def _official(name: str, request: FetchRequest) -> str:
    if facts.official(name) is None:
        raise UsageError(
            f"{name}: not an archive of image-net.org", hint="give its server with --url, or a --torrent"
        )
    if not request.credentials:
        raise UsageError(f"{name}: image-net.org gives it to logged-in users only", hint=instructions())
    return facts.official_url(name)


def instructions() -> str:
    """Return the hint that lists the ways to get the archives."""
    return "\n".join(
        (
            f"five ways to get the data:\n  1. Sign up at {facts.urls('login')[0]} and accept the terms at",
            f"     {facts.urls('terms')[0]}. Log in with a browser, export the cookies of",
            "     image-net.org with an extension (Netscape format, cookies.txt), and add --cookies cookies.txt",
            '     (or --header "Cookie: ...", or --netrc FILE where the server takes a password).',
            "  2. Academic Torrents: add --torrent academic (train and val).",
            "  3. Your own mirror: add --url https://.../ILSVRC2012_img_train.tar, more than once for more servers.",
            "  4. Hugging Face, as Parquet files: ilsvrc fetch --hf --to DIR.",
            "  5. Kaggle, as a zip of folders: ilsvrc fetch --kaggle --to DIR.",
        )
    )


def _refuse_paths(names: Iterable[str]) -> None:
    """Refuse a name that leads out of the folder or is hidden: a URL or a torrent may contain any name."""
    for name in names:
        if "/" in name or not name.isprintable() or name.startswith(".") or not name:
            raise UsageError(f"{name!r}: not a file name", hint="name the archive")


def _refuse_unused(request: FetchRequest, torrents: list[Torrent], planned: list[Sources]) -> None:
    names = {sources.name for sources in planned}
    if len(names) == 1:
        return
    unused = [shown(url) for url in request.urls if _basename(url) not in ("", *names)]
    unused += [torrent.name for torrent in torrents if torrent.name not in names]
    if unused:
        hint = "with several archives, a URL or torrent must have the file name of one of them"
        raise UsageError(f"{unused[0]}: matches none of the requested archives", hint=hint)


def _refuse_leaks(request: FetchRequest, planned: list[Sources]) -> None:
    """Refuse headers with several servers: nothing tells which server they are for."""
    origins = {origin(url) for sources in planned for url in sources.urls}
    if request.credentials.headers and len(origins) > 1:
        hint = "give --header with one server alone; --cookies and --netrc go only to the servers they name"
        raise UsageError("a --header would be sent to every server", hint=hint)


def _basename(url: str) -> str:
    """Return the file name at the end of a URL; empty if the URL is a folder."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _resolved(url: str, name: str) -> str:
    return url if _basename(url) else url + name
