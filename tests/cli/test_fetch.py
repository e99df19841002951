"""`ilsvrc fetch` as a user sees it: every row of the table of failures, interruptions and kills."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.fetch import unfinished
from ilsvrc.fetch.part import PART, locked
from tests.cli.helpers import ilsvrc, ilsvrc_json
from tests.fetch.cutter import Cutter
from tests.fetch.nginx import Nginx, free_port
from tests.fetch.servers import answering

DATA = random.Random(4).randbytes(4_000_000)
TABLE = Path(__file__).parents[2] / "docs" / "reference" / "fetch.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), slow="96k")
    (nginx.root / "a.tar").write_bytes(DATA)
    yield nginx
    nginx.close()


def table() -> dict[str, tuple[str, int]]:
    """Return what docs/reference/fetch.md promises: message and exit status by failure."""
    rows = re.findall(r"^\| ([^|]+) \| `([^`]+)` \| (\d+) \|", TABLE.read_text(), re.MULTILINE)
    return {name: (message, int(status)) for name, message, status in rows}


def listed(folder: Path, digest: str = "") -> Path:
    """List the archive's digest in a folder, as md5sum does."""
    folder.mkdir(exist_ok=True)
    (folder / "MD5SUMS").write_text(f"{digest or hashlib.md5(DATA).hexdigest()}  a.tar\n")
    return folder


