"""Where a check was made, without its owner."""

from __future__ import annotations

import getpass
import platform
import socket
from pathlib import Path

import pytest

from ilsvrc.version import __version__
from ilsvrc.web.environment import environment, without_owner


def test_environment_has_versions_and_no_names() -> None:
    found = environment()
    assert found["ilsvrc"] == __version__
    assert platform.python_version() in found["Python"]
    assert {"numpy", "pyarrow", "simplejpeg", "pillow"} <= set(found)
    text = " ".join(found.values()).split()
    assert socket.gethostname() not in text
    assert getpass.getuser() not in text


def test_paths_lose_home_and_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.chdir(tmp_path)
    assert without_owner(f"see {tmp_path}/a/b") == "see a/b"
    assert without_owner(f"prepare {tmp_path} /x") == "prepare . /x"
    assert without_owner("/home/alice/data") == "~/data"
    assert without_owner("/data/imagenet") == "/data/imagenet"
    monkeypatch.chdir("/")
    assert without_owner("/data/imagenet") == "/data/imagenet"
