"""The converter and the detector, against the verbs of the command line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from ilsvrc import facts
from ilsvrc.errors import UsageError
from ilsvrc.facts.names import val_name
from ilsvrc.web.collection import open_collection
from ilsvrc.web.guard import Guard
from ilsvrc.web.label_pages import MOST_LABELS, MOST_ROWS, convert
from ilsvrc.web.server import application
from tests.web.pages import parsed, rows
from tests.web.served import HERE, client


@pytest.fixture(scope="module")
def asked(mini: Path) -> Any:
    return client(open_collection(mini))


def predictions(scheme: str, count: int = 400) -> bytes:
    labels = facts.convert(facts.val_labels()[:count], "index", scheme)
    return "".join(f"{val_name(n + 1)},{label}\n" for n, label in enumerate(labels)).encode()


def sent(asked: Any, data: bytes, name: str = "model.csv") -> str:
    found = asked.post("/labels/detect", files={"predictions": (name, data)})
    assert found.status_code == 200
    text: str = found.text
    parsed(text)
    return text


@pytest.mark.parametrize("scheme", [s.name for s in facts.schemes()])
def test_every_label_of_every_scheme_is_converted(scheme: str) -> None:
    labels = facts.scheme(scheme).labels.tolist()
    found = convert(" ".join(map(str, labels)), scheme)
    assert [one.synset.index for one in found] == list(range(1000))
    for at, other in enumerate(facts.schemes()):
        assert [one.labels[at] for one in found] == other.labels.tolist()


def test_page_shows_labels_in_every_scheme(asked: Any) -> None:
    page = asked.get("/labels", params={"labels": "490, 361\n171", "from": "devkit"}).text
    head, *found = rows(parsed(page), "Converted labels")
    assert head == ["Given", "Class", *(s.name for s in facts.schemes())]
    assert [row[0] for row in found] == ["490", "361", "171"]
    assert [row[2] for row in found] == ["65", "970", "230"]


@pytest.mark.parametrize(
    ("labels", "scheme", "told"),
    [
        ("0", "devkit", "not in the scheme devkit"),
        ("n01440764", "index", "wnids are in the scheme wnid"),
        ("-1", "index", "is no label of the scheme index"),
        ("99999999999999999999", "index", "is no label"),
        ("1 2", "nope", "no label scheme is called"),
        ("٣", "index", "is no label"),
        ("1 " * (MOST_LABELS + 1), "index", "ilsvrc labels convert FILE"),
        ("<script>", "wnid", "not in the scheme wnid"),
    ],
)
def test_wrong_labels_are_said_to_be(asked: Any, labels: str, scheme: str, told: str) -> None:
    with pytest.raises(UsageError):
        convert(labels, scheme)
    page = asked.get("/labels", params={"labels": labels, "from": scheme})
    assert page.status_code == 200
    assert told in page.text
    parsed(page.text)


@pytest.mark.parametrize("scheme", ["index", "devkit", "lexicographic", "wnid"])
def test_detector_names_the_scheme_of_a_file(asked: Any, scheme: str) -> None:
    assert f"the scheme is <b>{scheme}</b>" in sent(asked, predictions(scheme))


def test_detector_reads_scores_too(asked: Any) -> None:
    scores = np.zeros((400, 1000), np.float32)
    scores[np.arange(400), facts.convert(facts.val_labels()[:400], "index", "devkit0")] = 1
    file = io.BytesIO()
    np.savez_compressed(file, names=[val_name(n + 1) for n in range(400)], scores=scores)
    assert "the scheme is <b>devkit0</b>" in sent(asked, file.getvalue(), "scores.npz")


def bomb() -> bytes:
    """A zip of 40 KB that is 600 MB once unpacked."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("names.npy", "w") as member:
        for _ in range(600):
            member.write(bytes(1 << 20))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "holds no predictions"),
        (b"what,1\n", "are of no image of ILSVRC 2012"),
        (b"\xff\xfe\x00", "no file of predictions"),
        (b"PK\x03\x04 not a zip", "no file of predictions"),
        (b"PAR1 not Parquet", "no file of predictions"),
        (b"{]", "no file of predictions"),
        (b"[" * 100_000, "no file of predictions"),
        (predictions("devkit", 3), "no scheme is named"),
    ],
)
def test_files_that_tell_nothing_are_said_to(asked: Any, data: bytes, told: str) -> None:
    page = sent(asked, data, "../<b>mine.csv")
    assert told in page
    assert "<b>mine" not in page
    assert "/tmp" not in page.partition("detected")[2]


def test_bomb_is_not_unpacked(asked: Any) -> None:
    assert "once unpacked are more than are read here" in sent(asked, bomb(), "bomb.npz")


def test_no_file_is_said_to_be_none(asked: Any) -> None:
    for files in ({"predictions": ("", b"")}, {"other": ("a.csv", b"x")}):
        found = asked.post("/labels/detect", files=files)
        assert found.status_code == 200
        assert "No file was sent" in found.text
    assert asked.post(
        "/labels/detect", content=b"junk", headers={"content-type": "multipart/form-data"}
    ).status_code in (200, 400)


def test_parquet_of_a_million_repetitions_is_not_unpacked(asked: Any) -> None:
    """Repeated values take no bytes in Parquet, and 16 each once they are read."""
    file = io.BytesIO()
    names = pa.DictionaryArray.from_arrays(np.zeros(MOST_ROWS + 1, np.int8), ["ILSVRC2012_val_00000001"])
    pq.write_table(pa.table({"name": names, "label": np.zeros(MOST_ROWS + 1, np.int8)}), file)
    assert len(file.getvalue()) < 100_000
    assert "rows are more than are read here" in sent(asked, file.getvalue(), "same.parquet")


def test_body_without_a_length_ends_where_it_is_too_long(mini: Path) -> None:
    """What is sent in chunks states no length."""
    app = Guard(application(open_collection(mini)))
    head = b'--B\r\nContent-Disposition: form-data; name="predictions"; filename="x"\r\n\r\n'
    chunks = iter([head, *[bytes(1 << 20)] * 65])
    headers = {"content-type": "multipart/form-data; boundary=B"}
    found = TestClient(app, base_url=HERE).post("/labels/detect", content=chunks, headers=headers)
    assert (found.status_code, found.text) == (413, "A file of more than 64 MiB is not read here.\n")
