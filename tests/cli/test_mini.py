"""`ilsvrc mini` as a user runs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ilsvrc.testing import Fault, Form, State
from tests.cli.helpers import ilsvrc, ilsvrc_json

PAGE = Path(__file__).parents[2] / "docs/reference/mini.md"
SMALL = ("--classes", 3, "--mean-bytes", 2000)


def test_it_writes_a_miniature_that_md5sum_accepts(tmp_path: Path) -> None:
    done = ilsvrc("mini", tmp_path / "fake", *SMALL)
    assert "ILSVRC2012_img_train.tar: " in done.stdout
    subprocess.run(["md5sum", "--check", "MD5SUMS"], cwd=tmp_path / "fake", capture_output=True, check=True)


def test_its_document_says_where_each_fault_sits(tmp_path: Path) -> None:
    document = ilsvrc_json("mini", tmp_path, *SMALL, "--seed", 5, "--faults", "symlink,html-as-tar")
    assert document["ok"] is True
    assert document["images"] == 12
    assert document["bytes"] == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert document["faults"] == [
        {
            "fault": "symlink",
            "archive": "ILSVRC2012_img_train.tar",
            "member": "n01440764.tar/n01440764_0.JPEG",
            "code": "symlink",
        },
        {"fault": "html-as-tar", "archive": "ILSVRC2012_img_val.tar", "member": "", "code": "html-page"},
    ]


def test_a_wrong_call_is_answered_with_what_to_do(tmp_path: Path) -> None:
    done = ilsvrc("mini", tmp_path, "--faults", "simlink", status=2)
    assert "did you mean symlink?" in done.stderr
    assert "not in 1 to 1,000" in ilsvrc("mini", tmp_path, "--classes", 1001, status=2).stderr
    assert "2 faults" in ilsvrc("mini", tmp_path, "--classes", 1, "--faults", "cmyk,device", status=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_it_writes_any_form_in_any_of_its_states(tmp_path: Path) -> None:
    arguments = ("--form", "heap", "--state", "half-valprep", "--val-per-class", 2)
    document = ilsvrc_json("mini", tmp_path / "heap", *SMALL, *arguments)
    assert (document["form"], document["state"], document["images"]) == ("heap", "half-valprep", 15)
    assert set(document["files"]) == {"train/", "val/"}
    val = tmp_path / "heap/val"
    assert (len(list(val.glob("*.JPEG"))), len(list(val.glob("n*/*.JPEG")))) == (3, 3)
    ilsvrc("mini", tmp_path / "tree", *SMALL, "--form", "tree", "--layout", "padded")
    assert len(list((tmp_path / "tree/val/0002").iterdir())) == 1
    ilsvrc("mini", tmp_path / "tars", *SMALL, "--form", "tree-tar", "--compressed")
    assert (tmp_path / "tars/train.tar.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_form_that_cannot_be_is_answered_with_what_can(tmp_path: Path) -> None:
    for arguments, answer in {
        ("--form", "zip"): "kaggle-zip",
        ("--state", "half"): "half-valprep",
        ("--form", "tree", "--state", "half-inner"): "--form inner",
        ("--form", "hf-tar", "--layout", "flat"): "--form tree",
        ("--form", "kaggle", "--faults", "symlink"): "truncated-image",
        ("--form", "tree", "--compressed"): "tree-tar",
    }.items():
        assert answer in ilsvrc("mini", tmp_path / "x", *arguments, status=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_needs_force(tmp_path: Path) -> None:
    ilsvrc("mini", tmp_path, *SMALL)
    assert "--force" in ilsvrc("mini", tmp_path, *SMALL, status=2).stderr
    ilsvrc("mini", tmp_path, *SMALL, "--force")


def test_the_help_lists_every_fault() -> None:
    text = ilsvrc("mini", "--help").stdout
    assert all(f"{kind}: " in text for kind in (*Fault, *Form, *State))


def test_the_command_of_the_page_runs(tmp_path: Path) -> None:
    commands = re.findall(r"^\$ ilsvrc (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        name = command.split()[1]
        assert ilsvrc_json(*command.replace(name, str(tmp_path / name), 1).split())["images"] == 210
