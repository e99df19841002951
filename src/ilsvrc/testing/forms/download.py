"""Stop the download of a miniature: leave its files as downloaders leave them."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import struct
from pathlib import Path

from ilsvrc.facts import TRAIN, VAL
from ilsvrc.testing.forms import huggingface, kaggle
from ilsvrc.testing.spec import Form, MiniSpec

_ARRIVED = 0.6
"""The share of a file that is there."""
_PIECE = 1 << 20
_BLOCK = 1 << 14
"""Bytes of the pieces and blocks in which aria2 counts, by default."""
_HUB_CACHE = ".cache/huggingface/download"
"""Below the folder that `hf download --local-dir` writes to (huggingface_hub, _local_folder.py)."""


def stop_download(spec: MiniSpec, folder: Path) -> None:
    """Leave the files of a complete miniature as they are when its download stops.

    Of the archives, train was fetched by aria2c, which makes the file as long as it will be, with a control file
    beside it; val by a browser, into `NAME.part`. From Hugging Face, the last train file is still in the hub's cache.
    All others were cut short under their own name, as wget, curl and Kaggle's client leave them.
    """
    match Form(spec.form):
        case Form.ARCHIVES:
            _leave_by_aria2(folder / TRAIN)
            _leave_by_browser(folder / VAL)
        case Form.HF_PARQUET | Form.HF_TAR:
            _leave_by_hub(folder, max((folder / huggingface.FOLDER).glob("train*")))
        case Form.KAGGLE_ZIP:
            _cut(folder / kaggle.ZIP)
        case Form.KAGGLE_TARGZ:
            _cut(folder / kaggle.TARGZ)
        case _:
            _cut(folder / ("train.tar.gz" if spec.compressed else "train.tar"))


def left_names(spec: MiniSpec) -> tuple[str, ...]:
    """Return the names directly in its folder that a miniature has only because its download stopped."""
    match Form(spec.form):
        case Form.ARCHIVES:
            return _control_name(TRAIN), _part_name(VAL)
        case Form.HF_PARQUET | Form.HF_TAR:
            return (_HUB_CACHE.partition("/")[0],)
        case _:
            return ()


def _control_name(name: str) -> str:
    return f"{name}.aria2"


def _part_name(name: str) -> str:
    return f"{name}.part"


def _cut(path: Path) -> None:
    os.truncate(path, int(path.stat().st_size * _ARRIVED))


def _leave_by_browser(path: Path) -> None:
    _cut(path)
    path.rename(path.with_name(_part_name(path.name)))


def _leave_by_hub(folder: Path, path: Path) -> None:
    """Move a part of the file to the name that huggingface_hub resumes from."""
    with path.open("rb") as file:
        etag = hashlib.file_digest(file, "sha256").hexdigest()
    short = base64.urlsafe_b64encode(hashlib.sha1(f"{path.name}.metadata".encode(), usedforsecurity=False).digest())
    target = folder / _HUB_CACHE / path.parent.name / f"{short.decode()}.{etag}.incomplete"
    target.parent.mkdir(parents=True)
    _cut(path)
    shutil.move(path, target)


def _leave_by_aria2(path: Path) -> None:
    """Empty the file from some block on, and write the control file that says which bytes are there."""
    size = path.stat().st_size
    blocks = int(size * _ARRIVED) // _BLOCK
    os.truncate(path, blocks * _BLOCK)
    os.truncate(path, size)
    path.with_name(_control_name(path.name)).write_bytes(_control_file(size, blocks))


def _control_file(size: int, blocks: int) -> bytes:
    """Return aria2's control file for a file whose first blocks are there.

    Version 1, without an infohash: https://aria2.github.io/manual/en/html/technical-notes.html
    """
    whole, in_flight = divmod(blocks, _PIECE // _BLOCK)
    pieces = -(-size // _PIECE)
    head = struct.pack(">HIIIQQ", 1, 0, 0, _PIECE, size, 0)
    length = min(_PIECE, size - whole * _PIECE)
    flight = _bits(in_flight, -(-length // _BLOCK))
    current = struct.pack(">IIII", 1, whole, length, len(flight)) + flight
    field = _bits(whole, pieces)
    return head + struct.pack(">I", len(field)) + field + current


def _bits(ones: int, count: int) -> bytes:
    """Return a bitfield of so many bits, the first ones set, padded to whole bytes."""
    return int("1" * ones + "0" * (-(-count // 8) * 8 - ones), 2).to_bytes(-(-count // 8), "big")
