"""Proofs under their contract; the digest against hashlib over the whole file."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.archive.expected import Expected
from ilsvrc.archive.sidecar import open_index, recorded
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError
from ilsvrc.events import Advanced, Event
from ilsvrc.facts import Digest
from ilsvrc.issues import Code
from ilsvrc.readers.units import Unit
from ilsvrc.run.proof import HashingProof, NoProof, wrong_digest
from ilsvrc.testing.contracts import UNITS, ProofContract

DATA = bytes(range(251)) * 50


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    (tmp_path / "a.tar").write_bytes(DATA)
    return FileSource(tmp_path / "a.tar")


def right(algorithm: str = "md5") -> Expected:
    return Expected(Digest(algorithm, hashlib.new(algorithm, DATA).hexdigest()), "MD5SUMS")


class TestNoProof(ProofContract):
    @pytest.fixture
    def proof(self) -> NoProof:
        return NoProof()


class TestHashingProof(ProofContract):
    @pytest.fixture
    def proof(self, source: FileSource) -> HashingProof:
        return HashingProof(source, right())


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_right_archive_is_recorded(source: FileSource, algorithm: str) -> None:
    heard: list[Event] = []
    proof = HashingProof(source, right(algorithm), heard.append)
    assert list(proof.release(UNITS)) == UNITS
    proof.confirm()
    found = recorded(source.path)
    assert found is not None
    assert found.digest == str(right(algorithm).digest)
    assert sum(e.bytes for e in heard if isinstance(e, Advanced)) == len(DATA)


def test_all_is_hashed_even_if_no_unit_is_left(source: FileSource) -> None:
    proof = HashingProof(source, right())
    nothing: list[Unit] = []
    assert list(proof.release(nothing)) == []
    proof.confirm()
    assert recorded(source.path) is not None


def test_one_other_bit_is_refused_and_not_recorded(source: FileSource) -> None:
    data = bytearray(DATA)
    data[-1] ^= 1
    source.path.write_bytes(data)
    changed = FileSource(source.path)
    proof = HashingProof(changed, right())
    list(proof.release(UNITS))
    with pytest.raises(ArchiveError) as caught:
        proof.confirm()
    assert caught.value.code is Code.WRONG_DIGEST
    assert recorded(source.path) is None


def test_an_error_of_reading_comes_out_where_units_are_taken(source: FileSource) -> None:
    beyond = [Unit("a", 0, 1, len(DATA), 1, 1)]
    source.read(0, 1)
    with source.path.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ArchiveError) as caught:
        list(HashingProof(source, right()).release(beyond))
    assert caught.value.code is Code.TRUNCATED_ARCHIVE


def test_a_unit_that_ends_beyond_the_archive_ends_the_hashing(source: FileSource) -> None:
    beyond = [Unit("a", 0, 1, len(DATA) + 1000, 1, 1)]
    proof = HashingProof(source, right())
    assert list(proof.release(beyond)) == beyond
    assert proof.confirm() is not None


def test_what_is_proved_names_state_and_identity(mini: Path, tmp_path: Path) -> None:
    source = FileSource(shutil.copy(mini / facts.VAL, tmp_path / "val.tar"))
    digest = Digest("md5", hashlib.md5(source.path.read_bytes()).hexdigest())
    identity = open_index(source).identity
    proof = HashingProof(source, Expected(digest, "MD5SUMS"))
    list(proof.release(UNITS))
    proved = proof.confirm()
    assert proved is not None
    assert (proved.state, proved.identity) == (source.state, identity)
    assert recorded(source.path, identity) == proved


def test_another_official_archive_is_called_by_its_name(source: FileSource) -> None:
    t3 = facts.Digest("md5", "ccaf1013018ac1037801578038d370da")
    error = wrong_digest(source, t3, right())
    assert error.code is Code.WRONG_FILE
    assert "ILSVRC2012_img_train_t3.tar" in str(error)
