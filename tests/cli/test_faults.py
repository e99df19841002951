"""Every fault that `mini` plants: what the user sees, and that nothing escapes or stays half filled."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ilsvrc.issues import Code
from ilsvrc.testing.faults import FAULTS, Fault
from ilsvrc.testing.mini import MiniSpec, write_mini

from .helpers import ilsvrc, ilsvrc_json

REFERENCE = Path(__file__).parents[2] / "docs/reference/issues.md"
PUBLISHED = {Fault.TRUNCATED_IMAGE, Fault.PNG_AS_JPEG, Fault.CMYK, Fault.ZERO_BYTE_IMAGE}
"""Faults of single images in an archive whose digest is right: the tree is as the archive is, and is published."""


@dataclass(frozen=True)
class Outcome:
    """What became of a miniature with one fault."""

    fault: Fault
    source: Path
    tree: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture(params=Fault, ids=str, scope="module")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    fault, folder = Fault(request.param), tmp_path_factory.mktemp("fault")
    write_mini(folder / "source", MiniSpec(classes=3, mean_bytes=4000, faults=frozenset({fault})))
    done = ilsvrc("prepare", folder / "source", folder / "tree", "--jobs", 1, status=1 if FAULTS[fault].code else 0)
    return Outcome(fault, folder / "source", folder / "tree", done)


def plain(text: str) -> str:
    """Return a message without what differs from run to run: numbers, digests and folders."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "DIGEST", text)
    text = re.sub(r"\S*/source/", "", text)
    return re.sub(r"\d[\d,]*", "N", text)


def test_fault_is_refused_or_reported_by_its_code(outcome: Outcome) -> None:
    code, tree, done = FAULTS[outcome.fault].code, outcome.tree, outcome.done
    written = {p.name for p in tree.iterdir()} - {".ilsvrc"} if tree.exists() else set()
    assert {p.name for p in tree.parent.iterdir()} <= {"source", "tree"}, "nothing escapes"
    if code is None:
        assert {"train", "val"} <= written
        return
    assert re.search(rf"\[{code}\]|\b{code}: ", done.stderr + done.stdout)
    if outcome.fault in PUBLISHED:
        assert sum(1 for _ in tree.glob("*/*/*.JPEG")) == 12, "whole, as the archive has it"
    else:
        assert "hint: " in done.stderr
        assert not written & {"train", "val"}


def test_fault_is_found_by_a_deep_check_of_the_archives(outcome: Outcome) -> None:
    code = FAULTS[outcome.fault].code
    told = ilsvrc_json("check", "--deep", outcome.source, "--jobs", 1, status=1 if code else 0)
    found = {issue["code"] for part in told["parts"] for issue in part["issues"]}
    assert code in found if code else not found


def test_reference_shows_what_the_user_sees(outcome: Outcome) -> None:
    if FAULTS[outcome.fault].code is None:
        return  # a harmless variant: there is nothing to see
    shown = {plain(line.strip()) for line in (outcome.done.stderr + outcome.done.stdout).splitlines()}
    section = REFERENCE.read_text().partition(f"`--faults {outcome.fault}`")[2]
    example = section.partition("```text\n")[2].partition("```")[0].strip().splitlines()
    assert example
    assert {plain(line.strip()) for line in example} <= shown


def test_every_code_is_in_the_reference() -> None:
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", REFERENCE.read_text(), re.MULTILINE))
    assert listed == {str(code) for code in Code}


def test_a_tree_of_a_damaged_source_is_not_called_ready(tmp_path: Path) -> None:
    spec = MiniSpec(classes=3, mean_bytes=4000, faults=frozenset({Fault.PNG_AS_JPEG}))
    source = write_mini(tmp_path / "my source", spec).folder
    done = ilsvrc("prepare", source, tmp_path / "tree", "--jobs", 1, status=1)
    assert "1 damaged in the source itself" in done.stdout
    assert "is ready" not in done.stdout
    (command,) = re.findall(r"next: `ilsvrc (.*)`", done.stdout)
    told = ilsvrc(*shlex.split(command), status=1).stdout
    assert "png: " in told
