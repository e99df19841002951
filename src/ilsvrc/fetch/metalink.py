"""Read which servers a Metalink file lists (RFC 5854, and version 3 as older programs write it)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from ilsvrc.errors import DataError, UsageError
from ilsvrc.fetch.request import FetchRequest
from ilsvrc.fetch.urls import url_parts

LARGEST = 1 << 20
"""Bytes; a larger file is refused."""


def with_metalinks(request: FetchRequest, paths: Iterable[Path]) -> FetchRequest:
    """Return a request with the servers that Metalink files list, and their files' names if it names none itself.

    aria2c uses all servers of one file together, as with several URLs. Digests in the file are ignored: an archive
    is compared with its official digest, with MD5SUMS or with a torrent.

    Raises
    ------
    UsageError
        If there is no such file.
    DataError
        If it is no Metalink file, or lists no server that can be fetched from.
    """
    listed = [pair for path in paths for pair in _servers(path)]
    if not listed:
        return request
    names = request.names or tuple(dict.fromkeys(name for name, _ in listed))
    urls = [url for name, url in listed if name in names or len(names) == 1]
    return replace(request, names=names, urls=(*request.urls, *urls))


def _servers(path: Path) -> list[tuple[str, str]]:
    """Return file name and URL for every server in a Metalink file, the preferred ones first."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    try:
        if len(text) > LARGEST or b"<!ENTITY" in text:
            raise ElementTree.ParseError("too large, or with entities")
        found = list(_listed(ElementTree.fromstring(text)))  # noqa: S314  -- small, and without entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two for an odd encoding
        raise DataError(f"{path} is no Metalink file: {error}", hint="give a .meta4 or .metalink file") from None
    for _, name, url in found:
        _refuse_invalid(path, name, url)
    if not found:
        raise DataError(f"{path} lists no server with http:// or https://", hint="give another one, or --url")
    return [(name, url) for _, name, url in sorted(found, key=lambda one: one[0])]


def _refuse_invalid(path: Path, name: str, url: str) -> None:
    """Refuse a file name that can't be printed, and a URL that can't be fetched."""
    if not name or not name.isprintable():
        raise DataError(f"{path}: {name!r} is not a file name", hint="give another Metalink file, or --url")
    try:
        url_parts(url)
    except UsageError as error:
        raise DataError(f"{path}: {error.message}", hint="give another Metalink file, or --url") from None


def _listed(root: ElementTree.Element) -> Iterator[tuple[int, str, str]]:
    """Yield rank, file name and URL of every server; version 4 ranks by priority, version 3 by preference."""
    for file in root.iterfind(".//{*}file"):
        for url in file.iterfind(".//{*}url"):
            text = (url.text or "").strip()
            if text.startswith(("http://", "https://")):
                yield _rank(url), file.get("name", ""), text


def _rank(url: ElementTree.Element) -> int:
    """Return the rank of a server, the least first."""
    for name, sign in (("priority", 1), ("preference", -1)):
        text = url.get(name)
        if text:
            if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII):
                raise ElementTree.ParseError(f"{name}={text!r} is no number")
            return sign * int(text) if sign > 0 else 100 - int(text)
    return 100
