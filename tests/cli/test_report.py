"""`ilsvrc check --report` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.helpers import ilsvrc, ilsvrc_json
from tests.web.pages import loads, parsed, rows


@pytest.fixture(scope="module")
def prepared(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("prepared") / "a tree"
    ilsvrc("-q", "prepare", mini, tree, "--jobs", 1)
    return tree


def test_report_of_a_healthy_tree_says_what_the_check_says(prepared: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    told = ilsvrc("check", "--deep", "--jobs", 1, prepared, "--report", target).stdout
    assert f"report: {target}" in told
    text = target.read_text()
    document = parsed(text)
    assert loads(text) == []
    (title,) = document.iter("h1")
    assert title.text == "Nothing is wrong in 36 images, all of which were decoded."
    (command, *_) = ("".join(block.itertext()) for block in document.iter("pre"))
    assert command == f"ilsvrc check --deep --jobs 1 '{prepared}' --report {target}"
    assert ["train", "digests", "the manifest"] in rows(document, "Comparisons")
    assert ["n01440764 tench", "4", "4"] in rows(document, "Images per class of train")


def test_report_of_a_damaged_tree_names_the_images(prepared: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(prepared, tmp_path / "tree"))
    cut, gone, *_ = sorted((tree / "train").glob("*/*.JPEG"))
    cut.write_bytes(cut.read_bytes()[:-200])
    gone.unlink()
    target = tmp_path / "report.html"
    document = ilsvrc_json("check", "--deep", "--jobs", 1, tree, "--report", target, status=1)
    assert (document["schema"], document["report"]) == ("ilsvrc.check/1", str(target))
    assert document["command"] == f"ilsvrc --json check --deep --jobs 1 {tree} --report {target}"
    assert document["environment"]["ilsvrc"]
    issues = [issue for part in document["parts"] for issue in part["issues"]]
    found = list(rows(parsed(target.read_text()), "Faults, one by one"))[1:]
    assert [row[1] for row in found] == [f"{issue['code']}train" for issue in issues]
    places = {issue["key"]: issue["place"] for issue in issues}
    assert places[f"{cut.parent.name}/{cut.name}"]["file"] == str(cut)
    assert places[f"{gone.parent.name}/{gone.name}"] is None


def test_report_of_a_part_of_a_zip_and_of_archives(mini: Path, tmp_path: Path) -> None:
    ilsvrc("-q", "mini", tmp_path / "zip", "--form", "kaggle-zip", "--classes", 3, "--mean-bytes", 3_000)
    for path in (tmp_path / "zip", mini):
        target = tmp_path / "report.html"
        ilsvrc("-q", "check", path, "--report", target, status=None)
        parsed(target.read_text())


def test_place_that_is_taken_is_refused_before_anything_is_read(prepared: Path, tmp_path: Path) -> None:
    target = tmp_path / "notes.html"
    target.write_text("mine")
    document = ilsvrc_json("check", tmp_path / "nothing there", "--report", target, status=2)
    assert "is no report of ilsvrc's" in document["error"]
    assert "--report another name" in document["hint"]
    assert target.read_text() == "mine"


def test_without_report_the_document_has_no_figures(prepared: Path) -> None:
    document = ilsvrc_json("check", prepared)
    assert not {"report", "command", "environment"} & set(document)
    assert {part["overview"] for part in document["parts"]} == {None}
    assert json.dumps(document).count('"place"') == 0


def test_folder_that_cannot_be_written_is_an_error_of_the_machine_before_anything_is_read(prepared: Path) -> None:
    done = ilsvrc("check", prepared, "--report", "/proc/report.html", status=3)
    assert done.stderr.startswith("error: /proc/report.html: ")
