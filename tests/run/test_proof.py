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
from ilsvrc.events import Advanced, Event, Finished, Started
from ilsvrc.facts import Digest
from ilsvrc.issues import Code
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.units import Unit
from ilsvrc.run.proof import Claim, HashingProof, NoProof, claims_of, wrong_digest
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
        return HashingProof([Claim(source, right())])


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_right_archive_is_recorded(source: FileSource, algorithm: str) -> None:
    heard: list[Event] = []
    proof = HashingProof([Claim(source, right(algorithm))], heard.append)
    assert list(proof.release(UNITS)) == UNITS
    proof.confirm()
    found = recorded(source.path)
    assert found is not None
    assert found.digest == str(right(algorithm).digest)
    assert sum(e.bytes for e in heard if isinstance(e, Advanced)) == len(DATA)


def test_all_is_hashed_even_if_no_unit_is_left(source: FileSource) -> None:
    proof = HashingProof([Claim(source, right())])
    nothing: list[Unit] = []
    assert list(proof.release(nothing)) == []
    proof.confirm()
    assert recorded(source.path) is not None


def test_one_other_bit_is_refused_and_not_recorded(source: FileSource) -> None:
    data = bytearray(DATA)
    data[-1] ^= 1
    source.path.write_bytes(data)
    changed = FileSource(source.path)
    proof = HashingProof([Claim(changed, right())])
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
        list(HashingProof([Claim(source, right())]).release(beyond))
    assert caught.value.code is Code.TRUNCATED_ARCHIVE


def test_a_unit_that_ends_beyond_the_archive_ends_the_hashing(source: FileSource) -> None:
    beyond = [Unit("a", 0, 1, len(DATA) + 1000, 1, 1)]
    proof = HashingProof([Claim(source, right())])
    assert list(proof.release(beyond)) == beyond
    assert len(proof.confirm()) == 1


def test_what_is_proved_names_state_and_identity(mini: Path, tmp_path: Path) -> None:
    source = FileSource(shutil.copy(mini / facts.VAL, tmp_path / "val.tar"))
    digest = Digest("md5", hashlib.md5(source.path.read_bytes()).hexdigest())
    identity = open_index(source).identity
    proof = HashingProof([Claim(source, Expected(digest, "MD5SUMS"))])
    list(proof.release(UNITS))
    (proved,) = proof.confirm()
    assert (proved.state, proved.identity) == (source.state, identity)
    assert recorded(source.path, identity) == proved


def test_another_official_archive_is_called_by_its_name(source: FileSource) -> None:
    t3 = facts.Digest("md5", "ccaf1013018ac1037801578038d370da")
    error = wrong_digest(source, t3, right())
    assert error.code is Code.WRONG_FILE
    assert "ILSVRC2012_img_train_t3.tar" in str(error)


def sources(folder: Path, sizes: tuple[int, ...]) -> list[FileSource]:
    found = []
    for number, size in enumerate(sizes):
        (folder / f"{number}.tar").write_bytes(DATA[:size])
        found.append(FileSource(folder / f"{number}.tar"))
    return found


def claim(source: FileSource) -> Claim:
    return Claim(source, Expected(Digest("md5", hashlib.md5(source.path.read_bytes()).hexdigest()), "MD5SUMS"))


def test_several_files_are_hashed_one_after_the_other(tmp_path: Path) -> None:
    parts = sources(tmp_path, (1000, 0, 500, 7))
    heard: list[Event] = []
    proof = HashingProof([claim(part) for part in parts], heard.append)
    units = [Unit("a", 0, 1, 900, 1, 1), Unit("b", 1, 2, 1000, 1, 1), Unit("c", 2, 3, 1400, 1, 1)]
    assert list(proof.release(units)) == units
    assert [one.archive for one in proof.confirm()] == ["0.tar", "1.tar", "2.tar", "3.tar"]
    assert sum(e.bytes for e in heard if isinstance(e, Advanced)) == 1507
    assert sum(isinstance(e, Started) for e in heard) == sum(isinstance(e, Finished) for e in heard)


def test_one_wrong_file_of_several_is_named(tmp_path: Path) -> None:
    parts = sources(tmp_path, (1000, 500))
    claims = [claim(parts[0]), Claim(parts[1], right())]
    proof = HashingProof(claims)
    list(proof.release([Unit("a", 0, 1, 1200, 1, 1)]))
    with pytest.raises(ArchiveError, match=r"1\.tar"):
        proof.confirm()


def test_claims_are_the_digests_that_are_known(mini: Path, tree: Path, tmp_path: Path) -> None:
    claims = claims_of(open_reader(mini, "train"))
    assert claims is not None
    assert [found.expected.against for found in claims] == ["MD5SUMS"]
    assert claims_of(open_reader(mini, "train"), "sha256") is None
    assert claims_of(open_reader(tree, "train")) == ()
