"""The real huggingface_hub against a local hub; the bytes by our transfer, the digests by sha256sum."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import ilsvrc
from ilsvrc.errors import ArchiveError, DataError, MachineError, NetworkError, UsageError
from ilsvrc.events import Advanced, Event, Finished, Started
from tests.fetch.conftest import Heard
from tests.fetch.hubs.conftest import parquet
from tests.fetch.hubs.servers import COMMIT, STRANGER, TOKEN, HuggingFace, Storage
from tests.fetch.nginx import free_port

BIG = "data/validation-00000-of-00001.parquet"


@pytest.fixture
def big(hub: HuggingFace, storage: Storage) -> bytes:
    """The only file of val, of 6 MB."""
    for path in [path for path in storage.files if "validation" in path]:
        del storage.files[path]
    storage.files[BIG] = parquet(9, 6_000_000)
    return storage.files[BIG]


class TestFiles:
    def test_train_and_val_are_fetched_and_proved(self, hub: HuggingFace, storage: Storage, tmp_path: Path) -> None:
        report = ilsvrc.fetch(to=tmp_path, origin="hf")
        names = [f"train-{n:05}-of-00003.parquet" for n in range(3)]
        names += [f"validation-{n:05}-of-00002.parquet" for n in range(2)]
        assert [a.name for a in report.archives] == names
        assert {a.against for a in report.archives} == {"huggingface"}
        for name in names:
            assert (tmp_path / "data" / name).read_bytes() == storage.files[f"data/{name}"]
        assert pq.read_table(tmp_path / "data" / names[1])["label"].to_pylist() == [1]
        subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path / "data", check=True)
        assert len((tmp_path / "data/SHA256SUMS").read_text().splitlines()) == 5
        assert {path.name for path in tmp_path.iterdir()} - {"home", "cache"} == {"data"}

    def test_only_the_splits_asked_for(self, hub: HuggingFace, tmp_path: Path) -> None:
        report = ilsvrc.fetch(to=tmp_path, origin="hf", splits="test")
        assert [a.name for a in report.archives] == ["test-00000-of-00001.parquet"]
        assert not list(tmp_path.glob("data/train*"))

    def test_a_split_that_is_named_twice_is_fetched_once(self, hub: HuggingFace, tmp_path: Path) -> None:
        assert len(ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test", "test"]).archives) == 1

    def test_a_second_split_joins_the_list_of_digests(self, hub: HuggingFace, tmp_path: Path) -> None:
        for split in ("val", "test"):
            ilsvrc.fetch(to=tmp_path, origin="hf", splits=[split])
        lines = (tmp_path / "data/SHA256SUMS").read_text().splitlines()
        assert [line.split("  ")[1][:5] for line in lines] == ["test-", "valid", "valid"]

    def test_files_on_disk_are_not_fetched_again(self, hub: HuggingFace, storage: Storage, tmp_path: Path) -> None:
        ilsvrc.fetch(to=tmp_path, origin="hf", splits=["val"])
        sent = storage.sent
        again = ilsvrc.fetch(to=tmp_path, origin="hf", splits=["val"])
        assert storage.sent == sent
        assert sum(a.received for a in again.archives) == 0
        assert not [line for line in hub.asked[-1:] if "resolve" in line]

    def test_a_file_that_another_program_fetched_is_kept(
        self, hub: HuggingFace, storage: Storage, tmp_path: Path
    ) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data/test-00000-of-00001.parquet").write_bytes(storage.files["data/test-00000-of-00001.parquet"])
        ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test"])
        assert storage.sent == 0

    def test_a_damaged_file_is_set_aside_and_fetched_again(
        self, hub: HuggingFace, storage: Storage, tmp_path: Path, heard: Heard
    ) -> None:
        path = tmp_path / "data/test-00000-of-00001.parquet"
        path.parent.mkdir()
        right = storage.files["data/test-00000-of-00001.parquet"]
        path.write_bytes(bytes(len(right)))
        ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test"], listener=heard)
        assert path.read_bytes() == right
        assert "wrong; kept as test-00000-of-00001.parquet.corrupt" in heard.notes

    def test_the_digest_of_the_hub_decides(self, hub: HuggingFace, tmp_path: Path) -> None:
        hub.digests["data/test-00000-of-00001.parquet"] = "0" * 64
        with pytest.raises(ArchiveError, match=f"its SHA256 is .* and should be {'0' * 64} .huggingface"):
            ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test"])
        assert not (tmp_path / "data/test-00000-of-00001.parquet").exists()
        assert not (tmp_path / "data/SHA256SUMS").exists()

    def test_a_revision(self, hub: HuggingFace, tmp_path: Path) -> None:
        assert len(ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test"], revision=COMMIT).archives) == 1
        assert f"GET /api/datasets/ILSVRC/imagenet-1k/revision/{COMMIT}" in hub.asked

    def test_a_revision_without_all_files_is_refused(
        self, hub: HuggingFace, storage: Storage, tmp_path: Path
    ) -> None:
        del storage.files["data/train-00001-of-00003.parquet"]
        with pytest.raises(DataError, match="at main: 2 Parquet files of train, not a complete set"):
            ilsvrc.fetch(to=tmp_path, origin="hf")

    def test_progress_is_one_stage(self, hub: HuggingFace, storage: Storage, tmp_path: Path, heard: Heard) -> None:
        ilsvrc.fetch(to=tmp_path, origin="hf", listener=heard)
        stage, total = "ILSVRC/imagenet-1k", sum(len(b) for p, b in storage.files.items() if "test" not in p)
        assert [e for e in heard.events if isinstance(e, Started)] == [Started(stage, total_bytes=total)]
        assert heard.events[-1] == Finished(stage)
        assert heard.bytes(stage) == total
        assert {e.stage for e in heard.events if isinstance(e, Advanced)} == {stage}


class TestLogin:
    def test_the_token_stays_with_the_hub(self, hub: HuggingFace, storage: Storage, tmp_path: Path) -> None:
        ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test"])
        assert not storage.leaked
        kept = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]

    def test_a_token_file(
        self, hub: HuggingFace, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where `hf auth login` keeps it; the client reads the place of the file when it is imported."""
        from huggingface_hub import constants

        monkeypatch.delenv("HF_TOKEN")
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        (home / "token").write_text(f"{TOKEN}\n")
        assert len(ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test"]).archives) == 1

    def test_a_mirror_that_serves_the_files_itself_sees_the_token(
        self, hub: HuggingFace, storage: Storage, tmp_path: Path
    ) -> None:
        hub.itself = True
        ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test"])
        path = "data/test-00000-of-00001.parquet"
        assert (tmp_path / path).read_bytes() == storage.files[path]
        assert storage.asked == []

    @pytest.mark.parametrize("token", ["", "hf_wrong"])
    def test_not_logged_in(
        self, hub: HuggingFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(UsageError, match=r"Hugging Face wants a login \(401\)") as caught:
            ilsvrc.fetch(to=tmp_path, origin="hf")
        assert "https://huggingface.co/datasets/ILSVRC/imagenet-1k" in caught.value.hint

    def test_terms_not_accepted(self, hub: HuggingFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", STRANGER)
        with pytest.raises(UsageError, match=r"refuses this account \(403\)") as caught:
            ilsvrc.fetch(to=tmp_path, origin="hf")
        assert "https://huggingface.co/datasets/ILSVRC/imagenet-1k" in caught.value.hint
        assert "\n" not in caught.value.message


class TestInterruptions:
    def test_a_broken_file_resumes_where_it_stopped(
        self, hub: HuggingFace, storage: Storage, big: bytes, tmp_path: Path
    ) -> None:
        class StopError(Exception):
            """Thrown in the middle of the file."""

        def stop(event: Event) -> None:
            if (tmp_path / f"{BIG}.part").exists() and storage.sent > 2_500_000:
                raise StopError

        storage.rate = 1_000_000
        with pytest.raises(StopError):
            ilsvrc.fetch(to=tmp_path, origin="hf", splits=["val"], connections=2, listener=stop)
        assert not (tmp_path / BIG).exists()
        storage.rate, before = None, storage.sent
        report = ilsvrc.fetch(to=tmp_path, origin="hf", splits=["val"])
        assert (tmp_path / BIG).read_bytes() == big
        assert storage.sent - before < len(big) - 1_000_000
        assert report.archives[0].received < len(big) - 1_000_000

    @pytest.mark.parametrize("refusal", [403, 400])
    def test_an_address_that_expires_on_the_way_is_asked_for_again(  # noqa: PLR0917
        self, hub: HuggingFace, storage: Storage, big: bytes, tmp_path: Path, heard: Heard, refusal: int
    ) -> None:
        storage.lifetime, storage.refusal = 2_500_000, refusal
        ilsvrc.fetch(to=tmp_path, origin="hf", splits=["val"], connections=1, patience=10, listener=heard)
        assert (tmp_path / BIG).read_bytes() == big
        assert "asking for a new address" in heard.notes
        assert len([line for line in hub.asked if line.startswith("HEAD")]) > 1

    def test_addresses_that_never_work_end_with_an_error(
        self, hub: HuggingFace, storage: Storage, tmp_path: Path
    ) -> None:
        storage.status = 403
        with pytest.raises(NetworkError, match=r"\(403\)"):
            ilsvrc.fetch(to=tmp_path, origin="hf", splits=["test"])

    def test_a_hub_that_fails_between_two_files_is_asked_again(
        self, hub: HuggingFace, tmp_path: Path, heard: Heard
    ) -> None:
        def listen(event: Event) -> None:
            heard(event)
            if isinstance(event, Advanced) and event.detail.startswith("1 of") and not hub.status:
                hub.status = 503
                threading.Timer(1.5, lambda: setattr(hub, "status", 0)).start()

        report = ilsvrc.fetch(to=tmp_path, origin="hf", splits=["val"], patience=30, listener=listen)
        assert len(report.archives) == 2
        assert "can't answer now (503); trying again" in heard.notes

    def test_a_hub_that_is_gone_is_given_up_after_the_patience(
        self, hub: HuggingFace, tmp_path: Path, heard: Heard
    ) -> None:
        def listen(event: Event) -> None:
            heard(event)
            if isinstance(event, Advanced) and event.detail.startswith("1 of"):
                hub.status = 503

        started = time.monotonic()
        with pytest.raises(NetworkError, match=r"Hugging Face can't answer now \(503\)"):
            ilsvrc.fetch(to=tmp_path, origin="hf", splits=["val"], patience=3, listener=listen)
        assert time.monotonic() - started > 1.5
        hub.status = 0
        ilsvrc.fetch(to=tmp_path, origin="hf", splits=["val"])

    def test_a_hub_out_of_reach(self, hub: HuggingFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(NetworkError, match="Hugging Face can't be reached"):
            ilsvrc.fetch(to=tmp_path, origin="hf")

    def test_no_space(self, hub: HuggingFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import shutil
        from types import SimpleNamespace

        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
        with pytest.raises(MachineError, match="more bytes are needed and only 10 are free"):
            ilsvrc.fetch(to=tmp_path, origin="hf")


class TestCall:
    def test_a_split_that_is_none(self, hub: HuggingFace, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no split is called validation"):
            ilsvrc.fetch(to=tmp_path, origin="hf", splits=["validation"])
        assert hub.asked == []

    def test_splits_and_revisions_belong_to_it_alone(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="only Hugging Face has splits"):
            ilsvrc.fetch("val", to=tmp_path, splits=["val"])
        with pytest.raises(UsageError, match="only Hugging Face has splits"):
            ilsvrc.fetch(to=tmp_path, origin="kaggle", revision="main")

    def test_other_sources_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="a hub is a source of its own"):
            ilsvrc.fetch("val", to=tmp_path, origin="hf")

    def test_a_hub_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no hub is called 'zenodo'"):
            ilsvrc.fetch(to=tmp_path, origin="zenodo")
