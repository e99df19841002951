"""URLs: their parts, the origin that a login is given for, and their printable form."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from ilsvrc.errors import UsageError

DEFAULT_PORTS = {"http": 80, "https": 443}


def url_parts(url: str) -> SplitResult:
    """Return the parts of a URL that can be fetched; UsageError for any other text."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # such as http://[::1, or a port that is no number
        right = False
    if not right or not url.isprintable() or " " in url:
        hint = "it begins with http:// or https://, and a space in it is written %20"
        raise UsageError(f"{_without_login(url)!r}: not a URL that can be fetched", hint=hint)
    return parts


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL: a header of the user's is for one origin."""
    parts = url_parts(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


def shown(url: str) -> str:
    """Return a URL as it may be printed: without a user's name, password or signed query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL, such as http://[::1
        return re.sub(r"//[^/]*@", "//", url.partition("?")[0])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _without_login(url: str) -> str:
    """Return the printable part of a text that should be a URL."""
    return re.sub(r"//[^/]*@", "//", url.partition("?")[0])
