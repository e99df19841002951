from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from ilsvrc.errors import MachineError
from ilsvrc.events import Advanced, Event, silent
from ilsvrc.facts import classes
from ilsvrc.testing.archives import ArchiveWriter
from ilsvrc.testing.contents import InnerTar
from ilsvrc.testing.tarball import Entry
from tests.testing.helpers import files


def test_pictures_are_made_only_a_little_ahead(tmp_path: Path) -> None:
    made, written, most = 0, 0, 0
    lock = threading.Lock()

    def picture() -> bytes:
        nonlocal made
        with lock:
            made += 1
        return b"picture"

    def count(event: Event) -> None:
        nonlocal written, most
        assert isinstance(event, Advanced)
        written += event.images
        most = max(most, made - written)

    with ThreadPoolExecutor(4) as pool:
        writer = ArchiveWriter(pool, count)
        writer.flat(tmp_path / "val.tar", (Entry(f"{k}.JPEG", picture) for k in range(1000)))
    assert written == writer.images == 1000
    assert most <= 65


def test_members_keep_their_order(tmp_path: Path) -> None:
    payloads = {f"{k * 7 % 300}.JPEG": b"%d" % k for k in range(300)}
    with ThreadPoolExecutor(4) as pool:
        entries = (Entry(name, partial(bytes, data)) for name, data in payloads.items())
        ArchiveWriter(pool, silent).flat(tmp_path / "val.tar", entries)
    assert list(files((tmp_path / "val.tar").read_bytes()).items()) == list(payloads.items())


def test_an_inner_tar_without_members_is_left_out(tmp_path: Path) -> None:
    full = InnerTar(classes()[0], (Entry("a"),))
    with ThreadPoolExecutor(1) as pool:
        ArchiveWriter(pool, silent).train(tmp_path / "train.tar", [InnerTar(classes()[1], ()), full])
    assert list(files((tmp_path / "train.tar").read_bytes())) == ["n01440764.tar"]


def test_an_error_in_a_thread_reaches_the_caller(tmp_path: Path) -> None:
    def picture() -> bytes:
        raise MachineError("no more memory")

    with ThreadPoolExecutor(2) as pool, pytest.raises(MachineError, match="no more memory"):
        ArchiveWriter(pool, silent).flat(tmp_path / "val.tar", [Entry("a", picture)])
