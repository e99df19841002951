"""The report in a real browser: it opens, filters, fits a phone, and everybody can use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ilsvrc.check.check import check
from ilsvrc.testing.faults import Fault
from ilsvrc.testing.mini import MiniSpec, write_mini
from ilsvrc.web.environment import environment
from ilsvrc.web.report import write_report
from tests.web.browser import Watched, axe_script, chromium

PHONE = 360


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faults of both splits, in a folder whose name can't be broken at a word."""
    folder = tmp_path_factory.mktemp("report")
    data = folder / ("a_very_long_name_without_a_break" * 4)
    kinds = [Fault.TRUNCATED_IMAGE, Fault.ZERO_BYTE_IMAGE, Fault.CMYK, Fault.PNG_AS_JPEG, Fault.MISSING_IMAGES]
    write_mini(data, MiniSpec(classes=8, per_class=3, val_per_class=2, mean_bytes=3_000, faults=frozenset(kinds)))
    found = check(data, deep=True, overview=True, jobs=1)
    assert [bool(part.faults) for part in found.parts] == [True, True]
    write_report(folder / "report.html", found, command=f"ilsvrc check --deep {data}", environment=environment())
    return folder / "report.html"


@pytest.fixture
def opened(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    watched = Watched(browser, **getattr(request, "param", {}))
    watched.open(report)
    yield watched
    watched.close()


def test_page_opens_without_a_word_and_asks_for_nothing(opened: Watched, report: Path) -> None:
    assert opened.messages == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [report.as_uri()]
    widths = opened.page.evaluate(
        "Promise.all([...document.images].map((image) => { image.loading = 'eager';"
        " return image.decode().then(() => image.naturalWidth); }))"
    )
    assert widths
    assert min(widths) > 0


def listed(page: Any) -> list[str]:
    texts: list[str] = page.locator("#listed tbody tr:visible .code").all_text_contents()
    return texts


def test_filter_shows_what_fits(opened: Watched) -> None:
    page = opened.page
    everything = listed(page)
    assert page.locator("#shown").text_content() == f"{len(everything)} of {len(everything)} shown"
    page.locator("#kind").select_option("cmyk")
    assert set(listed(page)) == {"cmyk"}
    page.locator("#kind").select_option("")
    page.locator("#split").select_option("val")
    assert 0 < len(listed(page)) < len(everything)
    page.locator("#split").select_option("")
    page.locator("#find").fill("TENCH premature")
    assert listed(page) == ["truncated-image"]
    page.locator("#find").fill("no such words")
    assert listed(page) == []
    assert page.locator("#shown").text_content() == f"0 of {len(everything)} shown"
    page.locator("#find").fill("")
    assert listed(page) == everything
    assert opened.messages == []


def test_filter_is_reached_and_used_by_keyboard(opened: Watched) -> None:
    page = opened.page
    focused = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        if focused[-1] == "find":
            break
    assert focused[0] == "skip"
    assert focused[-1] == "find"
    page.keyboard.type("cmyk")
    assert set(listed(page)) == {"cmyk"}


@pytest.mark.parametrize("opened", [{"scripts": False}], indirect=True)
def test_without_scripts_everything_is_there_but_the_filter(opened: Watched) -> None:
    assert not opened.page.locator(".filter").is_visible()
    assert "cmyk" in listed(opened.page)


@pytest.mark.parametrize("opened", [{"width": PHONE}], indirect=True)
def test_phone_needs_no_scrolling_to_the_side(opened: Watched) -> None:
    for details in opened.page.locator("details").all():
        details.evaluate("(one) => { one.open = true; }")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == PHONE


@pytest.mark.parametrize("opened", [{"scheme": "light"}, {"scheme": "dark"}], indirect=True)
def test_colours_follow_the_system(opened: Watched, request: pytest.FixtureRequest) -> None:
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(",")) > 3 * 128
    assert light is (request.node.callspec.params["opened"]["scheme"] == "light")


@pytest.mark.parametrize(
    "opened",
    [{"scheme": "light"}, {"scheme": "dark"}, {"width": PHONE}],
    indirect=True,
    ids=["light", "dark", "phone"],
)
def test_axe_has_no_objection(opened: Watched) -> None:
    axe = axe_script()
    for details in opened.page.locator("details").all():
        details.evaluate("(one) => { one.open = true; }")
    assert opened.violations(axe) == []
