"""Plant faults in the members of a miniature, before its archives are written."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace

from ilsvrc.errors import UsageError
from ilsvrc.facts import TRAIN, VAL, Synset
from ilsvrc.testing.contents import InnerTar, inner_tar
from ilsvrc.testing.faults import FAULTS, Fault
from ilsvrc.testing.images import Camera
from ilsvrc.testing.spec import MiniSpec
from ilsvrc.testing.tarball import (
    Entry,
    gnu_long_name,
    pax_header,
    with_base256_size,
    with_checksum_too_high,
)


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault and its place.

    fault : its kind
    archive : file name of the archive; in other forms the path of the file, or the split where no file has it
    member : name of the member, after a slash where it is in an inner tar; empty where all of the file is meant
    """

    fault: Fault
    archive: str
    member: str = ""


Entries = tuple[Entry, ...]
Change = Callable[[Entry, Synset, Camera], Entries]
"""Returns the members that replace a member; the fault is in the last of them, or is that there are none."""


def hosts(spec: MiniSpec) -> dict[Fault, Synset]:
    """Give every fault of the train archive a class of its own, from the first on.

    A cut takes the last class, since what follows it is lost.

    Raises
    ------
    UsageError
        If the miniature is too small for its faults.
    """
    wanted = [fault for fault in FAULTS if fault in spec.faults and fault != Fault.HTML_AS_TAR]
    wanted.sort(key=lambda fault: fault == Fault.TRUNCATED_ARCHIVE)
    if len(wanted) > spec.classes:
        message = f"{len(wanted)} faults in train need a class each, and the miniature has {spec.classes}"
        raise UsageError(message, hint=f"ask for {len(wanted)} classes or more, or for fewer faults")
    if Fault.MISSING_IMAGES in wanted and min(spec.per_class, spec.classes * spec.val_per_class) < 2:
        raise UsageError("missing-images would leave no image", hint="ask for 2 images or more in train and in val")
    found: dict[Fault, Synset] = dict(zip(wanted, spec.synsets, strict=False))
    if Fault.TRUNCATED_ARCHIVE in found:
        found[Fault.TRUNCATED_ARCHIVE] = spec.synsets[-1]
    return found


def plant_train(spec: MiniSpec, camera: Camera) -> tuple[dict[str, InnerTar], list[Planted]]:
    """Return the inner tars that have a fault, by wnid, and the place of each fault."""
    damaged, planted = {}, []
    for fault, synset in hosts(spec).items():
        if not FAULTS[fault].in_transport:
            inner, member = _plant(fault, inner_tar(spec, synset, camera), camera)
            damaged[synset.wnid] = inner
            planted.append(Planted(fault, TRAIN, f"{inner.name}/{member}" if member else inner.name))
    return damaged, planted


def plant_val(spec: MiniSpec, entries: Entries) -> tuple[Entries, list[Planted]]:
    """Return the members of the val archive with their faults, and the place of each fault."""
    planted = []
    if Fault.MISSING_IMAGES in spec.faults:
        lost, *rest = entries
        entries = tuple(rest)
        planted.append(Planted(Fault.MISSING_IMAGES, VAL, lost.name))
    if Fault.DOT_DIRECTORIES in spec.faults:
        entries = _dotted(entries)
        planted.append(Planted(Fault.DOT_DIRECTORIES, VAL))
    return entries, planted


def _plant(fault: Fault, inner: InnerTar, camera: Camera) -> tuple[InnerTar, str]:
    """Return the inner tar with the fault, and the member's name, which is empty if all of the inner tar is meant."""
    if fault in _WHOLE:
        return _WHOLE[fault](inner), ""
    place = len(inner.entries) // 2
    entry = inner.entries[place]
    changed = _CHANGES[fault](entry, inner.synset, camera)
    entries = (*inner.entries[:place], *changed, *inner.entries[place + 1 :])
    return replace(inner, entries=entries), changed[-1].name if changed else entry.name


def _dotted(entries: Entries) -> Entries:
    """Return the members as `tar -c .` names them."""
    return Entry("./", kind=tarfile.DIRTYPE), *(replace(entry, name=f"./{entry.name}") for entry in entries)


def _cut(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def _stray(synset: Synset, **fields: str | bytes) -> Entry:
    """Return a member that is no image, under an image's name; K starts at 1, so that 0 is free."""
    return Entry(f"{synset.wnid}_0.JPEG", **fields)  # type: ignore[arg-type]


def _evil(name: str) -> Change:
    """Return a change that puts a picture under a dangerous name after the member."""
    return lambda entry, synset, camera: (entry, Entry(name, lambda: camera.jpeg(name, synset.index)))


_WHOLE: dict[Fault, Callable[[InnerTar], InnerTar]] = {
    Fault.MISSING_CLASS: lambda inner: replace(inner, entries=()),
    Fault.GZIPPED_INNER: lambda inner: replace(inner, gzipped=True),
    Fault.DOT_DIRECTORIES: lambda inner: replace(inner, entries=_dotted(inner.entries)),
}
"""Faults of an inner tar as a whole."""

_CHANGES: dict[Fault, Change] = {
    Fault.TRUNCATED_IMAGE: lambda entry, *_: (replace(entry, payload=lambda: _cut(entry.payload())),),
    Fault.PNG_AS_JPEG: lambda entry, synset, camera: (
        replace(entry, payload=lambda: camera.png(entry.name, synset.index)),
    ),
    Fault.CMYK: lambda entry, synset, camera: (
        replace(entry, payload=lambda: camera.cmyk(entry.name, synset.index)),
    ),
    Fault.ZERO_BYTE_IMAGE: lambda entry, *_: (replace(entry, payload=bytes),),
    Fault.MISSING_IMAGES: lambda *_: (),
    Fault.DUPLICATE_MEMBER: lambda entry, synset, camera: (
        entry,
        replace(entry, payload=lambda: camera.jpeg(f"{entry.name} again", synset.index)),
    ),
    Fault.BAD_CHECKSUM: lambda entry, *_: (replace(entry, rewrite=with_checksum_too_high),),
    Fault.PATH_TRAVERSAL: _evil("../../evil.JPEG"),
    Fault.ABSOLUTE_PATH: _evil("/evil.JPEG"),
    Fault.SYMLINK: lambda entry, synset, _: (entry, _stray(synset, kind=tarfile.SYMTYPE, link="../../evil.JPEG")),
    Fault.HARD_LINK: lambda entry, synset, _: (entry, _stray(synset, kind=tarfile.LNKTYPE, link=entry.name)),
    Fault.DEVICE: lambda entry, synset, _: (entry, _stray(synset, kind=tarfile.CHRTYPE)),
    Fault.GNU_LONG_NAME: lambda entry, *_: (gnu_long_name(entry.name), entry),
    Fault.PAX_HEADER: lambda entry, *_: (pax_header(entry.name), entry),
    Fault.BASE256_SIZE: lambda entry, *_: (replace(entry, rewrite=with_base256_size),),
}
"""Faults of one member: the middle one of its inner tar."""
