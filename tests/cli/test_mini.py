"""`ilsvrc mini` as a user runs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ilsvrc.testing import Fault
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


def test_a_second_run_needs_force(tmp_path: Path) -> None:
    ilsvrc("mini", tmp_path, *SMALL)
    assert "--force" in ilsvrc("mini", tmp_path, *SMALL, status=2).stderr
    ilsvrc("mini", tmp_path, *SMALL, "--force")


def test_the_help_lists_every_fault() -> None:
    text = ilsvrc("mini", "--help").stdout
    assert all(f"{fault}: " in text for fault in Fault)


def test_the_command_of_the_page_runs(tmp_path: Path) -> None:
    [command] = re.findall(r"^\$ ilsvrc (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    command = command.replace("fake", str(tmp_path / "fake"))
    assert ilsvrc_json(*command.split())["images"] == 210
