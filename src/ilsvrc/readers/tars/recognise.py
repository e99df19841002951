"""Recognise tars that are no official archives, by what they begin with, and open them."""

from __future__ import annotations

import contextlib
import lzma
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa

from ilsvrc import facts
from ilsvrc.archive.find import splits_named
from ilsvrc.archive.header import BLOCK, checksum_faults, member_name
from ilsvrc.archive.names import split_of
from ilsvrc.archive.remote import SourceFile, source_of, state_of
from ilsvrc.archive.sidecar import folders
from ilsvrc.archive.source import ArchiveSource
from ilsvrc.archive.tar import Extent, Walk
from ilsvrc.errors import ArchiveError, DamageError, UsageError
from ilsvrc.events import Listener, silent
from ilsvrc.files import printable
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.reader import Found
from ilsvrc.readers.tars.classes import FORM as CLASS_TARS
from ilsvrc.readers.tars.classes import class_tars, open_classes
from ilsvrc.readers.tars.gather import Tar
from ilsvrc.readers.tars.index import SUFFIX, merged, open_index, stored_index
from ilsvrc.readers.tars.names import INNER, SPLITS, UnknownImage, images_among
from ilsvrc.readers.tars.packed import form_of, sweep
from ilsvrc.readers.tars.reader import Contents, TarReader
from ilsvrc.readers.tars.walk import is_other
from ilsvrc.stores.path import Location, StorePath, fetch_folder

TRAIN_PARTS = 5
"""Parts of train at huggingface.co/datasets/ILSVRC/imagenet-1k, train_images_0 to _4 (imagenet-1k.py there)."""

HUGGING_FACE = "Hugging Face tar.gz"

_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_PART = re.compile(r"(?P<split>train|val|test)_images(?:_(?P<part>\d{1,3}))?\.(?:tar\.gz|tgz|tar\.zst|tar)")
_KAGGLE = "ILSVRC/Data/CLS-LOC/"
_KAGGLE_TOO = ("ILSVRC/Annotations/CLS-LOC/", "ILSVRC/ImageSets/CLS-LOC/")
_CLASS_FOLDERS = ("", "train", "ILSVRC2012_img_train")
_INNER = re.compile(INNER)
_OFFICIAL = re.compile(r"n\d{8}\.tar|ILSVRC2012_(?:val|test)_\d{8}\.JPEG")

_PEEK = 4 << 20
"""Bytes of what is unpacked that are looked at."""

_HEADERS = 256
_SAMPLES = 64
_SAMPLE = 1 << 18


@dataclass(frozen=True, slots=True)
class Peek:
    """What a file seems to be.

    form : how it is compressed, or empty
    paths : names of its first files
    splits : splits that it has images of, as far as can be told
    """

    form: str
    paths: tuple[str, ...]
    splits: tuple[str, ...]


def recognise(root: Location) -> list[Found]:
    """Return the splits in the tars at a path, which is a tar or a folder of tars; official archives are left out.

    A tar that is not compressed is looked at in 64 places. Of a compressed one only the beginning can be read
    cheaply: splits that come later are found once it was indexed. Kaggle's is known to hold all three.
    """
    if root.is_file():
        return _in_tar(root)
    if not root.is_dir():
        return []
    found = [*_class_tars(root)]
    for folder in (root, root / "data"):
        parts = _parts(folder)
        for split, paths in parts.items():
            damaged = all(peek(path) is None for path in paths)
            found.append(Found(split, HUGGING_FACE, folder, partial(open_parts, folder, split), damaged))
        taken = {path for paths in parts.values() for path in paths} | set(class_tars(folder))
        if folder == root:
            found += [split for path in _tars_in(root) if path not in taken for split in _in_tar(path)]
    return found


def open_tar(path: Location, split: str, *, verify: bool = False, listener: Listener = silent) -> TarReader:
    """Return the reader of a split in one tar, which is indexed first where no index of it is kept.

    Raises
    ------
    DataError
        If it can't be trusted.
    UsageError
        If it has no image of the split, is compressed in a way that can't be read at random, or `verify` is asked
        for and there are no digests.
    """
    tar = _tar(path)
    index = open_index(path, [tar], listener)
    if split not in index.splits():
        there = ", ".join(index.splits()) or "no image of ILSVRC 2012"
        raise UsageError(f"{path} has no {split} split; it has {there}", hint="give the archive of the split")
    contents = Contents.of(path, form_in_words(tar.form), index, split)
    return TarReader(split, contents, verify=verify, reopen=partial(open_tar, path, split, verify=verify))


