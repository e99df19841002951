from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ilsvrc import facts
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.testing.faults import Fault
from ilsvrc.web.view.collection import open_collection
from ilsvrc.web.view.report_page import ReportPage
from tests.web.pages import attributes, parsed
from tests.web.view.served import client


def reported(asked: Any) -> Any:
    found = asked.get("/report")
    while "is being checked" in found.text:
        time.sleep(0.05)
        found = asked.get("/report")
    return found


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    kinds = frozenset({Fault.ZERO_BYTE_IMAGE, Fault.PNG_AS_JPEG, Fault.MISSING_IMAGES})
    return write_mini(tmp_path, MiniSpec(classes=4, per_class=4, mean_bytes=3_000, faults=kinds)).folder


def test_report_is_that_of_the_check_and_leads_to_its_images(faulty: Path) -> None:
    collection = open_collection(faulty)
    asked = client(collection)
    assert "Images were not decoded" in reported(asked).text
    assert asked.post("/report/again?deep=1").status_code == 303
    page = reported(asked).text
    parsed(page)
    assert "Every image was read and decoded" in page
    urls = [value for _, name, value in attributes(page) if name == "href" and value.startswith("/image/")]
    assert urls
    codes = [code for url in urls for code in ("zero-bytes", "png") if f"<b>{code}</b>" in asked.get(url).text]
    assert sorted(codes) == ["png", "zero-bytes"]
    assert 'href="/"' in page
    assert "ilsvrc check" in page


def test_policy_of_the_report_is_its_own(faulty: Path) -> None:
    found = reported(client(open_collection(faulty)))
    assert "'sha256-" in found.headers["content-security-policy"]
    assert "unsafe" not in found.headers["content-security-policy"]


def test_part_of_a_page_is_told_to_load_the_report(faulty: Path) -> None:
    asked = client(open_collection(faulty))
    first = asked.get("/report", headers={"HX-Request": "true"})
    assert 'hx-get="/report"' in first.text
    reported(asked)
    assert asked.get("/report", headers={"HX-Request": "true"}).headers["hx-refresh"] == "true"


def test_check_that_fails_says_why_and_can_be_repeated(tmp_path: Path) -> None:
    folder = write_mini(tmp_path, MiniSpec(classes=2, per_class=2, mean_bytes=2_000)).folder
    asked = client(open_collection(folder))
    away = tmp_path / "away"
    folder.rename(away) if folder != tmp_path else [
        path.rename(path.with_suffix(".gone")) for path in folder.glob("*.tar")
    ]
    found = reported(asked)
    assert "nothing to check" in found.text
    assert "Check again" in found.text
    for path in folder.glob("*.gone"):
        path.rename(path.with_suffix(".tar"))
    assert asked.post("/report/again").headers["location"] == "/report"
    assert "What was compared" in reported(asked).text


def test_only_images_that_are_shown_are_linked(faulty: Path, tmp_path: Path) -> None:
    """A link is made only where the row of the page is the image of the issue."""
    collection = open_collection(faulty)
    split = collection.splits["train"]
    report = ReportPage(collection)
    place = split.reader.where(1)
    assert report._link(place, 1) == "/image/train/1"
    assert report._link(place, 2) == report._link(place, len(split)) == report._link(place, -1) == ""
    assert facts.TRAIN in place.file
