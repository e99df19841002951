"""Addresses of objects, and where they may not be mistaken for paths."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ilsvrc.errors import UsageError

SCHEMES = ("s3", "gs", "az", "https", "http")
"""What stands before `://` of an address."""

WEB = ("https", "http")
"""Schemes of servers that list nothing."""

_URL = re.compile(r"([a-z][a-z0-9+.-]*):(?://?|$)(.*)", re.IGNORECASE | re.DOTALL)

_NO_KEY = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|(?:^|/)\.\.(?:/|$)")
"""What no key may have: control characters, bytes that are no text, `..` between slashes."""


@dataclass(frozen=True, slots=True, order=True)
class Url:
    """An address: `scheme://bucket/key`.

    scheme : one of SCHEMES
    bucket : the bucket, the container, or a server's name and port
    key : the object's key, or the beginning of some keys; no slash at either end
    """

    scheme: str
    bucket: str
    key: str = ""

    def __str__(self) -> str:
        root = f"{self.scheme}://{self.bucket}"
        return f"{root}/{self.key}" if self.key else root

    @property
    def name(self) -> str:
        """The part of the key after its last slash; the bucket if there is no key."""
        return self.key.rpartition("/")[2] or self.bucket

    def at(self, key: str) -> Url:
        """Return the address of another key in the same bucket."""
        return replace(self, key=key.strip("/"))


def is_url(text: str) -> bool:
    """Whether a text is meant as an address; `s3:/bucket` and `s3:`, which is what a path makes of some, are too.

    So is one of a scheme that nobody here knows: it is refused, and not taken for a folder of this machine.

    >>> is_url("s3://bucket/archives"), is_url("/data/archives"), is_url("C:/data")
    (True, False, False)
    """
    found = _URL.match(text)
    if found is None:
        return False
    return "://" in text or found[1].lower() in SCHEMES or (len(found[1]) > 1 and ":/" in text)


def has_no_bucket(text: str) -> bool:
    """Whether an address has an empty bucket, as `s3:///folder` has; a path would make `folder` the bucket."""
    found = _URL.match(text)
    return found is not None and found[1].lower() in SCHEMES and f"{found[2]}/".startswith("/")


def parse_url(text: str) -> Url:
    """Return the parts of an address.

    >>> parse_url("s3://bucket/archives/")
    Url(scheme='s3', bucket='bucket', key='archives')

    Raises
    ------
    UsageError
        If it has an unknown scheme, no bucket, or a name and password in it: those would come into every message.
    """
    found = _URL.match(text)
    scheme = found[1].lower() if found else ""
    if found is None or scheme not in SCHEMES:
        shown = f"{scheme}://" if scheme else "it"
        raise UsageError(
            f"{shown} is no address that ilsvrc can read",
            hint=f"use {', '.join(f'{s}://' for s in SCHEMES)}; a folder of this machine, from / on",
        )
    bucket, _, key = found[2].partition("/")
    if not bucket:
        raise UsageError(
            f"{scheme}:// has no bucket", hint=f"is a shell variable unset? write {scheme}://BUCKET/FOLDER"
        )
    if "@" in bucket:
        hint = "give them by the environment, see docs/how-to/object-stores.md"
        raise UsageError(f"an address of {scheme}:// may have no name and password in it", hint=hint)
    if scheme in WEB and "?" in key:
        hint = "what follows the question mark would come into every message and index; bring the file here with curl"
        raise UsageError(f"an address of {scheme}:// may have no question mark in it", hint=hint)
    key = "/".join(part for part in key.split("/") if part not in ("", "."))
    if _NO_KEY.search(f"{bucket}/{key}"):
        hint = "write the folder's own address; an object of such a key is copied to another key by the store's tools"
        raise UsageError(f"an address of {scheme}:// may have no '..' and no control character in it", hint=hint)
    return Url(scheme, bucket, key)
