from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from ilsvrc.errors import MachineError, MissingExtraError
from ilsvrc.fetch import aria2
from ilsvrc.fetch.aria2 import Aria2, find_aria2c
from tests.fetch.nginx import free_port

_CHILD = """
import sys, time
from ilsvrc.fetch.aria2 import Aria2
with Aria2({}) as engine:
    engine.call("getVersion")
    print(engine._process.pid, flush=True)
    time.sleep(60)
"""


def test_the_real_binary_is_found_not_the_script_of_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "aria2c"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = find_aria2c()
    assert found.read_bytes()[:2] != b"#!"
    assert b"aria2 version" in subprocess.run([found, "--version"], capture_output=True, check=True).stdout


def test_without_any_aria2c_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "aria2c", None)
    with pytest.raises(MissingExtraError) as caught:
        find_aria2c()
    assert "ilsvrc[fetch]" in caught.value.hint


def test_the_secret_is_on_no_command_line_and_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Aria2({}) as engine:
        assert engine.call("getVersion")["version"]
        assert engine._process
        words = Path(f"/proc/{engine._process.pid}/cmdline")
        if words.exists():
            assert engine._secret not in words.read_text()
        assert not list(tmp_path.iterdir())


def test_it_listens_on_loopback_alone_and_wants_the_secret() -> None:
    with Aria2({}) as engine:
        engine.call("getVersion")
        secret, engine._secret = engine._secret, "wrong"
        with pytest.raises(MachineError, match="Unauthorized"):
            engine.call("getVersion")
        engine._secret = secret
        sockets = Path("/proc/net/tcp")
        if sockets.exists():
            port = f"{engine._port:04X}"
            local = [line.split()[1] for line in sockets.read_text().splitlines()[1:]]
            assert {a.split(":")[0] for a in local if a.endswith(f":{port}")} == {"0100007F"}


def test_it_is_not_started_before_it_is_needed() -> None:
    with Aria2({}) as engine:
        assert engine._process is None


def test_a_setting_that_aria2c_refuses_is_told_in_its_words() -> None:
    with pytest.raises(MachineError, match=r"aria2c did not start: .*split"), Aria2({"split": "many"}) as engine:
        engine.call("getVersion")


def test_a_dead_engine_is_an_error_and_is_cleared_away() -> None:
    with Aria2({}) as engine:
        engine.call("getVersion")
        assert engine._process
        engine._process.kill()
        engine._process.wait()
        with pytest.raises(MachineError, match="aria2c does not answer"):
            engine.call("getVersion")
    assert engine._output.closed
    assert engine._process is None


def test_it_ends_when_its_parent_is_killed() -> None:
    child = subprocess.Popen([sys.executable, "-c", _CHILD], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    pid = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    child.communicate()
    end = time.monotonic() + 10
    while _alive(pid):
        assert time.monotonic() < end, "aria2c outlived its parent"
        time.sleep(0.05)


class _Late(Aria2):
    """Hears that a download is active once more after it has ended, as happens when it ends between two calls."""

    late = False

    def status(self, gid: str) -> dict[str, Any]:
        if self.late:
            self.late = False
            return {"status": "active"}
        return super().status(gid)


def test_a_download_that_ends_while_it_is_being_stopped_is_no_error(tmp_path: Path) -> None:
    with _Late({}) as engine:
        gid = engine.add([f"http://127.0.0.1:{free_port()}/a.tar"], {"dir": str(tmp_path), "max-tries": "1"})
        while engine.status(gid)["status"] != "error":
            time.sleep(0.02)
        engine.late = True
        engine.forget(gid)
        assert not engine.late


def test_the_save_interval_is_a_few_seconds() -> None:
    with Aria2({}) as engine:
        assert engine.call("getGlobalOption")["auto-save-interval"] == str(aria2.SAVE_INTERVAL)
    assert aria2.SAVE_INTERVAL <= 5


def _alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
