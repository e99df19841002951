"""The file that a shard is written to: places, digests, many parts at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import xxhash

from ilsvrc.sinks.formats.base import ShardFile, digest_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shard"


def opened(path: Path, begin: int = 0) -> ShardFile:
    return ShardFile(os.open(path, os.O_RDWR | os.O_CREAT), path, begin)


def digest(data: bytes) -> tuple[int, str]:
    return len(data), xxhash.xxh3_128_hexdigest(data)


def test_more_parts_are_appended_than_one_call_of_the_system_takes(path: Path) -> None:
    parts = [b"%d," % number for number in range(5_000)]
    file = opened(path)
    assert file.append(b"first") == 0
    assert file.append(*parts) == 5
    assert file.tell() == 5 + sum(map(len, parts))
    assert file.digest() == digest(b"first" + b"".join(parts))
    file.close()
    assert path.read_bytes() == b"first" + b"".join(parts)


def test_two_write_to_one_file_and_each_knows_the_digest_of_its_range(path: Path) -> None:
    late, early = opened(path, 6), opened(path, 2)
    assert late.append(b"cd", b"ef") == 6
    assert early.append(b"abab") == 2
    assert (late.digest(), early.digest()) == (digest(b"cdef"), digest(b"abab"))
    early.close()
    assert path.read_bytes() == b"\0\0ababcdef"
    assert late.read(2, 6) == b"ababcd"
    with path.open("rb") as file:
        assert digest_of(file.fileno(), 6, 4) == digest(b"cdef")
        assert digest_of(file.fileno(), 6, 40) == digest(b"cdef"), "of a range that is cut short, what there is"
        assert digest_of(file.fileno()) == digest(b"\0\0ababcdef")
    late.close()


def test_a_file_ends_after_what_was_appended(path: Path) -> None:
    path.write_bytes(b"0123456789")
    file = opened(path, 3)
    file.append(b"xy")
    file.rewrite(0, b"ab")
    assert file.end() == digest(b"ab2xy")
    file.close()
    assert path.read_bytes() == b"ab2xy"