def open_parts(folder: Location, split: str, *, verify: bool = False, listener: Listener = silent) -> TarReader:
    """Return the reader of a split in the tars of Hugging Face's first layout, train in five.

    Raises
    ------
    DataError, UsageError
        As `open_tar` does; DamageError if a part of train is missing.
    """
    paths = _parts(folder).get(split, [])
    if not paths:
        raise UsageError(f"{folder} has no {split}_images.tar.gz of Hugging Face's", hint="fetch it")
    _refuse_missing_parts(folder, split, paths)
    index = merged([open_index(path, [_tar(path)], listener) for path in paths])
    contents = Contents.of(folder, HUGGING_FACE, index, split)
    return TarReader(split, contents, verify=verify, reopen=partial(open_parts, folder, split, verify=verify))


def form_in_words(compressed: str) -> str:
    """Return the form of a tar, for messages."""
    return f"tar.{'gz' if compressed == 'gzip' else 'zst'}" if compressed else "tar"


def peek(path: Location) -> Peek | None:
    """Return what a file seems to be by its first bytes; None if it is no tar with images of ILSVRC 2012."""
    try:
        source = source_of(path)
        form = form_of(source.read(0, min(8, source.size)))
        paths = _first_paths(_Head(path, form) if form else source)
    except (OSError, UsageError, ArchiveError):
        return None
    if any(_KAGGLE in name or name.startswith(_KAGGLE_TOO) for name in paths) and form:
        return Peek(form, paths, SPLITS)
    splits = _splits_of(paths)
    if not form and (splits or paths):
        splits |= _sampled(source)
    return Peek(form, paths, tuple(split for split in SPLITS if split in splits)) if splits else None


def is_damaged(path: Location) -> bool:
    """Whether a file that is named as a tar does not begin as one, or can't be unpacked, or is not safe to."""
    try:
        source = source_of(path)
        form = form_of(source.read(0, min(8, source.size)))
        head: ArchiveSource | _Head = _Head(path, form) if form else source
        way = Walk(head, Extent(0, 1 << 62 if form else source.size), is_other)
        for _ in way.steps():
            if len(way.headers) >= _HEADERS:
                break
    except ArchiveError as error:
        return not form or error.code is not Code.TRUNCATED_ARCHIVE or head.state.size < BLOCK
    except (OSError, UsageError):
        return False
    return False


def _in_tar(path: Location) -> list[Found]:
    """Return the splits in one tar; by its name, if it can't be read."""
    seen = peek(path)
    if seen is None:
        official = facts.official(path.name) is not None  # such a file is of the form of archives, whole or not
        named = splits_named(path.name) if not official and is_damaged(path) else ()
        return [Found(split, "tar", path, partial(open_tar, path, split), damaged=True) for split in named]
    if not seen.form and _is_official(seen.paths):
        return []
    splits: Sequence[str] = seen.splits
    if seen.form in ("gzip", "zstd") and _is_indexed(path):
        index = stored_index(path, [_tar(path)])
        splits = index.splits() if index else splits
    form = form_in_words(seen.form) if seen.form in ("", "gzip", "zstd") else f"tar.{seen.form}"
    return [Found(split, form, path, partial(open_tar, path, split)) for split in splits]


def _class_tars(root: Location) -> Iterator[Found]:
    """Yield the train split if it is a folder of class tars."""
    for name in _CLASS_FOLDERS:
        folder = root / name if name else root
        tars = class_tars(folder)
        if any(_seems_class(path) for path in tars[:3]):
            yield Found("train", CLASS_TARS, folder, partial(open_classes, folder, "train"))
            return


def _seems_class(path: Location) -> bool:
    """Whether a tar begins with a train image, or is cut short before the first."""
    seen = peek(path)
    return seen is not None and "train" in seen.splits


def _parts(folder: Location) -> dict[str, list[Location]]:
    """Return the tars of Hugging Face's first layout in a folder by split, in the order of their numbers.

    Those that can't be read are of the split in their names: whoever opens it is told.
    """
    if not folder.is_dir():
        return {}
    named = [(match, path) for path in folder.iterdir() if (match := _PART.fullmatch(path.name)) and path.is_file()]
    found: dict[str, list[Location]] = {}
    for match, path in sorted(named, key=lambda pair: (int(pair[0]["part"] or 0), pair[1].name)):
        seen = peek(path)
        if match["split"] in seen.splits if seen else is_damaged(path):
            found.setdefault(match["split"], []).append(path)
    return {split: found[split] for split in SPLITS if split in found}


def _refuse_missing_parts(folder: Location, split: str, paths: Sequence[Location]) -> None:
    """Refuse train of which parts are not there, as a split in Parquet files is refused.

    Raises
    ------
    DamageError
        Naming the parts, with an issue for each.
    """
    matches = (_PART.fullmatch(path.name) for path in paths)
    there = {int(match["part"]) for match in matches if match and match["part"]}
    if split != "train" or not there:
        return
    total = max(TRAIN_PARTS, max(there) + 1)
    missing = [f"train_images_{part}.tar.gz" for part in sorted(set(range(total)) - there)]
    if not missing:
        return
    issues = [Issue(str(folder / name), Code.MISSING_FILE, "it is not there") for name in missing]
    message = f"{folder}: {len(there):,} of {total:,} files of train are there; missing: {', '.join(missing)}"
    target = printable(fetch_folder(folder.parent if folder.name == "data" else folder))
    fetch = f"`ilsvrc fetch --hf --split train --to {target}` fetches train anew, in Parquet files"
    hint = f"{fetch}; or give one file, to read it alone"
    raise DamageError(f"{message} [{Code.MISSING_FILE}]", issues, hint=hint)


