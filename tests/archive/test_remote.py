"""Archives that are objects in a store, under the contract of sources and through what happens to objects."""

from __future__ import annotations

import io
import os
import pickle

import pytest

from ilsvrc.archive.remote import SourceFile, StoreSource, of_each, source_of, state_from, state_of
from ilsvrc.archive.source import FileSource
from ilsvrc.errors import ArchiveError, UsageError
from ilsvrc.issues import Code
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.testing.contracts import CONTENT, ByteSourceContract
from tests.stores.conftest import bucket, s3  # noqa: F401  -- fixtures
from tests.stores.servers import Bucket


@pytest.fixture
def source(bucket: Bucket) -> StoreSource:  # noqa: F811
    bucket.put({"a/b.tar": CONTENT})
    return StoreSource(StorePath(bucket.url("a/b.tar")))


class TestStoreSource(ByteSourceContract):
    @pytest.fixture
    def source(self, bucket: Bucket) -> StoreSource:  # noqa: F811
        bucket.put({"a/b.tar": CONTENT})
        return StoreSource(StorePath(bucket.url("a/b.tar")))


def replace(source: StoreSource, data: bytes) -> None:
    source.path.bucket.put(source.path.key, data)


def test_a_replaced_object_is_an_error_and_never_other_bytes(source: StoreSource) -> None:
    replace(source, bytes(len(CONTENT)))
    for read in (
        lambda: source.read(0, 10),
        source.refuse_replaced,
        lambda: pickle.loads(pickle.dumps(source)).read(0, 1),
    ):
        with pytest.raises(ArchiveError, match="another object has taken its place") as caught:
            read()
        assert caught.value.code is Code.WRONG_FILE


def test_what_was_announced_before_is_of_the_state_that_was_opened(source: StoreSource) -> None:
    source.will_need(0, 100)
    assert source.read(0, 50) == CONTENT[:50]
    replace(source, bytes(len(CONTENT)))
    assert source.read(50, 50) == CONTENT[50:100]
    source.let_go(0, 100)
    with pytest.raises(ArchiveError):
        source.read(0, 50)


def test_a_removed_object(source: StoreSource) -> None:
    source.path.bucket.delete([source.path.key])
    with pytest.raises(ArchiveError, match="removed") as caught:
        source.read(0, 1)
    assert caught.value.code is Code.MISSING_FILE
    with pytest.raises(ArchiveError, match="removed"):
        source.refuse_replaced()


def test_the_end_of_the_object(source: StoreSource) -> None:
    with pytest.raises(ArchiveError, match="10 bytes short") as caught:
        source.read(len(CONTENT) - 10, 20)
    assert caught.value.code is Code.TRUNCATED_ARCHIVE


def test_nothing_and_a_folder_are_refused(bucket: Bucket) -> None:  # noqa: F811
    bucket.put({"folder/x": b"1"})
    with pytest.raises(UsageError, match="does not exist"):
        StoreSource(StorePath(bucket.url("nothing")))
    with pytest.raises(UsageError, match="is a folder"):
        StoreSource(StorePath(bucket.url("folder")))
    with pytest.raises(FileNotFoundError):
        state_of(StorePath(bucket.url("nothing")))


def test_a_forked_process_reads_what_its_parent_announced(source: StoreSource) -> None:
    source.will_need(0, 1000)
    assert source.read(5, 5) == CONTENT[5:10]
    child = os.fork()
    if child == 0:
        os._exit(0 if source.read(0, 1000) == CONTENT[:1000] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_file_of_it_reads_as_a_file(source: StoreSource) -> None:
    file, truth = SourceFile(source, 4096), io.BytesIO(CONTENT)
    for seek in ((10, os.SEEK_SET), (-20, os.SEEK_END), (5, os.SEEK_CUR), (0, os.SEEK_END)):
        assert file.seek(*seek) == truth.seek(*seek)
        assert file.read(15) == truth.read(15)
        assert file.tell() == truth.tell()


def test_a_location_is_opened_as_what_it_is(source: StoreSource, tmp_path: os.PathLike[str]) -> None:
    assert isinstance(source_of(source.path), StoreSource)
    file = FileSource(__file__)
    places: list[Location] = [file.path, source.path]
    opened = of_each(source_of, places)
    assert [one.state for one in opened] == [file.state, source.state] == [state_of(file.path), state_of(source.path)]
    for state in (file.state, source.state):
        fields = {name: getattr(state, name) for name in state.__slots__}
        assert state_from(fields) == state
    with pytest.raises(TypeError):
        state_from({"size": 1})
