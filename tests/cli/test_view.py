"""`ilsvrc view` as a program: what it prints, how it ends, what it refuses."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.helpers import ilsvrc


@contextmanager
def viewing(path: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the running program and the URL that it printed."""
    command = [sys.executable, "-m", "ilsvrc", "--json", "view", str(path), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = "".join(iter(process.stdout.readline, "}\n")) + "}"
            yield process, json.loads(told)["url"]
        finally:
            process.kill()


def get(url: str, path: str = "", host: str = "", cookie: str = "") -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    target = path or f"{parts.path}{'?' + parts.query if parts.query else ''}"
    headers = {name: value for name, value in (("Host", host), ("Cookie", cookie)) if value}
    with closing(HTTPConnection("127.0.0.1", parts.port or 80, timeout=30)) as connection:
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_ended(mini: Path, number: signal.Signals) -> None:
    with viewing(mini) as (process, url):
        assert get(url)[0] == 200
        assert get(url, "/thumb/train/0")[2].startswith(b"\xff\xd8")
        assert get(url, host="evil.example")[0] == 421
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_address_is_printed_for_people(mini: Path) -> None:
    command = [sys.executable, "-m", "ilsvrc", "view", str(mini), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
    assert line.startswith("http://127.0.0.1:")
    assert "Ctrl-C ends it" in line


def test_a_tilde_is_the_home_folder(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(mini.parent))
    with viewing(Path("~", mini.name)) as (_, url):
        assert get(url)[0] == 200


def test_others_need_the_token(mini: Path) -> None:
    with viewing(mini, "--host", "0.0.0.0", "--name", "proxy.example") as (_, url):
        query = urlsplit(url).query
        assert query.startswith("token=")
        for host in ("", "proxy.example", "192.0.2.1:99"):
            assert get(url, "/", host=host)[0] == 401
            status, headers, _ = get(url, host=host)
            assert (status, headers["location"]) == (303, "/")
            cookie = headers["set-cookie"].partition(";")[0]
            assert get(url, "/thumb/train/0", host=host, cookie=cookie)[0] == 200
        assert get(url, host="evil.example")[0] == 421


def test_taken_port_is_refused_and_the_next_command_works(mini: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = ilsvrc("view", str(mini), "--port", str(taken.getsockname()[1]), status=2)
    assert "Address already in use" in done.stderr
    assert "--port 0" in done.stderr


def test_address_of_another_machine_is_refused(mini: Path) -> None:
    done = ilsvrc("view", str(mini), "--host", "192.0.2.1", status=2)
    assert "is no address of this machine" in done.stderr
    assert "--host 127.0.0.1" in done.stderr


def test_nothing_to_look_at_is_refused(tmp_path: Path) -> None:
    done = ilsvrc("view", str(tmp_path / "nowhere"), status=2)
    assert "does not exist" in done.stderr


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "jinja2", "python_multipart"])
def test_missing_package_names_its_extra(
    mini: Path, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('none', name='{package}')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-m", "ilsvrc", "view", str(mini), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert "pip install 'ilsvrc[view]'" in done.stderr
    assert "Traceback" not in done.stderr
