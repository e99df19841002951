"""Credentials come into nothing that ilsvrc writes, says or shows of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.errors import IlsvrcError
from ilsvrc.facts import TRAIN
from tests.stores.proxy import Fault, proxy_to
from tests.stores.servers import ACCESS_KEY, SECRET, Bucket, environment

FOREIGN = "FOREIGNKEYOFNOBODY99"
WORDS = (SECRET, ACCESS_KEY, FOREIGN, "AWS4-HMAC-SHA256", "X-Amz-Signature")
"""Keys, and the beginnings of headers and addresses that are signed."""


@pytest.fixture
def stored(bucket: Bucket, mini: Path) -> Bucket:
    bucket.put({f"archives/{path.name}": path.read_bytes() for path in mini.iterdir() if path.is_file()})
    return bucket


def clean(text: str | bytes) -> bool:
    """Whether no credentials are in a text."""
    data = text.encode() if isinstance(text, str) else text
    return not any(word.encode() in data for word in WORDS)


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program with all its files in one folder, and as many words as it has."""
    home.mkdir(exist_ok=True)
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "TMPDIR": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "ilsvrc", *arguments],
        cwd=home,
        env={**os.environ, **places, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def require_clean(home: Path, bucket: Bucket) -> None:
    """Look at every file, its name, and every object."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert clean(path.read_bytes()), path
        assert clean(str(path))
    keys = bucket.keys()
    for key in keys:
        assert clean(bucket.get(key)), key
        assert clean(key)


def test_what_is_written_and_said(stored: Bucket, tmp_path: Path) -> None:
    url = stored.url("archives")
    commands = [
        ["index", stored.url(f"archives/{TRAIN}")],
        ["-v", "prepare", url, "tree"],
        ["-v", "--json", "prepare", url, stored.url("made"), "--format", "webdataset"],
        ["-v", "prepare", url, stored.url("folders"), "--events"],
        ["--json", "check", "--deep", "tree"],
        ["--json", "check", url],
        ["--json", "ls", url],
    ]
    for words in commands:
        done = run(tmp_path / "home", *words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert clean(done.stdout), words
        assert clean(done.stderr), words
    require_clean(tmp_path / "home", stored)


REFUSED = {
    "foreign key": {"AWS_ACCESS_KEY_ID": FOREIGN},
    "wrong secret": {"AWS_SECRET_ACCESS_KEY": f"{FOREIGN}{SECRET}"},
}
UNREACHED = {
    "nobody listens": {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
    "keys in an address": {"AWS_ENDPOINT_URL": f"http://{ACCESS_KEY}:{SECRET}@127.0.0.1:9"},
}
"""Retries take a minute before the program says so: these are tried in this process, which may retry less."""


@pytest.mark.parametrize("s3", ["radosgw"], indirect=True)  # moto takes any key
@pytest.mark.parametrize("name", REFUSED)
def test_errors_of_the_program(stored: Bucket, tmp_path: Path, name: str) -> None:
    train, archives = stored.url(f"archives/{TRAIN}"), stored.url("archives")
    for words in (
        ["-v", "index", train],
        ["--json", "prepare", archives, "tree"],
        ["prepare", train, f"{archives}/x"],
    ):
        done = run(tmp_path / "home", *words, **REFUSED[name])
        assert done.returncode == 3, done.stderr
        assert "refuses these credentials" in done.stderr + done.stdout
        assert clean(done.stdout + done.stderr)


@pytest.mark.parametrize("s3", ["radosgw"], indirect=True)
@pytest.mark.parametrize("name", REFUSED | UNREACHED)
def test_exceptions(stored: Bucket, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their text, their fields, and all that Python would show of their causes."""
    monkeypatch.setattr("ilsvrc.stores.client.RETRIES", 1)
    for variable, value in (REFUSED | UNREACHED)[name].items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(IlsvrcError) as caught:
        ilsvrc.ImageNet(stored.url("archives"), "train")
    error: BaseException | None = caught.value
    while error is not None:
        assert clean(f"{error!r} {error} {vars(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a_traceback_shows_none(stored: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program of the user prints that does not catch the error."""
    with proxy_to(stored.server.endpoint, lambda _: Fault(status=403)) as proxy:
        program = f"import ilsvrc; ilsvrc.ImageNet({stored.url('archives')!r}, 'train')"
        variables = {**os.environ, **environment(proxy.endpoint)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False, timeout=60
        )
    assert "Traceback" in done.stderr
    assert clean(done.stderr)


def test_processes_show_none(stored: Bucket, tmp_path: Path) -> None:
    """`ps` shows the words of a command to everybody on the machine: those of workers too."""
    with proxy_to(stored.server.endpoint, lambda _: Fault(delay=0.2)) as proxy:
        variables = {**os.environ, **environment(proxy.endpoint)}
        command = [sys.executable, "-m", "ilsvrc", "prepare", stored.url("archives"), str(tmp_path / "tree")]
        with subprocess.Popen([*command, "--jobs", "2"], env=variables, stderr=subprocess.PIPE) as process:
            seen = set()
            while process.poll() is None:
                for found in (process.pid, *_children(process.pid)):
                    seen.add(_words(found))
                time.sleep(0.02)
            assert process.returncode == 0
    assert any("prepare" in words for words in seen)
    assert all(clean(words) for words in seen)


def test_a_pickled_data_set_has_none(stored: Bucket) -> None:
    """It is sent to workers, and kept in checkpoints of loaders."""
    import pickle

    images = ilsvrc.ImageNet(stored.url("archives"), "train")
    assert clean(pickle.dumps(images))
    assert clean(json.dumps({name: repr(value) for name, value in vars(images).items()}))


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
