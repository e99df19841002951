from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from pathlib import Path

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.facts import classes, scheme
from ilsvrc.labels.tables import keras_name, table
from ilsvrc.labels.verify import verify

SHARED = Path(os.environ.get("ILSVRC_SHARED", Path(__file__).parents[3] / "shared"))

KERAS_MD5 = "c2c37ea517e94d9795004a39431a14cb"
"""The hash by which Keras itself checks its imagenet_class_index.json (keras/applications/imagenet_utils.py)."""


def test_class_index_is_keras_own_file_to_the_byte() -> None:
    assert hashlib.md5(table("class_index").encode()).hexdigest() == KERAS_MD5


def test_keras_names_against_the_facts() -> None:
    facts = SHARED / "facts" / "classes.tsv"
    if not facts.is_file():
        pytest.skip(f"no {facts}; set ILSVRC_SHARED")
    with facts.open(newline="") as file:
        assert [r["keras_name"] for r in csv.DictReader(file, delimiter="\t")] == [keras_name(s) for s in classes()]


def test_caffes_files() -> None:
    words = table("synset_words").splitlines()
    assert (len(words), words[65]) == (1000, "n01751748 sea snake")
    assert table("synsets") == "".join(f"{s.wnid}\n" for s in classes())


def test_classes_txt_has_unique_names_in_any_case() -> None:
    names = table("classes.txt").splitlines()
    assert len({n.casefold() for n in names}) == len(names) == 1000
    assert names[134] == "crane (wading bird)"


def test_lists_stand_in_the_order_of_their_scheme() -> None:
    assert table("synsets", [scheme("devkit")]).splitlines()[489] == "n01751748"
    index = json.loads(table("class_index", [scheme("background")]))
    assert index["66"] == ["n01751748", "sea_snake"]
    assert "0" not in index


def test_csv_and_json_hold_the_same() -> None:
    chosen = [scheme("index"), scheme("devkit"), scheme("wnid")]
    rows = list(csv.DictReader(io.StringIO(table("csv", chosen))))
    assert list(rows[0]) == ["index", "devkit", "wnid", "name", "words"]
    assert [{k: str(v) for k, v in row.items()} for row in json.loads(table("json", chosen))] == rows
    assert rows[65] == {
        "index": "65",
        "devkit": "490",
        "wnid": "n01751748",
        "name": "sea snake",
        "words": "sea snake",
    }


@pytest.mark.parametrize("form", ["class_index", "synset_words", "synsets"])
@pytest.mark.parametrize("name", ["index", "devkit"])
def test_what_is_written_is_recognised(tmp_path: Path, form: str, name: str) -> None:
    file = tmp_path / "table"
    file.write_text(table(form, [scheme(name)]))
    verdict = verify(file)
    assert (verdict.ok, verdict.agree) == (True, 1000)
    assert verdict.scheme is not None
    assert verdict.scheme.removesuffix("0") == name


def test_an_unknown_form() -> None:
    with pytest.raises(UsageError) as error:
        table("class_idx")
    assert "class_index" in error.value.hint
    with pytest.raises(UsageError) as error:
        table("?")
    assert "synset_words" in error.value.hint
