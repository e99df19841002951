"""The program itself: help, version, completion, exit statuses."""

from __future__ import annotations

import os
import shutil
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


def shell(line: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `ilsvrc` stands for the program and $1, $2 for arguments."""
    program = f'ilsvrc() {{ "{sys.executable}" -m ilsvrc "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-c", program, "bash", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2> >(true)"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_work_goes_on_without_standard_error(mini: Path, tmp_path: Path, stderr: str, jobs: int) -> None:
    done = shell(f'ilsvrc prepare "$1" "$2" -j {jobs} {stderr}', mini, tmp_path / "tree")
    assert done.returncode == 0
    assert "is ready" in done.stdout
    assert shell(f'ilsvrc prepare "$1" "$2" {stderr}', tmp_path / "none", tmp_path / "tree2").returncode == 2


def test_a_closed_standard_output_is_no_error(mini: Path) -> None:
    assert shell('ilsvrc index "$1" >&-', mini).returncode == 0


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_full_standard_output_is_named(mini: Path, options: str) -> None:
    done = shell(f'ilsvrc {options} index "$1" >/dev/full', mini)
    assert done.returncode == 3
    assert "error: standard output: No space left on device" in done.stderr


def test_a_reader_of_text_that_goes_away_is_no_error(mini: Path) -> None:
    assert shell('ilsvrc index "$1" | true; exit ${PIPESTATUS[0]}', mini).returncode == 0


def test_quiet_prints_errors_and_faults_only_but_answers(mini: Path, tmp_path: Path) -> None:
    for words in (["index", mini], ["prepare", mini, tmp_path / "tree"], ["check", tmp_path / "tree"]):
        done = ilsvrc("-q", *words)
        assert (done.stdout, done.stderr) == ("", "")
    assert ilsvrc("-q", "ls", mini).stdout
    assert ilsvrc("-q", "labels", "show", "crane").stdout
    next((tmp_path / "tree/train").glob("*/*.JPEG")).unlink()
    assert "missing-image" in ilsvrc("-q", "check", tmp_path / "tree", status=1).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to ulimit -v")
@pytest.mark.parametrize("kilobytes", [100_000, 250_000, 500_000])  # how much is enough depends on the libraries
def test_too_little_memory_ends_with_3_and_one_line(mini: Path, kilobytes: int) -> None:
    done = shell(f'ulimit -v {kilobytes}; ilsvrc check --deep -j 4 "$1"', mini)
    if done.returncode == 0 and kilobytes > 100_000:
        return
    assert done.returncode == 3, done.stderr
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert "memory" in done.stderr


@pytest.fixture(scope="module")
def here(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds archives and a tree: each command would find something to work on in it."""
    folder = tmp_path_factory.mktemp("here")
    shutil.copytree(mini, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".ilsvrc"))
    ilsvrc("-q", "prepare", mini, folder)
    shutil.copytree(folder / "train", folder / "tree/train")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["mini", ""],
        ["index", ""],
        ["prepare", "", "tree"],
        ["prepare", ".", ""],
        ["check", ""],
        ["check", "tree", "--against", ""],
        ["check", "tree", "--against="],
        ["fetch", "val", "--to", ""],
        ["fetch", "val", "--then", "prepare", ""],
        ["ls", ""],
        ["cat", "", "val"],
        ["relabel", "", "--apply"],
        ["labels", "verify", ""],
    ],
    ids=" ".join,
)
def test_an_empty_argument_is_not_the_current_folder(
    arguments: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    before = sorted(here.rglob("*"))
    told = ilsvrc_json(*arguments, status=2)
    assert "an argument is empty: ilsvrc" in told["error"]
    assert "shell variable" in told["hint"]
    assert sorted(here.rglob("*")) == before


def test_no_faults_may_be_asked_for(tmp_path: Path) -> None:
    ilsvrc("mini", tmp_path / "fake", "--classes", 1, "--mean-bytes", 2000, "--faults", "")
    ilsvrc("mini", tmp_path / "fake", "--classes", 1, "--mean-bytes", 2000, "--faults=", "--force")
