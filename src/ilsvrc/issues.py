"""The faults of archives, members, images and trees: one code for each kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The kinds of fault; each is explained with an example in docs/reference/issues.md."""

    # the archive as a file
    NOT_TAR = "not-tar"
    HTML_PAGE = "html-page"
    WRONG_FILE = "wrong-file"
    WRONG_SIZE = "wrong-size"
    WRONG_DIGEST = "wrong-digest"
    NO_DIGEST = "no-digest"
    TRUNCATED_ARCHIVE = "truncated-archive"
    TRAILING_DATA = "trailing-data"
    # one member of it
    BAD_CHECKSUM = "bad-checksum"
    BAD_HEADER = "bad-header"
    PATH_TRAVERSAL = "path-traversal"
    ABSOLUTE_PATH = "absolute-path"
    SYMLINK = "symlink"
    HARD_LINK = "hard-link"
    DEVICE = "device"
    SPARSE = "sparse"
    COMPRESSED = "compressed"
    ENCRYPTED = "encrypted"
    DAMAGED_COMPRESSION = "damaged-compression"
    UNKNOWN_MEMBER = "unknown-member"
    UNKNOWN_CLASS = "unknown-class"
    WRONG_CLASS = "wrong-class"
    DUPLICATE_MEMBER = "duplicate-member"
    # one image
    ZERO_BYTES = "zero-bytes"
    TRUNCATED_IMAGE = "truncated-image"
    NOT_AN_IMAGE = "not-an-image"
    UNDECODABLE = "undecodable"
    UNENCODABLE = "unencodable"
    ORIENTED = "oriented"
    PNG = "png"
    CMYK = "cmyk"
    BAD_EXIF = "bad-exif"
    # the data set
    MISSING_CLASS = "missing-class"
    MISSING_IMAGE = "missing-image"
    MISSING_FILE = "missing-file"
    SURPLUS_IMAGE = "surplus-image"
    STRAY_FILE = "stray-file"
    STRAY_FOLDER = "stray-folder"
    HIDDEN_FOLDER = "hidden-folder"
    DUPLICATE_IMAGE = "duplicate-image"
    CHANGED_IMAGE = "changed-image"
    WRONG_LABEL = "wrong-label"
    UNREADABLE = "unreadable"
    LEFT_OUT = "left-out"
    CHANGED_SHARD = "changed-shard"


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault or oddity.

    key : the member, path, class or archive that it is about
    code : the kind of fault
    detail : one sentence with the numbers that matter
    known : the official archives as published have it too, so it is expected
    """

    key: str
    code: Code
    detail: str
    known: bool = False

    @property
    def is_damage(self) -> bool:
        """Whether the data is at fault: it is none of the published anomalies."""
        return not self.known

    def __str__(self) -> str:
        return f"{self.code}: {self.key}: {self.detail}"


def damage(issues: Iterable[Issue]) -> list[Issue]:
    """Return the issues that are damage, in their order."""
    return [issue for issue in issues if issue.is_damage]
