"""`ilsvrc fetch --hf` and `--kaggle` as a user sees them, with the real client libraries."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from tests.cli.helpers import ilsvrc, ilsvrc_json
from tests.cli.test_fetch import promised, size, table, tiny_disk, wait_for
from tests.fetch.hubs.conftest import ZIP, home, hub, kaggle, parquet, storage
from tests.fetch.hubs.servers import STRANGER, STRANGER_KEY, HuggingFace, Kaggle, Storage
from tests.fetch.nginx import free_port

__all__ = ["home", "hub", "kaggle", "storage", "tiny_disk"]  # fixtures

NAME = "imagenet-object-localization-challenge.zip"
RULES = "https://www.kaggle.com/c/imagenet-object-localization-challenge/rules"
TERMS = "https://huggingface.co/datasets/ILSVRC/imagenet-1k"
BIG = "data/test-00000-of-00001.parquet"


@pytest.fixture
def big(hub: HuggingFace, storage: Storage) -> bytes:
    """The only file of test, of 4 MB, from a slow server."""
    storage.files[BIG] = parquet(9, 4_000_000)
    storage.rate = 400_000
    return storage.files[BIG]


def start(*words: object) -> subprocess.Popen[str]:
    """Start a fetch in a process group of its own."""
    command = [sys.executable, "-m", "ilsvrc", "fetch", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


class TestHuggingFace:
    def test_a_line_per_split_and_a_document_per_file(self, hub: HuggingFace, tmp_path: Path) -> None:
        done = ilsvrc("fetch", "--hf", "--to", tmp_path / "to")
        first, second = done.stdout.splitlines()
        assert first.startswith(f"{tmp_path}/to/data/train-*.parquet: 3 files")
        assert second.startswith(f"{tmp_path}/to/data/validation-*.parquet: 2 files")
        document = ilsvrc_json("fetch", "--hf", "--split", "val", "--split", "test", "--to", tmp_path / "to")
        assert [(a["name"], a["against"]) for a in document["archives"]] == [
            ("validation-00000-of-00002.parquet", "huggingface"),
            ("validation-00001-of-00002.parquet", "huggingface"),
            ("test-00000-of-00001.parquet", "huggingface"),
        ]
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "to/data", check=True)

    def test_failures(self, hub: HuggingFace, tmp_path: Path) -> None:
        words = ("--hf", "--to", tmp_path / "to")
        bare = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
        promised("no login at Hugging Face", *words, environment=bare)
        promised("terms of Hugging Face", *words, environment={**bare, "HF_TOKEN": STRANGER})
        promised("no such revision", *words, "--revision", "v9")
        nobody = {**bare, "HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
        promised("Hugging Face out of reach", *words, environment=nobody)
        promised("no huggingface_hub", *words, environment=without("huggingface_hub", tmp_path))

    def test_the_page_to_visit_is_in_the_hint(self, hub: HuggingFace, tmp_path: Path) -> None:
        hub.status = 403
        document = ilsvrc_json("fetch", "--hf", "--to", tmp_path / "to", status=2)
        assert TERMS in document["hint"]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_interrupted(
        self, hub: HuggingFace, storage: Storage, big: bytes, tmp_path: Path, number: signal.Signals
    ) -> None:
        words = ("--hf", "--split", "test", "--to", tmp_path, "--connections", 2)
        process = start(*words)
        wait_for(lambda: size(tmp_path / f"{BIG}.part") > 1_500_000)
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=30)
        if number == signal.SIGINT:
            message, status = table()["interrupted"]
            assert (process.returncode, message in said) == (status, True), said
        storage.rate, before = None, storage.sent
        ilsvrc("fetch", *words)
        assert (tmp_path / BIG).read_bytes() == big
        assert storage.sent - before < len(big)

    def test_gone_offline_in_the_middle(self, hub: HuggingFace, storage: Storage, big: bytes, tmp_path: Path) -> None:
        words = ("--hf", "--split", "test", "--to", tmp_path, "--connections", 2)
        process = start(*words, "--patience", 2)
        wait_for(lambda: size(tmp_path / f"{BIG}.part") > 1_000_000)
        hub.status = storage.status = 503
        storage.rate = 1_000_000_000  # the requests that are under way end; the next ones fail
        _, said = process.communicate(timeout=60)
        assert process.returncode == 3, said
        assert "Traceback" not in said
        hub.status = storage.status = 0
        before = storage.sent
        ilsvrc("fetch", *words)
        assert (tmp_path / BIG).read_bytes() == big
        assert storage.sent - before < len(big)

    def test_disk_full(self, hub: HuggingFace, storage: Storage, big: bytes, tiny_disk: Path) -> None:
        def fill() -> None:
            wait_for(lambda: size(tiny_disk / f"{BIG}.part") > 300_000)
            with open(tiny_disk / "filler", "wb") as file:
                try:
                    while True:
                        file.write(bytes(1 << 16))
                        file.flush()
                except OSError:
                    pass

        filling = threading.Thread(target=fill)
        filling.start()
        promised("disk full", "--hf", "--split", "test", "--to", tiny_disk, "--connections", 2, "--patience", 10)
        filling.join()
        (tiny_disk / "filler").unlink()
        storage.rate = None
        ilsvrc("fetch", "--hf", "--split", "test", "--to", tiny_disk)
        assert (tiny_disk / BIG).read_bytes() == big


class TestKaggle:
    def test_the_zip_is_fetched(self, kaggle: Kaggle, storage: Storage, tmp_path: Path) -> None:
        done = ilsvrc("fetch", "--kaggle", "--to", tmp_path / "to")
        assert (tmp_path / "to" / NAME).read_bytes() == storage.files[ZIP]
        assert zipfile.ZipFile(tmp_path / "to" / NAME).testzip() is None
        assert "not verified" in done.stderr
        assert done.stdout.count("\n") == 1
        assert not storage.leaked

    def test_a_digest_that_the_storage_states_is_compared(
        self, kaggle: Kaggle, storage: Storage, tmp_path: Path
    ) -> None:
        storage.headers = {"x-goog-hash": "crc32c=AAAAAA==, md5=AAAAAAAAAAAAAAAAAAAAAA=="}
        document = ilsvrc_json("fetch", "--kaggle", "--to", tmp_path / "wrong", status=1)
        assert f"should be {'0' * 32} (kaggle)" in document["error"]
        assert not (tmp_path / "wrong" / NAME).exists()

    def test_failures(self, kaggle: Kaggle, tmp_path: Path) -> None:
        words = ("--kaggle", "--to", tmp_path / "to")
        bare = {name: value for name, value in os.environ.items() if name != "KAGGLE_KEY"}
        promised("no login at Kaggle", *words, environment=bare)
        promised("no login at Kaggle", *words, environment={**bare, "KAGGLE_KEY": "wrong"})
        promised("rules of Kaggle", *words, environment={**bare, "KAGGLE_KEY": STRANGER_KEY})
        promised("no kaggle", *words, environment=without("kaggle", tmp_path))
        kaggle.status = 503
        assert "Kaggle can't answer now (503)" in ilsvrc("fetch", *words, status=3).stderr

    def test_the_page_to_visit_is_in_the_hint(
        self, kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KAGGLE_KEY", STRANGER_KEY)
        document = ilsvrc_json("fetch", "--kaggle", "--to", tmp_path / "to", status=2)
        assert RULES in document["hint"]
        assert "You must accept this competition's rules" in document["error"]

    def test_a_login_in_its_file(
        self, kaggle: Kaggle, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words = {"username": os.environ["KAGGLE_USERNAME"], "key": os.environ["KAGGLE_KEY"]}
        monkeypatch.delenv("KAGGLE_USERNAME")
        monkeypatch.delenv("KAGGLE_KEY")
        (home / ".kaggle").mkdir()
        (home / ".kaggle/kaggle.json").write_text(json.dumps(words))
        (home / ".kaggle/kaggle.json").chmod(0o600)
        ilsvrc("fetch", "--kaggle", "--to", tmp_path / "to")

    def test_interrupted_it_resumes_by_another_address(
        self, kaggle: Kaggle, storage: Storage, tmp_path: Path
    ) -> None:
        storage.rate = 400_000
        words = ("--kaggle", "--to", tmp_path, "--connections", 2)
        process = start(*words)
        wait_for(lambda: size(tmp_path / f"{NAME}.part") > 1_500_000)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
        message, status = table()["interrupted"]
        assert (process.returncode, message in said) == (status, True), said
        assert not (tmp_path / NAME).exists()
        storage.rate, storage.served = None, {}  # the old addresses have expired
        storage.asked.clear()
        ilsvrc("fetch", *words)
        assert (tmp_path / NAME).read_bytes() == storage.files[ZIP]
        assert not [line for line in storage.asked if "bytes=0-1048575" in line], "the first piece was there"
        assert "X-Signature" not in "".join(p.read_text() for p in (tmp_path / ".ilsvrc").glob("*.json"))

    def test_a_zip_that_changed_meanwhile_is_not_mixed_with_the_old_one(
        self, kaggle: Kaggle, storage: Storage, tmp_path: Path
    ) -> None:
        storage.rate = 400_000
        process = start("--kaggle", "--to", tmp_path, "--connections", 2)
        wait_for(lambda: size(tmp_path / f"{NAME}.part") > 1_500_000)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
        storage.rate = None
        storage.files[ZIP] = bytes(reversed(storage.files[ZIP]))  # another file of this size
        done = ilsvrc("fetch", "--kaggle", "--to", tmp_path)
        assert "the file has changed on the server" in done.stderr
        assert (tmp_path / NAME).read_bytes() == storage.files[ZIP]


def test_both_hubs_at_once_are_refused(tmp_path: Path) -> None:
    assert "exclude each other" in ilsvrc("fetch", "--hf", "--kaggle", "--to", tmp_path, status=2).stderr


def without(package: str, folder: Path) -> dict[str, str]:
    """Return an environment in which a package can't be imported."""
    blocker = folder / f"no-{package}"
    blocker.mkdir()
    error = f"ModuleNotFoundError('hidden by the test', name={package!r})"
    (blocker / f"{package}.py").write_text(f"raise {error}\n")
    path = os.pathsep.join(filter(None, (str(blocker), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path}
