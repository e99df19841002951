from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ilsvrc.facts import class_lists, convert, val_labels
from ilsvrc.facts.names import val_name
from tests.cli.helpers import ilsvrc, ilsvrc_json
from tests.labels import files
from tests.labels.files import DEVKIT_IDS, TRUTH, WNIDS
from tests.labels.test_lists import caffe_archive


def test_show() -> None:
    assert "sea snake" in ilsvrc("labels", "show", "devkit:490").stdout
    shared = ilsvrc("labels", "show", "n02012849").stdout
    assert "the name is shared" in shared
    assert "n03126707" in shared
    document = ilsvrc_json("labels", "show", "65")
    assert [m["wnid"] for m in document["matches"]][:1] == ["n01751748"]
    assert len(document["matches"]) == 5
    lost = ilsvrc("labels", "show", "tenchh", status=2)
    assert "did you mean tench" in lost.stderr


def test_table() -> None:
    assert ilsvrc("labels", "table", "--format", "classes.txt").stdout.splitlines()[65] == "sea snake"
    plain = ilsvrc("labels", "table", "--scheme", "index", "--scheme", "devkit").stdout.splitlines()
    assert plain[0].split() == ["index", "devkit", "name", "words"]
    assert plain[66].split()[:3] == ["65", "490", "sea"]
    assert len(plain) == 1001
    assert len(ilsvrc_json("labels", "table", "--scheme", "wnid")["classes"]) == 1000
    assert json.loads(ilsvrc("labels", "table", "--format", "json").stdout)[65]["devkit"] == 490
    assert "lexicographic" in ilsvrc("labels", "table", "--scheme", "nonsense", status=2).stderr


def test_list() -> None:
    told = ilsvrc("labels", "list").stdout.splitlines()
    assert [line.split()[:2] for line in told[1:]] == [[each.name, str(len(each.wnids))] for each in class_lists()]
    one = ilsvrc("labels", "list", "imagenette").stdout.splitlines()
    assert one[1].split() == ["0", "n01440764", "tench"]
    assert "fastai/imagenette" in one[-1]
    document = ilsvrc_json("labels", "list")
    assert [entry["name"] for entry in document["lists"]] == [listed.name for listed in class_lists()]
    single = ilsvrc_json("labels", "list", "imagenette")
    assert single in document["lists"]
    assert single["classes"][0] == {"index": 0, "wnid": "n01440764", "name": "tench"}
    assert single["source"]["commit"] == "b291a9487f1382a088e3424b1f9f8d34e3d1d62c"
    assert "did you mean imagenette" in ilsvrc("labels", "list", "imagenete", status=2).stderr


def test_verify(tmp_path: Path) -> None:
    path = tmp_path / "val.txt"
    path.write_text(files.caffe([DEVKIT_IDS[i] for i in TRUTH]))
    told = ilsvrc("labels", "verify", path).stdout
    assert "agrees for 50,000 of 50,000, in the scheme devkit" in told
    assert "devkit-ids" in told
    path.write_text(files.caffe([*TRUTH[:9], 0, *TRUTH[10:]]))
    told = ilsvrc("labels", "verify", path, status=1).stdout
    assert f"line 10, ILSVRC2012_val_00000010.JPEG: says {WNIDS[0]}, should be {WNIDS[TRUTH[9]]}" in told
    document = ilsvrc_json("labels", "verify", path, status=1)
    assert (document["ok"], document["agree"], document["cause"]) == (False, 49_999, "changed")
    path.write_text("hello\n")
    assert "no form of label file" in ilsvrc("labels", "verify", path, status=1).stderr
    ilsvrc("labels", "verify", tmp_path / "absent", status=3)


def test_verify_tells_files_without_labels_and_archives(tmp_path: Path) -> None:
    path = tmp_path / "val.txt"
    path.write_text("".join(f"{val_name(n)[:-5]} {n}\n" for n in range(1, 50_001)))
    told = ilsvrc("labels", "verify", path, status=1).stdout.splitlines()
    assert told[0] == f"{path}: list of val images, as in ImageSets/CLS-LOC"
    assert told[1].startswith("  no-labels: lists 50,000 val images and numbers them")
    assert len(told) == 2
    archive = caffe_archive(tmp_path / "caffe_ilsvrc12.tar.gz")
    told = ilsvrc("labels", "verify", archive).stdout.splitlines()
    assert f"{archive}/./val.txt: Caffe's val.txt" in told
    assert "  agrees for 12,894 of 12,894, the images of imagenette, in the scheme index" in told
    assert told[-1] == "  4 of 4 label files agree; 4 members hold no labels"
    document = ilsvrc_json("labels", "verify", archive)
    assert (document["ok"], len(document["members"])) == (True, 8)


