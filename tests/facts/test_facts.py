"""The packaged tables against the genuine devkit, and what the field knows of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ilsvrc import facts
from ilsvrc.issues import Code

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY / "src/ilsvrc/facts/data"
BY_HAND = {"README.md", "sources.tsv", "sizes.tsv"}
ELSEWHERE = {"class_lists.tsv", "class_list_sources.tsv", "detection_wnids.txt", "torchvision_meta.bin.bz2"}
"""Tables that no devkit holds; tests of their own compare them with other copies."""


def test_packaged_tables_are_what_the_devkit_derives_to(shared: Path, tmp_path: Path) -> None:
    devkit = shared / facts.DEVKIT
    subprocess.run(
        [sys.executable, str(REPOSITORY / "tools/derive_facts.py"), str(devkit), str(tmp_path)], check=True
    )
    derived = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    packaged = {path.name: path.read_bytes() for path in DATA.iterdir() if path.name not in BY_HAND | ELSEWHERE}
    assert derived == packaged


def test_ground_truth_of_the_genuine_devkit_gives_the_packaged_labels(shared: Path) -> None:
    with tarfile.open(shared / facts.DEVKIT) as archive:
        file = archive.extractfile("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt")
        assert file is not None
        ids = [int(line) for line in file]
    assert ids[:5] == [490, 361, 171, 822, 297]
    assert [facts.classes().by_devkit_id(i).index for i in ids] == facts.val_labels().tolist()


def test_derive_facts_refuses_another_devkit(tmp_path: Path) -> None:
    (tmp_path / "devkit.tar.gz").write_bytes(b"other")
    command = [
        sys.executable,
        str(REPOSITORY / "tools/derive_facts.py"),
        str(tmp_path / "devkit.tar.gz"),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "md5" in done.stderr


def test_classes_are_sorted_by_wnid_and_complete() -> None:
    classes = facts.classes()
    assert len(classes) == 1000
    assert list(classes.wnids) == sorted(classes.wnids)
    assert [s.index for s in classes] == list(range(1000))
    assert sorted(s.devkit_id for s in classes) == list(range(1, 1001))
    assert sum(s.train_images for s in classes) == 1_281_167
    assert {min(s.train_images for s in classes), max(s.train_images for s in classes)} == {732, 1300}


def test_devkit_minus_one_is_the_index_of_no_class() -> None:
    assert not any(s.devkit_id - 1 == s.index for s in facts.classes())


def test_names_are_unique_in_any_case() -> None:
    names = Counter(s.name.casefold() for s in facts.classes())
    assert max(names.values()) == 1


def test_shared_names_are_told_apart(shared: Path) -> None:
    duplicates = json.loads((shared / "duplicates.json").read_text())["first_lemma_casefold"]
    assert duplicates == {"cardigan": [264, 474], "crane": [134, 517], "maillot": [638, 639]}
    assert {i: facts.classes()[i].name for pair in duplicates.values() for i in pair} == {
        134: "crane (wading bird)",
        517: "crane (lifting device)",
        638: "maillot (tights)",
        639: "maillot (tank suit)",
        264: "Cardigan (Cardigan Welsh corgi)",
        474: "cardigan (sweater)",
    }
    shared_names = {i for pair in duplicates.values() for i in pair}
    assert all(s.name == s.words.split(", ")[0] for s in facts.classes() if s.index not in shared_names)


def test_val_labels_are_the_published_ones() -> None:
    labels = facts.val_labels()
    digest = hashlib.sha256(labels.astype("<u2").tobytes()).hexdigest()
    assert digest == "f5350687a5a78da7e645040d352767bc06c1c99d9dfb34f1623b2d1a1d046b76"
    assert np.bincount(labels).tolist() == [50] * 1000
    assert labels[:4].tolist() == [65, 970, 230, 809], "as Caffe's val.txt begins"
    with pytest.raises(ValueError, match="read-only"):
        labels[0] = 0


def test_official_archives() -> None:
    train, val = facts.official(facts.TRAIN), facts.official(facts.VAL)
    assert train is not None
    assert val is not None
    assert (train.size, val.size) == (147_897_477_120, 6_744_924_160)
    assert str(train.digest("md5")) == "md5:1d675b47d978889d74fa0da5fadfb00e"
    assert str(val.digest("md5")) == "md5:29b22e2961454d5413ddabcf34fc5622"
    assert facts.official("other.tar") is None
    t3 = facts.archive_with_digest(facts.Digest("md5", "ccaf1013018ac1037801578038d370da"))
    assert t3 is not None
    assert t3.name == "ILSVRC2012_img_train_t3.tar"


def test_anomalies_and_blacklist() -> None:
    assert Counter(facts.anomalies().values()) == {Code.CMYK: 23, Code.PNG: 1, Code.BAD_EXIF: 1}
    assert len(facts.val_blacklist()) == 1762
    assert facts.val_blacklist() <= set(range(1, 50_001))


def test_class_table_answers_for_what_it_lacks() -> None:
    assert facts.classes().get("n00000000") is None
    with pytest.raises(KeyError):
        facts.classes().by_wnid("n00000000")
    with pytest.raises(KeyError):
        facts.classes().by_devkit_id(1001)
