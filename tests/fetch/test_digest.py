from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ilsvrc.fetch.digest import PrefixHasher, leading_bytes


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5), st.integers(0, 4))
def test_leading_bytes_counts_the_pieces_before_the_first_gap(pieces: list[bool], length: int, short: int) -> None:
    bits = "".join("01"[p] for p in pieces)
    padded = bits + "0" * (-len(bits) % 8)
    bitfield = f"{int(padded, 2):0{len(padded) // 4}x}" if padded else ""
    size = max(len(pieces) * length - min(short, length - 1), 0)
    expected = min((bits + "0").index("0") * length, size)
    assert leading_bytes(bitfield, length, size) == expected


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_the_hash_is_that_of_the_whole_file_whatever_was_allowed_before(
    tmp_path_factory: object, data: bytes, limits: list[int]
) -> None:
    path = tmp_path_factory.mktemp("hash") / "file"  # type: ignore[attr-defined]
    path.write_bytes(data)
    advanced: list[int] = []
    with PrefixHasher(path) as hasher:
        for limit in limits:
            hasher.allow(min(limit, len(data)))
        digest = hasher.finish(advanced.append)
    assert digest.hex == hashlib.md5(data).hexdigest()
    assert sum(advanced) == len(data)


def test_nothing_beyond_the_allowed_bytes_is_read(tmp_path: Path) -> None:
    """What lies beyond may be a hole that is filled later."""
    path = tmp_path / "file"
    path.write_bytes(b"right" + bytes(10_000))
    hasher = PrefixHasher(path)
    hasher.allow(5)
    while hasher.hashed < 5:
        pass
    path.write_bytes(b"right" + b"x" * 10_000)
    assert hasher.finish(lambda count: None).hex == hashlib.md5(path.read_bytes()).hexdigest()


def test_md5_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert str(PrefixHasher(tmp_path / "file").finish(lambda count: None)) == "md5:900150983cd24fb0d6963f7d28e17f72"
