"""The verdict: what was found, and what was compared with what."""

from __future__ import annotations

import json

from ilsvrc.check.report import CheckReport, Compared, NotCompared, PartReport
from ilsvrc.issues import Code, Issue

NAMES = Compared("names", "the manifest")
SIZES = Compared("sizes", "the manifest")
DIGESTS = NotCompared("digests", "add --deep")
TRAIN = PartReport(
    "/d/train", "train", "class folders", "wnid", images=1_200, compared=(NAMES, SIZES), not_compared=(DIGESTS,)
)
VAL = PartReport(
    "/d/val", "val", "class folders", "wnid", images=34, compared=(NAMES, SIZES), not_compared=(DIGESTS,)
)
ARCHIVE = PartReport("/d/a.tar", "train", "archive", images=5, not_compared=(NotCompared("digest", "none is known"),))


def verdict(*parts: PartReport, deep: bool = False) -> str:
    return CheckReport("/d", deep, parts).verdict


def test_verdict_names_what_was_compared_and_what_was_not() -> None:
    told = verdict(TRAIN, VAL)
    compared = "names and sizes compared with the manifest"
    assert told == f"nothing is wrong in 1,234 images: {compared}; digests not compared: add --deep"


def test_what_holds_for_one_part_only_names_the_part() -> None:
    counts = PartReport(
        "/d/val", "val", "class folders", "wnid", images=34, compared=(Compared("image counts", "the facts"),)
    )
    assert verdict(TRAIN, counts) == (
        "nothing is wrong in 1,234 images: names (train) and sizes (train) compared with the manifest; "
        "image counts (val) compared with the facts; digests (train) not compared: add --deep"
    )


def test_what_was_compared_with_nothing_is_not_said_to_be_right() -> None:
    told = verdict(ARCHIVE)
    assert told.startswith("no fault was found in 5 images, but a.tar could be compared with nothing")
    assert told.endswith("digest not compared: none is known")
    assert "nothing is wrong" not in verdict(TRAIN, ARCHIVE)
    assert "nothing is wrong" not in verdict(ARCHIVE, deep=True)


def test_deep_check_says_that_it_decoded() -> None:
    assert verdict(TRAIN, deep=True).startswith("nothing is wrong in 1,200 images, all of which were decoded: ")


def test_faults_are_counted_in_the_one_verdict() -> None:
    fault = Issue("a", Code.MISSING_IMAGE, "it is in the manifest")
    odd = Issue("b", Code.CMYK, "CMYK, not RGB", known=True)
    one = PartReport("/d/val", "val", "class folders", "wnid", issues=(fault, odd), compared=(NAMES,))
    assert verdict(one) == "1 fault: names compared with the manifest"
    assert verdict(one, one).startswith("2 faults: ")
    lost = PartReport("/d/val", "val", "class folders", "unknown", issues=(fault,))
    assert verdict(lost) == "1 fault"


def test_one_warning_of_two_parts_is_said_once() -> None:
    warned = [
        PartReport(
            f"/d/{split}", split, "class folders", compared=(NAMES,), warnings=("folders are numbered otherwise",)
        )
        for split in ("train", "val")
    ]
    assert verdict(*warned).endswith("; warning: folders are numbered otherwise")
    assert verdict(warned[0], VAL).endswith("; warning (train): folders are numbered otherwise")
    assert CheckReport("/d", False, tuple(warned)).ok


def test_document_has_the_verdict_and_the_comparisons() -> None:
    report = CheckReport("/d", False, (TRAIN,))
    document = json.loads(json.dumps(report.to_dict()))
    assert document["verdict"] == report.verdict
    assert document["ok"] is True
    (part,) = document["parts"]
    assert part["compared"] == [
        {"what": "names", "against": "the manifest"},
        {"what": "sizes", "against": "the manifest"},
    ]
    assert part["not_compared"] == [{"what": "digests", "reason": "add --deep"}]
