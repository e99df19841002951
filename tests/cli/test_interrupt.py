"""Ctrl-C, SIGTERM and SIGHUP at any moment: no hang, no traceback, the right status; a rerun completes."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ilsvrc.testing.mini import MiniSpec, write_mini

DEADLINE = 60.0
"""Seconds after which a process counts as hanging; on an idle machine the end takes less than one."""

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
MESSAGE = "run the same command again to resume"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough classes that a run takes a second or two."""
    folder = tmp_path_factory.mktemp("interrupted")
    write_mini(folder, MiniSpec(classes=40, per_class=6, val_per_class=1, mean_bytes=4_000))
    return folder


@pytest.fixture(autouse=True)
def _hangups_are_answered() -> Iterator[None]:
    """Let programs answer SIGHUP though these tests may run under nohup, which has all that it starts ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start the program as the leader of a process group, as a terminal does."""
    command = [sys.executable, "-m", "ilsvrc", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0, encoding="utf-8"
    )


def await_listening(process: subprocess.Popen[str]) -> None:
    """Wait until the program answers SIGTERM: until then, Python itself is starting."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        if not status.exists():  # not Linux
            time.sleep(0.2)
            return
        caught = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt")), "0")
        if int(caught, 16) >> (signal.SIGALRM - 1) & 1:  # the last that is set
            return
        time.sleep(0.001)


def send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal as it comes in life: SIGTERM to the program, those of a terminal to all of its processes."""
    try:
        if number is signal.SIGTERM:
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def end_of(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return exit status, standard output and error; fail if the process hangs or shows a traceback."""
    try:
        out, err = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"hangs: {process.args!r}")
    assert "Traceback" not in err, err
    assert "Exception ignored" not in err, err
    return process.returncode, out, err


@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_a_signal_while_units_are_written_has_its_status_and_can_be_resumed(
    archives: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = start("--json", "prepare", archives, tmp_path / "tree", "--jobs", 2)
    journal = tmp_path / "tree/.ilsvrc/journal.jsonl"
    while process.poll() is None and not journal.exists():
        time.sleep(0.001)
    send(process, number)
    status, out, err = end_of(process)
    assert status == STATUS[number]
    assert MESSAGE in err
    told = json.loads(out)
    assert told["ok"] is False
    assert MESSAGE in told["error"]
    status, _, err = end_of(start("prepare", archives, tmp_path / "tree", "--jobs", 2))
    assert status == 0, err


@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_a_signal_in_the_first_moments_has_its_status(archives: Path, number: signal.Signals) -> None:
    process = start("--json", "index", archives)
    await_listening(process)
    send(process, number)
    status, out, _ = end_of(process)
    assert status == STATUS[number]
    assert MESSAGE in json.loads(out)["error"]


def test_a_signal_that_is_ignored_at_the_start_stays_ignored(archives: Path) -> None:
    ignoring = "import signal, os, sys; signal.signal(1, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", ignoring, sys.executable, "-m", "ilsvrc", "index", str(archives)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    await_listening(process)
    process.send_signal(signal.SIGHUP)
    assert end_of(process)[0] == 0


@pytest.fixture(scope="module")
def server(archives: Path) -> Iterator[str]:
    """A plain HTTP server of the archives."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # readers are interrupted
                super().handle()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(archives))
    ) as http_:
        thread = threading.Thread(target=http_.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http_.server_address[1]}"
        http_.shutdown()
        thread.join()


@pytest.mark.slow
def test_no_moment_hangs_or_shows_a_traceback_and_every_rerun_completes(
    archives: Path, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(int(os.environ.get("ILSVRC_SEED", "1")))
    told: Counter[str] = Counter()
    slowest = 0.0
    for turn in range(int(os.environ.get("ILSVRC_ROUNDS", "200"))):
        folder = tmp_path / str(turn)
        command = _command(chance.choice(["index", "prepare", "check", "fetch"]), archives, server, folder)
        numbers = chance.choice([[signal.SIGINT, signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP]])
        process = start(*command)
        await_listening(process)
        time.sleep(chance.random() ** 2 * 3)
        began = time.monotonic()
        for number in numbers:
            send(process, number)
            time.sleep(chance.random() * 0.2)
        status, _, err = end_of(process)
        slowest = max(slowest, time.monotonic() - began)
        assert status in (0, STATUS[numbers[0]]), f"round {turn}: {command}: {status}\n{err}"
        told[f"{command[0]} {' '.join(number.name for number in numbers)}: {status}"] += 1
        status, _, err = end_of(start(*command))
        assert status == 0, f"round {turn}: {command} again: {status}\n{err}"
        shutil.rmtree(folder)
    with capsys.disabled():
        lines = [f"{count:4} {what}" for what, count in sorted(told.items())]
        sys.stdout.write("\n".join(["", *lines, f"slowest end: {slowest:.1f} s", ""]))


def _command(verb: str, archives: Path, server: str, folder: Path) -> list[object]:
    """Return the words of a command that works below a folder of its own."""
    folder.mkdir()
    if verb == "fetch":
        name = "ILSVRC2012_img_train.tar"
        shutil.copy(archives / "MD5SUMS", folder)
        return ["fetch", "train", "--to", folder, "--url", f"{server}/{name}", "--no-dht", "--max-speed", "400k"]
    shutil.copytree(archives, folder / "archives")
    if verb == "prepare":
        return ["prepare", folder / "archives", folder / "tree", "--jobs", 2]
    return (
        ["check", "--deep", folder / "archives", "--jobs", 2] if verb == "check" else ["index", folder / "archives"]
    )