def promised(failure: str, *words: object, environment: dict[str, str] | None = None) -> None:
    """Require what the table says of a failure, for people and as a document."""
    message, status = table()[failure]
    command = [sys.executable, "-m", "ilsvrc", "--json", "fetch", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert not document["ok"]
    assert message in document["error"]
    assert document["hint"] or failure == "folder not writable"


def test_it_ends_with_a_verified_archive_and_a_document(server: Nginx, tmp_path: Path) -> None:
    listed(tmp_path)
    document = ilsvrc_json("fetch", "--to", tmp_path, "--url", server.url("ranges", "a.tar"))
    (archive,) = document["archives"]
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert archive["digest"] == f"md5:{hashlib.md5(DATA).hexdigest()}"
    assert (archive["against"], archive["received"], archive["size"]) == ("MD5SUMS", len(DATA), len(DATA))
    subprocess.run(["md5sum", "--quiet", "-c", "MD5SUMS"], cwd=tmp_path, check=True)
    again = ilsvrc("fetch", "--to", tmp_path, "--url", server.url("ranges", "a.tar"))
    assert "it was on disk" in again.stdout


def test_progress_without_a_terminal_is_plain_lines(server: Nginx, tmp_path: Path) -> None:
    done = ilsvrc("fetch", "--to", listed(tmp_path), "--url", server.url("slow", "a.tar"), "--connections", "6")
    assert re.search(r"^a\.tar: \d+%, [\d.]+ MB/s, \d connections, \d:\d\d:\d\d left$", done.stderr, re.MULTILINE)
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("status", ["401", "403", "404", "416", "500", "503"])
def test_statuses(server: Nginx, tmp_path: Path, status: str) -> None:
    habit = "ranges/absent" if status == "404" else f"status/{status}"
    promised(status, "--to", tmp_path, "--url", server.url(habit, "a.tar"))
    assert unfinished(tmp_path) == []


def test_wrong_files(server: Nginx, tmp_path: Path) -> None:
    promised("HTML instead of a tar", "--to", tmp_path, "--url", server.url("cookie", "a.tar"))
    promised("wrong size", "val", "--to", tmp_path, "--url", server.url("ranges", "a.tar"))
    promised("wrong digest", "--to", listed(tmp_path, "0" * 32), "--url", server.url("ranges", "a.tar"))
    assert not (tmp_path / "a.tar").exists()


def test_networks(server: Nginx, tmp_path: Path) -> None:
    promised("name resolution", "--to", tmp_path, "--url", "http://nowhere.invalid/a.tar")
    promised("refused", "--to", tmp_path, "--url", f"http://127.0.0.1:{free_port()}/a.tar")
    promised("login missing", "val", "--to", tmp_path)


def test_answers_that_make_no_sense(tmp_path: Path) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n") as url:
        promised("not HTTP", "--to", tmp_path, "--url", url)
    with answering(b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n") as url:
        promised("redirect to nowhere", "--to", tmp_path, "--url", url)


def test_words_that_make_no_sense(tmp_path: Path) -> None:
    promised("not a URL", "--to", tmp_path, "--url", "http://[::1")
    url = '<url priority="abc">http://127.0.0.1/a.tar</url>'
    (tmp_path / "a.meta4").write_text(f'<metalink><file name="a.tar">{url}</file></metalink>')
    promised("not a Metalink file", "--to", tmp_path, "--metalink", tmp_path / "a.meta4")


def test_a_link_in_the_place_of_a_part(server: Nginx, tmp_path: Path) -> None:
    (tmp_path / "a.tar.part").symlink_to(tmp_path / "elsewhere")
    promised("link in DIR", "--to", tmp_path, "--url", server.url("ranges", "a.tar"))
    assert not (tmp_path / "elsewhere").exists()


def test_stalled(server: Nginx, tmp_path: Path) -> None:
    cutter = Cutter(server.port, None)

    def mute() -> None:
        wait_for(lambda: size(tmp_path / "a.tar.part") > 50_000)
        cutter.silent = True

    muting = threading.Thread(target=mute)
    muting.start()
    url = f"http://127.0.0.1:{cutter.port}/slow/a.tar"
    promised("stalled", "--to", tmp_path, "--url", url, "--connections", 1, "--patience", 3)
    muting.join()
    cutter.close()
    assert unfinished(tmp_path) == [tmp_path / "a.tar"]


def test_breaks_off(server: Nginx, tmp_path: Path) -> None:
    cutter = Cutter(server.port, 500_000)
    url = f"http://127.0.0.1:{cutter.port}/whole/a.tar"
    promised("breaks off, can't resume", "--to", tmp_path, "--url", url, "--patience", 2)
    cutter.close()


def test_no_aria2c(server: Nginx, tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    (blocker / "aria2c.py").write_text("raise ImportError('hidden by the test')\n")
    bare = {k: v for k, v in os.environ.items() if k != "PATH"} | {"PATH": "/nonexistent", "PYTHONPATH": str(blocker)}
    promised("no aria2c", "--to", tmp_path / "to", "--url", server.url("ranges", "a.tar"), environment=bare)


def test_another_fetch_in_the_folder(server: Nginx, tmp_path: Path) -> None:
    with locked(tmp_path):
        promised("another fetch in DIR", "--to", tmp_path, "--url", server.url("ranges", "a.tar"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_not_writable(server: Nginx, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    promised("folder not writable", "--to", tmp_path / "to", "--url", server.url("ranges", "a.tar"))
    tmp_path.chmod(0o700)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_too_small_or_fills_up(server: Nginx, tiny_disk: Path) -> None:
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(3 << 20))
    promised("disk too small", "--to", tiny_disk, "--url", server.url("ranges", "a.tar"))
    filler.unlink()

    def fill() -> None:
        wait_for(lambda: size(tiny_disk / "a.tar.part") > 100_000)
        with open(filler, "wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                pass

    filling = threading.Thread(target=fill)
    filling.start()
    promised("disk full", "--to", tiny_disk, "--url", server.url("slow", "a.tar"), "--patience", 10)
    filling.join()
    filler.unlink()
    document = ilsvrc_json("fetch", "--to", tiny_disk, "--url", server.url("ranges", "a.tar"))
    assert document["archives"][0]["digest"] == f"md5:{hashlib.md5(DATA).hexdigest()}"


def test_every_row_of_the_table_has_a_test() -> None:
    source = Path(__file__).read_text() + Path(__file__).with_name("test_fetch_hubs.py").read_text()
    missing = [row for row in table() if f'"{row}"' not in source]
    assert not missing


@pytest.mark.parametrize("whole_group", [False, True])
def test_interrupted(server: Nginx, tmp_path: Path, whole_group: bool) -> None:
    """Ctrl-C reaches the whole group at a terminal; a supervisor's signal only the program."""
    message, status = table()["interrupted"]
    listed(tmp_path)
    process = start(tmp_path, server.url("slow", "a.tar"))
    wait_for(lambda: size(tmp_path / "a.tar.part") > 200_000)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == status, said
    assert message in said
    assert re.search(r"a\.tar: [\d,]+ of 4,000,000 bytes are on disk and will be kept", said)
    assert (tmp_path / "a.tar.part.aria2").exists()
    document = ilsvrc_json("fetch", "--to", tmp_path, "--url", server.url("ranges", "a.tar"))
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert document["archives"][0]["received"] < len(DATA)


def test_kill_9_of_the_whole_group_costs_little(server: Nginx, tmp_path: Path) -> None:
    """Three kills at random moments of one transfer of 30 MB; `make campaign-fetch` does ten of 300 MB."""
    campaign(server, tmp_path, size=30_000_000, kills=3, longest=4.0)


@pytest.mark.slow
def test_campaign_of_ten_kills_of_300_mb(tmp_path: Path) -> None:
    server = Nginx(tmp_path / "nginx", slow="320k")
    (tmp_path / "to").mkdir()
    campaign(server, tmp_path / "to", size=300_000_000, kills=10, longest=9.0)
    server.close()


def campaign(server: Nginx, folder: Path, *, size: int, kills: int, longest: float) -> None:
    """Kill one transfer so many times, let it complete, and count what the server sent for it."""
    data = random.Random(size).randbytes(1_000_000) * (size // 1_000_000)
    (server.root / "killed.tar").write_bytes(data)
    (folder / "MD5SUMS").write_text(f"{hashlib.md5(data).hexdigest()}  killed.tar\n")
    moments = random.Random(os.urandom(8))
    server.sent()
    for _ in range(kills):
        process = start(folder, server.url("slow", "killed.tar"))
        time.sleep(moments.uniform(1.5, longest))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert not (folder / "killed.tar").exists(), "every kill came too late to matter"
    document = ilsvrc_json("fetch", "--to", folder, "--url", server.url("ranges", "killed.tar"))
    assert (folder / "killed.tar").read_bytes() == data
    assert document["archives"][0]["against"] == "MD5SUMS"
    sent = server.sent()
    sys.stdout.write(f"{kills} kills: {sent:,} bytes sent for {size:,}, {sent / size:.3f} times\n")
    assert sent <= 1.3 * size


def start(folder: Path, url: str, *words: str) -> subprocess.Popen[str]:
    """Start a fetch in a process group of its own."""
    command = [sys.executable, "-m", "ilsvrc", "fetch", "--to", str(folder), "--url", url, *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def size(path: Path) -> int:
    """Return the bytes of a file on disk, 0 where there is none."""
    return path.stat().st_blocks * 512 if path.exists() else 0


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.02)


def test_then_prepare_goes_on_with_what_came(tmp_path: Path, mini: Path) -> None:
    nginx = Nginx(tmp_path / "server")
    try:
        shutil.copy(mini / facts.VAL, nginx.root)
        (tmp_path / "to").mkdir()
        shutil.copy(mini / "MD5SUMS", tmp_path / "to")
        url = nginx.url("ranges", facts.VAL)
        told = ilsvrc_json(
            "fetch", "val", "--to", tmp_path / "to", "--url", url, "--then", "prepare", tmp_path / "tree"
        )
    finally:
        nginx.close()
    assert [(s["split"], s["images"], s["against"]) for s in told["prepared"]["splits"]] == [("val", 12, "MD5SUMS")]
    ilsvrc("check", "--deep", tmp_path / "tree")


def test_then_knows_prepare_only(tmp_path: Path) -> None:
    assert "--then" in ilsvrc("fetch", "--to", tmp_path, "--then", "check", "x", status=2).stderr


def test_prepare_does_not_start_beside_a_download(tmp_path: Path, mini: Path) -> None:
    shutil.copytree(mini, tmp_path / "source")
    (tmp_path / "source" / facts.TRAIN).rename(tmp_path / "source" / f"{facts.TRAIN}{PART}")
    done = ilsvrc("prepare", tmp_path / "source", tmp_path / "tree", status=2)
    assert "still being fetched" in done.stderr
    assert "--split val" in done.stderr
    assert not (tmp_path / "tree").exists()
    ilsvrc("prepare", tmp_path / "source", tmp_path / "tree", "--split", "val")
