"""The faults that a miniature can be given, each as it occurs in real archives."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum

from ilsvrc.errors import UsageError
from ilsvrc.issues import Code


class Fault(StrEnum):
    """The kinds of fault; FAULTS describes each."""

    TRUNCATED_ARCHIVE = "truncated-archive"
    TRUNCATED_IMAGE = "truncated-image"
    FLIPPED_BYTES = "flipped-bytes"
    PNG_AS_JPEG = "png-as-jpeg"
    CMYK = "cmyk"
    ZERO_BYTE_IMAGE = "zero-byte-image"
    MISSING_CLASS = "missing-class"
    MISSING_IMAGES = "missing-images"
    DUPLICATE_MEMBER = "duplicate-member"
    BAD_CHECKSUM = "bad-checksum"
    PATH_TRAVERSAL = "path-traversal"
    ABSOLUTE_PATH = "absolute-path"
    SYMLINK = "symlink"
    HARD_LINK = "hard-link"
    DEVICE = "device"
    HTML_AS_TAR = "html-as-tar"
    GZIPPED_INNER = "gzipped-inner"
    GNU_LONG_NAME = "gnu-long-name"
    PAX_HEADER = "pax-header"
    BASE256_SIZE = "base256-size"
    DOT_DIRECTORIES = "dot-directories"


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """The description of a fault.

    description : one line for people
    code : the code that a check should report; None where the member is unusual but must be accepted
    where : the part of the miniature that it is planted in
    in_transport : MD5SUMS is of the archive before the fault, so that the digest alone tells of it
    anywhere : every form can have it: it is a fault of images, not of tars
    """

    description: str
    code: Code | None
    where: str
    in_transport: bool = False
    anywhere: bool = False


_IMAGE, _INNER, _TRAIN = "an image of train", "an inner tar of train", "the train archive"

FAULTS: dict[Fault, FaultSpec] = {
    Fault.TRUNCATED_ARCHIVE: FaultSpec(
        "the archive ends in the middle of an image", Code.TRUNCATED_ARCHIVE, _TRAIN, in_transport=True
    ),
    Fault.TRUNCATED_IMAGE: FaultSpec(
        "a JPEG that ends after 60 % of its bytes", Code.TRUNCATED_IMAGE, _IMAGE, anywhere=True
    ),
    Fault.FLIPPED_BYTES: FaultSpec(
        "eight bytes of an image's compressed pixels are inverted", Code.WRONG_DIGEST, _IMAGE, in_transport=True
    ),
    Fault.PNG_AS_JPEG: FaultSpec("a PNG file under a .JPEG name", Code.PNG, _IMAGE, anywhere=True),
    Fault.CMYK: FaultSpec("a JPEG of four inks", Code.CMYK, _IMAGE, anywhere=True),
    Fault.ZERO_BYTE_IMAGE: FaultSpec("an image of no bytes", Code.ZERO_BYTES, _IMAGE, anywhere=True),
    Fault.MISSING_CLASS: FaultSpec(
        "a class without an inner tar, though meta.mat counts it", Code.MISSING_CLASS, _TRAIN, anywhere=True
    ),
    Fault.MISSING_IMAGES: FaultSpec(
        "one image fewer than meta.mat counts, and a validation image left out",
        Code.MISSING_IMAGE,
        f"{_INNER}, and val",
        anywhere=True,
    ),
    Fault.DUPLICATE_MEMBER: FaultSpec(
        "two members of one name, with different pictures", Code.DUPLICATE_MEMBER, _INNER
    ),
    Fault.BAD_CHECKSUM: FaultSpec("a header whose checksum is one too high", Code.BAD_CHECKSUM, _INNER),
    Fault.PATH_TRAVERSAL: FaultSpec("a member named `../../evil.JPEG`", Code.PATH_TRAVERSAL, _INNER),
    Fault.ABSOLUTE_PATH: FaultSpec("a member named `/evil.JPEG`", Code.ABSOLUTE_PATH, _INNER),
    Fault.SYMLINK: FaultSpec("a symbolic link that leads out of the folder", Code.SYMLINK, _INNER),
    Fault.HARD_LINK: FaultSpec("a hard link to an image", Code.HARD_LINK, _INNER),
    Fault.DEVICE: FaultSpec("a character device", Code.DEVICE, _INNER),
    Fault.HTML_AS_TAR: FaultSpec(
        "a login page saved under the archive's name", Code.HTML_PAGE, "the val archive", in_transport=True
    ),
    Fault.GZIPPED_INNER: FaultSpec("an inner tar that is gzipped, under its plain name", Code.COMPRESSED, _INNER),
    Fault.GNU_LONG_NAME: FaultSpec("a GNU long-name record before a member", None, _INNER),
    Fault.PAX_HEADER: FaultSpec("a pax record with path and mtime before a member", None, _INNER),
    Fault.BASE256_SIZE: FaultSpec("a header whose size is in base 256", None, _INNER),
    Fault.DOT_DIRECTORIES: FaultSpec("a `./` member first, and `./` before every name", None, f"{_INNER}, and val"),
}
"""Every fault, in the order in which they take the classes of a miniature."""


def parse_faults(text: str) -> frozenset[Fault]:
    """Return the faults of a comma-separated list; for an unknown word a UsageError names the nearest ones."""
    words = [word.strip() for word in text.split(",")]
    return frozenset(_fault(word) for word in words if word)


def _fault(word: str) -> Fault:
    try:
        return Fault(word)
    except ValueError:
        near = difflib.get_close_matches(word, list(Fault), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known faults: {', '.join(Fault)}"
        raise UsageError(f"no such fault: {word}", hint=hint) from None
