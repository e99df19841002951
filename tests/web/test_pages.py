"""Pages as a browser without scripts gets them: what they say against the data set itself."""

from __future__ import annotations

import io
import re
import time
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from PIL import Image

import ilsvrc
from ilsvrc import facts
from ilsvrc.testing import Form, MiniSpec, write_mini
from ilsvrc.testing.faults import Fault
from ilsvrc.web.collection import open_collection
from ilsvrc.web.pages import PER_PAGE
from tests.web.pages import attributes, parsed
from tests.web.served import client

EVERY = (
    "/",
    "/?q=crane",
    "/tree",
    "/tree/n02084071",
    "/sample",
    "/compare",
    "/compare?a=134&b=517",
    "/labels",
    "/report",
)


@pytest.fixture(scope="module")
def asked(thousand: Path) -> Any:
    return client(open_collection(thousand))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two classes of more images than a page has."""
    spec = MiniSpec(classes=2, per_class=2 * PER_PAGE + 7, mean_bytes=2_000)
    return client(open_collection(write_mini(tmp_path_factory.mktemp("many"), spec).folder))


def links(text: str, start: str) -> list[str]:
    return [
        unescape(value) for _, name, value in attributes(text) if name in ("href", "src") and value.startswith(start)
    ]


def text_of(page: str) -> str:
    """Return the words of a page; those of neighbouring elements are apart."""
    return " ".join(" ".join(parsed(page).itertext()).split())


@pytest.mark.parametrize("path", EVERY)
def test_every_page_is_strict_html_and_loads_only_its_own(asked: Any, path: str) -> None:
    found = asked.get(path)
    assert found.status_code == 200
    parsed(found.text)
    loaded = [
        value for _, name, value in attributes(found.text) if name in ("src", "href", "action", "hx-get", "hx-post")
    ]
    assert [value for value in loaded if not value.startswith(("/", "#", "?", "data:,"))] == []
    assert not [one for one in attributes(found.text) if one[1].startswith("on") or one[1] == "style"]


def test_all_classes_come_page_by_page(asked: Any) -> None:
    seen: list[str] = []
    url = "/"
    while url:
        page = asked.get(url).text
        seen += [link.rpartition("/")[2] for link in links(page, "/class/train/")]
        more = re.search(r'hx-get="([^"]+)"', page)
        url = unescape(more[1]) if more else ""
    assert seen == list(facts.classes().wnids)


def test_only_a_part_is_sent_where_a_part_is_asked_for(asked: Any) -> None:
    whole, part = asked.get("/?from=60"), asked.get("/?from=60", headers={"HX-Request": "true"})
    assert part.text.lstrip().startswith("<li>")
    assert part.text.strip() in whole.text
    assert whole.headers["vary"] == "HX-Request"
    again = asked.get("/?from=60", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert again.text == whole.text


@pytest.mark.parametrize(
    ("query", "wnids"),
    [("crane", ["n02012849", "n03126707"]), ("n01751748", ["n01751748"]), ("devkit:490", ["n01751748"])],
)
def test_search_finds_classes(asked: Any, query: str, wnids: list[str]) -> None:
    page = asked.get("/", params={"q": query}).text
    assert [link.rpartition("/")[2] for link in links(page, "/class/train/")][: len(wnids)] == wnids


def test_search_finds_an_image(asked: Any) -> None:
    data = ilsvrc.ImageNet(asked.app.routes[0].endpoint.__self__.collection.path, "val")
    name = data.path(7).rpartition("/")[2]
    row = re.search(r'href="/image/val/(\d+)"', asked.get("/", params={"q": name}).text)
    assert row
    assert text_of(asked.get(f"/image/val/{row[1]}").text).count(name)


@pytest.mark.parametrize(
    "query", ["nothing at all", "<script>alert(1)</script>", "\u202e", "devkit:5000", "99999", "x:1"]
)
def test_search_that_finds_nothing_says_what_to_try(asked: Any, query: str) -> None:
    found = asked.get("/", params={"q": query})
    assert found.status_code == 200
    assert '<p class="note">' in found.text
    assert "<script>alert" not in found.text
    assert "\u202e" not in found.text


def test_tree_leads_from_entity_to_every_class(asked: Any) -> None:
    """Every synset of WordNet is reached by links alone."""
    seen, todo = set[str](), ["/tree"]
    while todo:
        page = asked.get(todo.pop()).text
        for link in links(page, "/tree/") + links(page, "/class/"):
            wnid = link.partition("?")[0].rpartition("/")[2]
            if wnid not in seen:
                seen.add(wnid)
                if link.startswith("/tree/"):
                    todo.append(link)
    assert seen == set(facts.hierarchy().words)


def test_tree_counts_the_classes_below(asked: Any) -> None:
    split = open_collection(asked.app.routes[0].endpoint.__self__.collection.path).splits["train"]
    dogs = [s for s in facts.classes() if "n02084071" in facts.hierarchy().ancestors(s.wnid)]
    words = f"118 classes · {split.counts[[s.index for s in dogs]].sum()} images of train"
    assert words in text_of(asked.get("/tree/n02084071?split=train").text)
    assert asked.get("/tree/n01751748").headers["location"] == "/class/train/n01751748"


def test_class_has_all_its_images_page_by_page(many: Any) -> None:
    seen: list[int] = []
    url = "/class/train/n01440764"
    while url:
        page = many.get(url).text
        seen += [int(link.rpartition("/")[2]) for link in links(page, "/image/train/")]
        more = re.search(r'class="more" hx-get="([^"]+)"', page)
        url = unescape(more[1]) if more else ""
    assert seen == list(range(2 * PER_PAGE + 7))


def test_class_is_measured_before_it_is_sorted_by_pixels(many: Any) -> None:
    url = "/class/train/n01443537?sort=-pixels"
    first = many.get(url, headers={"HX-Request": "true"}).text
    while "Reading headers" in first:
        time.sleep(0.01)
        first = many.get(url, headers={"HX-Request": "true"}).text
    rows = [int(link.rpartition("/")[2]) for link in links(first, "/image/train/")]
    data = [many.get(f"/picture/train/{row}").content for row in rows]
    areas = [width * height for width, height in (Image.open(io.BytesIO(one)).size for one in data)]
    assert areas == sorted(areas, reverse=True)
    assert len(areas) == PER_PAGE


def test_image_page_says_all_that_is_known(asked: Any, thousand: Path) -> None:
    split = open_collection(thousand).splits["val"]
    row = 65
    page, data, place = text_of(asked.get(f"/image/val/{row}").text), split.reader.read(row), split.reader.where(row)
    synset = facts.classes()[int(split.reader.labels[row])]
    width, height = Image.open(io.BytesIO(data)).size
    assert Path(place.file).read_bytes()[place.offset : place.offset + len(data)] == data
    pixels = f"{width} \N{MULTIPLICATION SIGN} {height}"
    for fact in (
        split.reader.name(row), synset.words, synset.wnid, f"{len(data):,} bytes", pixels, place.file, place.member,
        f"byte {place.offset:,}", xxhash.xxh3_128_hexdigest(data), f"devkit {synset.devkit_id}",
    ):  # fmt: skip
        assert fact in page
    assert links(asked.get("/image/val/0").text, "/image/val/") == ["/image/val/1"] * bool(split.counts[0] > 1)


def test_pictures_and_files_are_the_images(asked: Any, thousand: Path) -> None:
    split = open_collection(thousand).splits["train"]
    for row in (0, 3, len(split) - 1):
        data = split.reader.read(row)
        assert asked.get(f"/picture/train/{row}").content == data
        saved = asked.get(f"/file/train/{row}")
        assert saved.content == data
        assert saved.headers["content-disposition"] == f'attachment; filename="{split.reader.name(row)}"'
        small = asked.get(f"/thumb/train/{row}")
        assert small.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(small.content)).size) <= 256


def test_pictures_are_kept_by_browsers_until_the_data_changes(asked: Any) -> None:
    for kind in ("thumb", "picture"):
        first = asked.get(f"/{kind}/train/1")
        tag = first.headers["etag"]
        assert "max-age" in first.headers["cache-control"]
        again = asked.get(f"/{kind}/train/1", headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert asked.get(f"/{kind}/train/2").headers["etag"] != tag
        assert "sandbox" in first.headers["content-security-policy"]


def test_sample_is_drawn_by_its_seed(asked: Any) -> None:
    one, other = (links(asked.get(f"/sample?seed={seed}").text, "/image/") for seed in (1, 2))
    assert one == links(asked.get("/sample?seed=1").text, "/image/")
    assert one != other
    assert len(set(one)) == 48


def test_compare_shows_two_classes_of_one_name(asked: Any) -> None:
    page = asked.get("/compare?a=n02012849&b=n03126707").text
    text = text_of(page)
    assert "wading bird" in text
    assert "lifting device" in text
    split = open_collection(asked.app.routes[0].endpoint.__self__.collection.path).splits["train"]
    rows = [int(link.rpartition("/")[2]) for link in links(page, "/image/train/")]
    assert set(split.reader.labels[rows].tolist()) == {134, 517}
    assert "index 134 517" in text


NOWHERE = """
/nothing /class/train/n00000000 /class/nope/n01440764 /class/..%2f..%2fetc/passwd /image/train/99999999
/image/train/-1 /image/train/1e3 /image/train/0/../../etc /thumb/train/99999999999999999999 /tree/x
/static/../pages.py /static/%2e%2e/pages.py /static/pages.py /?split=../.. /sample?split=x /file/val/2000
"""


@pytest.mark.parametrize("path", NOWHERE.split())
def test_what_is_not_there_is_not_found(asked: Any, path: str) -> None:
    found = asked.get(path)
    assert found.status_code == 404
    assert "passwd" not in found.text or "is none of the 1000" in found.text or "no such page" in found.text
    parsed(found.text)


@pytest.mark.parametrize(
    "query", ["?from=-1", "?from=abc", "?from=99999999999", "?from=٣", "?seed=1e9", "?split=train&from=1"]
)
def test_odd_numbers_are_no_failure(asked: Any, query: str) -> None:
    for path in ("/", "/sample", "/class/train/n01440764"):
        assert asked.get(f"{path}{query}").status_code == 200


def test_no_request_changes_or_opens_anything_by_name(asked: Any, thousand: Path) -> None:
    """Every route takes numbers, known words and wnids; no other parameter is in any of them."""
    for route in asked.app.routes:
        for name in re.findall(r"{(\w+)", route.path):
            assert name in ("wnid", "split", "row")
    before = sorted((path, path.stat().st_mtime_ns) for path in thousand.rglob("*"))
    for path in EVERY:
        asked.get(path)
    assert sorted((path, path.stat().st_mtime_ns) for path in thousand.rglob("*")) == before


def test_damaged_images_are_shown_as_such(tmp_path: Path) -> None:
    kinds = frozenset({Fault.TRUNCATED_IMAGE, Fault.ZERO_BYTE_IMAGE, Fault.PNG_AS_JPEG, Fault.CMYK})
    report = write_mini(tmp_path, MiniSpec(classes=4, per_class=3, mean_bytes=3_000, faults=kinds))
    collection = open_collection(report.folder)
    asked, split = client(collection), collection.splits["train"]
    pages = {row: text_of(asked.get(f"/image/train/{row}").text) for row in range(len(split))}
    for code in ("truncated-image", "zero-bytes", "png", "cmyk"):
        assert sum(f"{code} :" in page for page in pages.values()) == 1
    empty = int(np.flatnonzero(split.reader.sizes == 0)[0])
    for kind in ("thumb", "picture"):
        assert asked.get(f"/{kind}/train/{empty}").headers["content-type"] == "image/svg+xml"
    assert asked.get(f"/file/train/{empty}").content == b""


def test_data_that_change_under_the_pages_are_said_to(tmp_path: Path) -> None:
    folder = write_mini(tmp_path, MiniSpec(classes=2, per_class=3, mean_bytes=3_000)).folder
    asked = client(open_collection(folder))
    archive = folder / facts.TRAIN
    archive.write_bytes(archive.read_bytes()[:-4_096] + b"x" * 4_096)
    picture = asked.get("/thumb/train/0")
    assert (picture.headers["content-type"], picture.headers["cache-control"]) == ("image/svg+xml", "no-store")
    page = asked.get("/image/train/0")
    assert page.status_code == 200
    assert "changed" in text_of(page.text)
    saved = asked.get("/file/train/0")
    assert saved.status_code == 500
    assert "This can't be shown" in saved.text
    assert "let no program write to it" in saved.text


@pytest.mark.parametrize("form", list(Form))
def test_every_form_is_shown(form: Form, tmp_path: Path) -> None:
    spec = MiniSpec(classes=3, per_class=2, val_per_class=2, mean_bytes=2_000, form=form)
    collection = open_collection(write_mini(tmp_path, spec).folder)
    asked = client(collection)
    for split in collection:
        page = asked.get(f"/?split={split.name}").text
        for link in links(page, f"/class/{split.name}/"):
            rows = [int(one.rpartition("/")[2]) for one in links(asked.get(link).text, f"/image/{split.name}/")]
            assert rows
            for row in rows:
                assert asked.get(f"/image/{split.name}/{row}").status_code == 200
                assert asked.get(f"/picture/{split.name}/{row}").content == split.reader.read(row)


def test_numbers_of_any_length_are_not_found(asked: Any) -> None:
    digits = "9" * 5_000
    assert [asked.get(f"/{kind}/train/{digits}").status_code for kind in ("image", "thumb", "file")] == [404] * 3
    assert asked.get(f"/?q={digits}").status_code == 200
    assert asked.get(f"/compare?a={digits}&b=index:{digits}").status_code == 200


def test_filter_that_lets_nothing_through_says_so(asked: Any) -> None:
    url = f"/class/train/{facts.classes()[0].wnid}?size=large"
    for headers in ({}, {"HX-Request": "true"}):
        assert "None of the 3 images of this class is like that" in asked.get(url, headers=headers).text
