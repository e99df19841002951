"""Every `ilsvrc view` that README and docs show is started as it is shown, answers, and ends."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.test_docs import PAGES, REPOSITORY, all_commands

SHOWN = sorted(
    {command.partition("  #")[0].strip() for page in PAGES for command in all_commands(page) if " view " in command}
)


def test_they_are_shown() -> None:
    assert len(SHOWN) >= 3


@pytest.mark.parametrize("command", SHOWN)
def test_command_serves_pages(command: str, mini: Path, tmp_path: Path) -> None:
    """`--open` starts a browser, which here writes the address that it is given to a file."""
    (tmp_path / "archives").symlink_to(mini)
    words = [word.replace("/data", str(tmp_path)) for word in shlex.split(command)]
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    environment = {**os.environ, "BROWSER": f"{browser} %s"}
    if "--port" not in words:
        words += ["--port", "0"]
    program = [sys.executable, "-m", "ilsvrc", *words[1:]]
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        here = f"http://127.0.0.1:{url.partition('://')[2].partition(':')[2]}"
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(here, timeout=30) as answer:
            assert b"Classes" in answer.read()
        if "--open" in words:
            while not opened.exists() or not opened.read_text(encoding="utf-8"):
                assert process.poll() is None
            assert opened.read_text(encoding="utf-8").strip() == url
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_pictures_are_small() -> None:
    found = list((REPOSITORY / "docs/how-to").glob("view-*"))
    assert len(found) == 2
    assert all(picture.stat().st_size < 200_000 for picture in found)