def _tars_in(folder: Location) -> list[Location]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(_ENDINGS) and path.is_file())


def _tar(path: Location) -> Tar:
    """Return a tar.

    Raises
    ------
    UsageError
        If it is compressed in a way that can't be read at random.
    """
    source = source_of(path)
    form = form_of(source.read(0, min(8, source.size)))
    if form in ("bzip2", "xz"):
        sweep(source, form)
    return Tar(source, form)


def _is_indexed(path: Location) -> bool:
    return isinstance(path, StorePath) or any((folder / f"{path.name}{SUFFIX}").is_file() for folder in folders(path))


def _is_official(paths: Sequence[str]) -> bool:
    """Whether a tar begins as the official archives do: class tars, or images of val or test, in no folder."""
    return bool(paths) and _OFFICIAL.fullmatch(paths[0]) is not None and split_of(paths[0]) is not None


class _Head:
    """The first bytes of what is unpacked from a file: a ArchiveSource that ends early."""

    def __init__(self, path: Location, form: str) -> None:
        self.path = path
        with SourceFile(source_of(path)) as file:
            if form == "xz":
                data = lzma.LZMADecompressor().decompress(file.read(_PEEK), _PEEK)
            else:
                data = _read_some(pa.CompressedInputStream(pa.PythonFile(file, "r"), _ARROW[form]))
        self._data = data
        self.state = replace(state_of(path), size=len(data))

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes at `offset`."""
        if offset + length > len(self._data):
            raise ArchiveError(Code.TRUNCATED_ARCHIVE, "only its beginning is looked at", self.path)
        return self._data[offset : offset + length]

    def will_need(self, offset: int, length: int) -> None:
        """Do nothing: it is all here."""

    def let_go(self, offset: int, length: int) -> None:
        """Do nothing: it is all here."""


_ARROW = {"gzip": "gzip", "zstd": "zstd", "bzip2": "bz2"}


def _read_some(stream: pa.CompressedInputStream) -> bytes:
    """Return the first bytes that a stream has, up to where it is damaged."""
    data = b""
    try:
        while len(data) < _PEEK and (more := stream.read(1 << 16)):
            data += more
    except (OSError, pa.ArrowException):
        pass
    return data


def _first_paths(source: ArchiveSource | _Head) -> tuple[str, ...]:
    """Return the names of the first files of a tar; none if it does not begin as one."""
    way = Walk(source, Extent(0, 1 << 62 if isinstance(source, _Head) else source.size), is_other)
    with contextlib.suppress(ArchiveError):  # whoever opens it is told
        for _ in way.steps():
            if len(way.headers) >= _HEADERS:
                break
    if not way.places or way.places[0] != 0 or checksum_faults(way.headers[:1]).size:
        return ()
    return tuple(name.encode("utf-8", "backslashreplace").decode() for name in way.names)


def _splits_of(paths: Sequence[str]) -> set[str]:
    """Return the splits that some names are of; a class's tar holds train images."""
    found = {"train"} if any(_INNER.fullmatch(path) for path in paths) else set()
    return found | _image_splits(paths)


def _image_splits(paths: Sequence[str]) -> set[str]:
    """Return the splits of the images among some names, all looked at together; halved to leave out unknown ones."""
    try:
        splits = images_among(pa.array(paths, pa.string())).splits
    except UnknownImage:  # whoever opens it is told
        half = len(paths) // 2
        return _image_splits(paths[:half]) | _image_splits(paths[half:]) if half else set()
    return {SPLITS[number] for number in np.unique(splits).tolist()}


def _sampled(source: ArchiveSource) -> set[str]:
    """Return the splits that images are of whose headers are met in some places of a tar that is not compressed."""
    names: set[str] = set()
    step = max(_SAMPLE, source.size // _SAMPLES // BLOCK * BLOCK)
    for start in range(0, source.size, step):
        data = source.read(start, min(_SAMPLE, source.size - start) // BLOCK * BLOCK)
        blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK)
        likely = np.flatnonzero((blocks[:, 257:262] == np.frombuffer(b"ustar", np.uint8)).all(1))
        headers = [blocks[row].tobytes() for row in likely.tolist()]
        wrong = set(checksum_faults(headers).tolist())
        names |= {member_name(header) for at, header in enumerate(headers) if at not in wrong}
    found = [name.encode("utf-8", "backslashreplace").decode() for name in sorted(names)]
    return _splits_of([name.removeprefix("./") for name in found])
