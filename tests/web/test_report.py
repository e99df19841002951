"""The report as a file: whole, self-contained, escaped, and never over anything that is no report."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.check.check import check
from ilsvrc.check.report import CheckReport, Compared, PartReport
from ilsvrc.errors import MissingExtraError, UsageError
from ilsvrc.issues import Code, Issue
from ilsvrc.testing.faults import Fault
from ilsvrc.testing.mini import MiniSpec, write_mini
from ilsvrc.testing.spec import Form
from ilsvrc.web import listing
from ilsvrc.web.report import GENERATOR, refuse_place, render, write_report
from ilsvrc.web.templating import templates
from tests.web.pages import attributes, loads, parsed, rows

SVG = "{http://www.w3.org/2000/svg}"

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</style></script><!--",
    "\u202egpj.exe",
    "a\u2066b\u200bc",
    "\udcff\udc80.JPEG",
    "tab\tnew\nline\r\0\x1b[31m",
    "javascript:alert(1)",
)


def rendered(report: CheckReport) -> str:
    return render(report, command="ilsvrc check /d --report r.html", environment={"ilsvrc": "1"})


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> CheckReport:
    folder = tmp_path_factory.mktemp("damaged")
    faults = frozenset([Fault.TRUNCATED_IMAGE, Fault.ZERO_BYTE_IMAGE, Fault.CMYK, Fault.PNG_AS_JPEG])
    write_mini(folder, MiniSpec(classes=6, per_class=3, mean_bytes=3_000, faults=faults))
    return check(folder, deep=True, overview=True, jobs=1)


def test_page_is_well_formed_and_loads_nothing(damaged: CheckReport) -> None:
    text = rendered(damaged)
    document = parsed(text)
    assert loads(text) == []
    assert "@import" not in text
    assert "url(" not in text
    ids = [value for _, name, value in attributes(text) if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {value for _, name, value in attributes(text) if name == "href"}
    assert {target.removeprefix("#") for target in wanted} <= set(ids)
    assert [heading.text for heading in document.iter("h1")] == ["4 faults."]


def test_policy_allows_its_own_style_and_script_alone(damaged: CheckReport) -> None:
    text = rendered(damaged)
    (policy,) = (value for tag, name, value in attributes(text) if tag == "meta" and "default-src" in value)
    for tag in ("style", "script"):
        (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert not [one for one in attributes(text) if one[1] == "style" or one[1].startswith("on")]


def test_faults_are_in_the_table_with_class_and_place(damaged: CheckReport) -> None:
    document = parsed(rendered(damaged))
    head, *found = rows(document, "Faults, one by one")
    assert head == ["Thumbnail", "Kind", "Where", "Class", "What"]
    assert len(found) == 4
    for (_, kind, where, name, what), issue in zip(found, damaged.damage, strict=True):
        assert kind == f"{issue.code}train"
        assert where.startswith(issue.key)
        assert re.search(rf"byte [\d,]+ of .*{facts.TRAIN}$", where)
        assert name.startswith(issue.key[:9])
        assert what == issue.detail
    assert sum(image.get("src", "").startswith("data:image/jpeg;base64,") for image in document.iter("img")) == 3
    kinds = {kind: count for kind, count, *_ in rows(document, "Faults by kind")}
    assert kinds == {"Kind": "Faults", "truncated-image": "1", "png": "1", "cmyk": "1", "zero-bytes": "1"}


def test_sentences_have_spaces_between_them(damaged: CheckReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LISTED", 3)
    monkeypatch.setattr(listing, "PICTURED", 1)
    text = " ".join("".join(parsed(rendered(damaged)).itertext()).split())
    assert (
        "4 in all. The first 3 are listed by name, some of every kind; --json has them all. 3 more images are" in text
    )
    assert "Pixels and formats are those of all 18 images, of which 17 could be measured, by their headers." in text


def test_every_plot_has_a_name_and_a_table(damaged: CheckReport) -> None:
    document = parsed(rendered(damaged))
    figures = list(document.iter("figure"))
    assert len(figures) == 2 * 5
    for figure in figures:
        (plot,) = figure.iter(f"{SVG}svg")
        assert plot.get("role") == "img"
        assert plot.get("aria-label")
        assert plot.find(f"{SVG}title") is not None
        assert len(list(figure.iter("tr"))) > 1


def test_counts_and_comparisons_are_told(damaged: CheckReport) -> None:
    document = parsed(rendered(damaged))
    told = list(rows(document, "Comparisons"))
    digest = next(part.digest for part in damaged.parts)
    assert ["train", "digest found right", digest] in told
    assert ["train", "digest", "the md5 in MD5SUMS"] in told
    counts = list(rows(document, "Images per class of train"))
    assert ["n01440764 tench", "3", "3"] in counts
    assert len(counts) == 1 + 6
    labels = [row[2] for row in rows(document, "Labels of train by loader")][1:]
    assert labels == ["all 6 right"] * 4 + ["all right"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_the_data_is_markup(text: str) -> None:
    issues = (Issue(text, Code.STRAY_FILE, text), Issue(text, Code.CMYK, text, known=True))
    part = PartReport(
        f"/d/{text}",
        "train",
        text,
        text,
        issues=issues,
        compared=(Compared(text, text),),
        warnings=(text,),
        hint=text,
    )
    report = CheckReport(f"/d/{text}", False, (part,))
    page = render(report, command=f"ilsvrc check {text}", environment={text: text})
    page.encode()
    plain = rendered(CheckReport("/d/x", False, (PartReport("/d/x", "train", "x", issues=issues[:1]),)))
    document = parsed(page)
    tags = {element.tag for element in document.iter()}
    assert tags - {element.tag for element in parsed(plain).iter()} <= {"b", "ul", "li", "details", "summary"}
    assert len(list(document.iter("script"))) == 1
    assert not [one for one in attributes(page) if one[1].startswith("on")]
    assert loads(page) == []
    shown = "".join(document.itertext())
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ud800-\udfff\0\x1b]", shown)


def test_homes_are_not_named(damaged: CheckReport, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(damaged.path).parent
    monkeypatch.setenv("HOME", str(home))
    assert str(home) not in rendered(damaged)
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.chdir(home)
    assert str(home) not in rendered(damaged)


@pytest.mark.parametrize("form", [Form.TREE, Form.KAGGLE_ZIP, Form.KAGGLE_TARGZ, Form.HF_PARQUET])
def test_every_form_has_a_page(tmp_path: Path, form: Form) -> None:
    write_mini(tmp_path, MiniSpec(classes=3, per_class=2, val_per_class=1, mean_bytes=3_000, form=form))
    text = rendered(check(tmp_path, overview=True))
    parsed(text)
    assert loads(text) == []


@pytest.mark.parametrize("fault", [Fault.HTML_AS_TAR, Fault.TRUNCATED_ARCHIVE])
def test_archives_that_cannot_be_read_have_a_page(tmp_path: Path, fault: Fault) -> None:
    write_mini(tmp_path, MiniSpec(classes=6, per_class=2, mean_bytes=3_000, faults=frozenset([fault])))
    report = check(tmp_path, deep=True, overview=True, jobs=1)
    document = parsed(rendered(report))
    (row,) = list(rows(document, "Faults, one by one"))[1:]
    assert row[1].startswith(str(report.damage[0].code))


def test_report_replaces_a_report_and_nothing_else(tmp_path: Path, damaged: CheckReport) -> None:
    target = tmp_path / "report.html"
    for command in ("first", "second"):
        write_report(target, damaged, command=command, environment={})
    assert "second" in target.read_text()
    assert os.listdir(tmp_path) == ["report.html"]
    for content in (b"", b"<html>mine</html>", b"\xff\xd8" + b"x" * 5_000 + GENERATOR.encode()):
        target.write_bytes(content)
        with pytest.raises(UsageError, match="no report of ilsvrc's") as caught:
            write_report(target, damaged, command="third", environment={})
        assert "--report" in caught.value.hint
        assert target.read_bytes() == content


def test_places_where_no_report_can_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name, message, hint in (
        ("folder", "is a folder", "report.html"),
        ("file", "no report", "another name"),
        ("link", "no report", "another name"),
        ("pipe", "no report", "another name"),
        ("no/report.html", "no folder", "mkdir -p"),
        ("file/report.html", "below a file", "--report report.html"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            refuse_place(tmp_path / name)
        assert hint in caught.value.hint
    refuse_place(tmp_path / "new.html")


def test_missing_templates_engine_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    templates.cache_clear()
    with pytest.raises(MissingExtraError, match="Jinja2") as caught:
        refuse_place(tmp_path / "report.html")
    assert caught.value.hint == "pip install 'ilsvrc[view]'"
