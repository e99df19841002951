"""The program itself: help, version, completion, exit statuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.cli.main import main

from .helpers import ilsvrc, ilsvrc_json

COMMANDS = ("mini", "index", "prepare", "check", "relabel")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    assert "Examples" in ilsvrc(command, "--help").stdout


def test_help_names_every_command() -> None:
    text = ilsvrc("--help").stdout
    assert all(command in text for command in COMMANDS)


def test_version() -> None:
    assert ilsvrc("--version").stdout.startswith("ilsvrc ")


def test_completion_script_is_printed_for_bash() -> None:
    environment = {**os.environ, "_ILSVRC_COMPLETE": "source_bash"}
    program = str(Path(sys.executable).with_name("ilsvrc"))
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    assert "complete" in done.stdout
    assert "ilsvrc" in done.stdout


def test_json_of_an_error_is_a_document_too(mini: Path, tmp_path: Path) -> None:
    (tmp_path / facts.VAL).write_text("<html>login</html>")
    told = ilsvrc_json("prepare", tmp_path, tmp_path / "tree", status=1)
    assert told["ok"] is False
    assert told["code"] == "html-page"
    assert told["hint"]


def test_index_tells_what_is_there(mini: Path) -> None:
    told = ilsvrc_json("index", mini)
    assert [(a["split"], a["images"], a["classes"]) for a in told["archives"]] == [("train", 24, 6), ("val", 12, 6)]
    assert "24 images" in ilsvrc("index", mini).stdout


def test_check_of_a_sound_tree_ends_with_0_of_a_damaged_one_with_1(mini: Path, tmp_path: Path) -> None:
    ilsvrc("prepare", mini, tmp_path / "tree")
    assert "nothing is wrong" in ilsvrc("check", tmp_path / "tree").stdout
    next((tmp_path / "tree/train").glob("*/*.JPEG")).unlink()
    done = ilsvrc("check", tmp_path / "tree", status=1)
    assert "missing-image" in done.stdout
    assert "tree: 1 fault: " in done.stdout


def test_a_reader_that_goes_away_is_no_error(mini: Path) -> None:
    command = f"{sys.executable} -m ilsvrc --json index {mini} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_no_permission_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mini: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/data/tree")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["prepare", str(mini), "/data/tree"]) == 3
    told = capsys.readouterr().err
    assert "/data/tree: Permission denied" in told
    assert "hint" in told


@pytest.mark.parametrize("arguments", [["prepare"], ["check", "nowhere"], ["prepare", "a", "b", "-j", "x"]])
def test_json_is_one_document_for_wrong_calls_too(arguments: list[str]) -> None:
    told = ilsvrc_json(*arguments, status=2)
    assert told["ok"] is False
    assert told["error"]


def test_common_options_may_stand_after_the_command(mini: Path) -> None:
    assert ilsvrc("index", mini, "-q").stderr == ""


def test_verbose_lists_everything(tmp_path: Path, mini: Path) -> None:
    ilsvrc("-q", "prepare", mini, tmp_path / "tree")
    for image in (tmp_path / "tree/train").glob("*/*.JPEG"):
        image.unlink()
    assert "-v lists them all" in ilsvrc("check", tmp_path / "tree", status=1).stdout
    assert ilsvrc("check", "-v", tmp_path / "tree", status=1).stdout.count("missing-image") == 24


def test_names_that_are_no_text_are_printed_escaped(tmp_path: Path, mini: Path) -> None:
    ilsvrc("-q", "prepare", mini, tmp_path / "tree")
    os.mkdir(os.fsencode(tmp_path / "tree/train") + b"/\xff")
    assert "\\udcff" in ilsvrc("check", tmp_path / "tree", status=1).stdout


def test_a_full_standard_output_ends_with_3(mini: Path) -> None:
    command = f"{sys.executable} -m ilsvrc --json index {mini} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "standard output" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_list_of_classes_is_not_all_classes(mini: Path, tmp_path: Path) -> None:
    assert "no class is selected" in ilsvrc("prepare", mini, tmp_path / "tree", "--classes", "", status=2).stderr
    assert (
        "no list of classes"
        in ilsvrc("prepare", mini, tmp_path / "tree", "--classes", sys.executable, status=2).stderr
    )