LAYOUTS = ["wnid", "index", "padded", "flat", "{split}/my set/{devkit_id}_{word}/{wnid}_{name}"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_verify_reads_the_lists_that_prepare_writes(mini: Path, tmp_path: Path, layout: str) -> None:
    ilsvrc("prepare", mini, tmp_path / "tree", "--layout", layout)
    for split, form, images in (("train", "Caffe's train.txt", 24), ("val", "Caffe's val.txt", 12)):
        document = ilsvrc_json("labels", "verify", tmp_path / "tree" / f"{split}.txt", status=1)
        assert (document["form"], document["scheme"], document["agree"]) == (form, "index", images)
        assert (document["cause"], document["differences"]) == ("missing", []), "a miniature has few images"
        assert "missing" in document["detail"]


def test_convert(tmp_path: Path) -> None:
    path = tmp_path / "val.txt"
    path.write_bytes(b"a.JPEG 490\r\nb.JPEG 361")
    call = ("labels", "convert", path, "--from", "devkit", "--to", "index")
    assert ilsvrc(*call).stdout == "a.JPEG 65\nb.JPEG 970"  # read in text mode, so the line end is translated
    output = tmp_path / "out.txt"
    assert "2 labels from devkit to index" in ilsvrc(*call, "--output", output).stdout
    assert output.read_bytes() == b"a.JPEG 65\r\nb.JPEG 970"
    document = ilsvrc_json(*call)
    assert document == {"labels": 2, "from": "devkit", "to": "index", "text": "a.JPEG 65\r\nb.JPEG 970"}
    assert "line 2: 361" not in ilsvrc("labels", "convert", path, "--from", "wnid", "--to", "index", status=2).stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.txt", "val.txt"]


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    labels = convert(val_labels()[:300], "index", "devkit")
    noisy = np.where(rng.random(300) < 0.6, labels, rng.integers(1, 1001, 300))
    path = tmp_path / "predictions.csv"
    path.write_text("name,prediction\n" + "".join(f"{val_name(n + 1)},{p}\n" for n, p in enumerate(noisy)))
    return path


def test_detect(predictions: Path) -> None:
    told = ilsvrc("labels", "detect", predictions).stdout
    assert told.splitlines()[1].split()[0] == "devkit"
    assert "devkit (300 images)" in told
    document = ilsvrc_json("labels", "detect", predictions)
    assert (document["scheme"], document["images"], document["needed"]) == ("devkit", 300, 0)
    assert document["schemes"]["devkit"]["top5"] is None
    low, high = document["schemes"]["devkit"]["interval"]
    assert low < document["schemes"]["devkit"]["top1"] < high
    assert set(document["schemes"]) == {"index", "index1", "background", "devkit", "devkit0", "lexicographic"}


def test_detect_names_nothing_for_too_few_or_random(predictions: Path) -> None:
    few = predictions.with_name("few.csv")
    few.write_text("\n".join(predictions.read_text().splitlines()[1:9]))
    document = ilsvrc_json("labels", "detect", few, status=1)
    assert document["scheme"] is None
    assert document["needed"] > 0
    assert "more images would settle it" in ilsvrc("labels", "detect", few, status=1).stdout


def test_detect_with_truth_of_ones_own(predictions: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.txt"
    truth.write_text(files.caffe(TRUTH[:300]))
    assert ilsvrc_json("labels", "detect", predictions, "--truth", truth)["scheme"] == "devkit"
    truth.write_text(files.caffe(TRUTH[:10]))
    assert (
        "no label for 290 of the images" in ilsvrc("labels", "detect", predictions, "--truth", truth, status=2).stderr
    )


@pytest.mark.parametrize("command", ["show", "table", "list", "verify", "convert", "detect"])
def test_help_has_examples(command: str) -> None:
    told = ilsvrc("labels", command, "--help").stdout
    assert "Examples" in told
    assert "Schemes" in told or command in ("verify", "list")
