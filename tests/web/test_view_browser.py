"""The pages of `ilsvrc view` in a real browser: by mouse, by keyboard, on a phone, and for everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from ilsvrc import facts
from ilsvrc.facts.names import val_name
from ilsvrc.testing import MiniSpec, write_mini
from ilsvrc.testing.faults import Fault
from ilsvrc.web.guard import LARGEST_UPLOAD
from tests.web.browser import Watched, axe_script, chromium
from tests.web.served import serving

PHONE = 360
PAGES = (
    "/", "/?q=crane", "/tree", "/tree/n02084071", "/class/train/n02012849", "/image/train/3", "/sample?seed=1",
    "/compare?a=134&b=517", "/labels?labels=65&from=devkit", "/report", "/nothing",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """All classes, with some faults."""
    faults = frozenset({Fault.ZERO_BYTE_IMAGE, Fault.CMYK, Fault.PNG_AS_JPEG})
    spec = MiniSpec(per_class=3, val_per_class=1, mean_bytes=2_500, faults=faults)
    with serving(write_mini(tmp_path_factory.mktemp("view"), spec).folder) as found:
        yield found


@pytest.fixture(scope="module")
def scrolling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two classes of many images."""
    spec = MiniSpec(classes=2, per_class=150, mean_bytes=2_500)
    with serving(write_mini(tmp_path_factory.mktemp("scroll"), spec).folder) as found:
        yield found


@pytest.fixture
def watched(browser: Any, url: str, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A window in which nothing is said to the console, and that asks nobody else."""
    window = Watched(browser, **getattr(request, "param", {}))
    yield window
    assert window.messages == []
    assert [one for one in window.requests if not one.startswith(("http://127.0.0.1:", "data:"))] == []
    window.close()


def shown(page: Any) -> list[str]:
    """Return the captions of a grid."""
    texts: list[str] = page.locator(".grid .caption").all_text_contents()
    return texts


def until(page: Any, condition: str) -> None:
    """Wait until an expression is true; the page's policy forbids Playwright's own way to, which is eval."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(condition)


def test_pictures_of_a_grid_are_there(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(url)
    until(page, "[...document.images].slice(0, 12).every((image) => image.complete && image.naturalWidth > 0)")
    assert shown(page)[:3] == ["tench", "goldfish", "great white shark"]


def test_classes_come_as_the_page_is_scrolled(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(url)
    first = len(shown(page))
    page.mouse.wheel(0, 50_000)
    until(page, f"document.querySelectorAll('.grid .cell').length > {first}")
    assert shown(page) == [synset.name for synset in facts.classes()][: len(shown(page))]


def test_search_finds_by_word_wnid_and_number(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(url)
    for query, wanted in (("crane", "crane (wading bird)"), ("n01751748", "sea snake"), ("devkit:490", "sea snake")):
        page.keyboard.press("/")
        page.keyboard.type(query)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**q={query.replace(':', '%3A')}*", wait_until="load")
        assert shown(page)[0] == wanted
        assert (
            page.locator("h1").text_content()
            == f"\N{LEFT DOUBLE QUOTATION MARK}{query}\N{RIGHT DOUBLE QUOTATION MARK}"
        )
        page.evaluate("document.activeElement.blur()")
        page.locator("#search").evaluate("(field) => { field.value = ''; }")


def test_tree_is_walked_to_a_class(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(f"{url}/tree")
    for word in ("physical entity", "object, physical object", "whole, unit", "living thing"):
        page.get_by_role("link", name=re.compile(f"^{word}")).first.click()
    assert "living thing" in page.locator("h1").text_content()
    page.goto(f"{url}/tree/n02083346")
    page.get_by_role("link", name=re.compile("^dog, domestic dog")).click()
    page.get_by_role("link", name=re.compile("^dalmatian, coach dog")).click()
    page.wait_for_url("**/class/train/n02110341")
    page.keyboard.press("u")
    page.wait_for_url("**/tree/n02084071**")


def test_class_scrolls_sorts_and_filters(watched: Watched, scrolling: str) -> None:
    page = watched.page
    page.goto(f"{scrolling}/class/train/n01440764")
    while page.locator(".more").count():
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(50)
    assert page.locator("#cells .cell").count() == 150
    names = shown(page)
    assert len(set(names)) == 150
    page.locator("[name=sort]").select_option("-aspect")
    page.wait_for_url("**sort=-aspect**")
    until(page, "document.querySelectorAll('#cells .cell').length >= 60")
    assert shown(page) != names[:60]
    page.locator("[name=shape]").select_option("portrait")
    page.wait_for_url("**shape=portrait**")
    until(page, "document.querySelectorAll('#cells .cell').length < 150")
    page.locator("#cells a.cell").first.click()
    until(page, "document.querySelector('figure img').naturalWidth > 0")
    width, height = page.locator("figure img").evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    assert height > width
    page.go_back()
    page.wait_for_url("**shape=portrait**")
    assert page.locator("h1").text_content() == "tench, Tinca tinca"


def test_image_is_shown_whole_and_keys_turn_pages(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(f"{url}/class/train/n02012849")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/image/train/403")
    until(page, "document.querySelector('figure img').naturalWidth > 0")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/image/train/404")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/image/train/403")
    page.keyboard.press("u")
    page.wait_for_url("**/class/train/n02012849")
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.wait_for_url("**/labels")


def test_two_cranes_are_compared(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(f"{url}/class/train/n02012849")
    page.get_by_text("Labels and relatives").click()
    page.get_by_role("link", name="crane", exact=True).click()
    page.wait_for_url("**/compare?a=n02012849&b=n03126707**")
    assert page.locator(".sides section").count() == 2
    assert page.locator(".sides .grid .cell").count() == 6
    page.goto(f"{url}/compare")
    page.locator("[name=a]").fill("sunglasses")
    page.locator("[name=b]").fill("maillot")
    page.get_by_role("button", name="Compare").click()
    assert page.locator(".sides h2").count() == 2


def test_labels_are_converted_as_they_are_typed(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(f"{url}/labels")
    page.locator("[name=from]").select_option("devkit")
    page.locator("[name=labels]").type("490 361")
    page.get_by_role("link", name="sea snake").wait_for()
    assert page.locator("#converted tbody tr").count() == 2
    page.locator("[name=labels]").fill("5000")
    page.get_by_text("not in the scheme devkit").wait_for()


@pytest.mark.parametrize("by", ["choosing", "dropping"])
def test_detector_names_the_scheme_of_a_file(watched: Watched, url: str, tmp_path: Path, by: str) -> None:
    labels = facts.convert(facts.val_labels()[:400], "index", "devkit")
    text = "".join(f"{val_name(n + 1)},{label}\n" for n, label in enumerate(labels.tolist()))
    file = tmp_path / "model.csv"
    file.write_text(text, encoding="utf-8")
    page = watched.page
    page.goto(f"{url}/labels")
    if by == "choosing":
        page.locator("#predictions").set_input_files(file)
    else:
        page.evaluate(
            """(text) => {
              const carried = new DataTransfer();
              carried.items.add(new File([text], "model.csv"));
              document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: carried }));
            }""",
            text,
        )
    page.locator(".finding").wait_for()
    assert page.locator(".finding").text_content() == "model.csv: the scheme is devkit."


def test_report_comes_by_itself_and_leads_back(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(f"{url}/report")
    page.get_by_text("What was compared").wait_for()
    page.get_by_role("button", name="Read and check every image").click()
    page.get_by_text("Every image was read and decoded").wait_for()
    page.locator("#listed tr", has_text="zero-bytes").locator("a").click()
    page.wait_for_url("**/image/train/*")
    assert "zero-bytes" in page.locator(".note").text_content()


@pytest.mark.parametrize("watched", [{"scheme": "light"}, {"scheme": "dark"}, {"width": PHONE}], indirect=True)
def test_everybody_can_use_every_page(watched: Watched, url: str) -> None:
    axe = axe_script()
    for path in PAGES:
        watched.page.goto(f"{url}{path}")
        if path == "/report":
            watched.page.get_by_text("What was compared").wait_for()
        assert (path, watched.violations(axe)) == (path, [])
        wider = watched.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert (path, wider) == (path, 0)
        if path == "/nothing":
            watched.messages.clear()  # the browser tells of the status 404


@pytest.mark.parametrize("watched", [{"scripts": False}], indirect=True)
def test_pages_work_without_scripts(watched: Watched, url: str) -> None:
    page = watched.page
    page.goto(url)
    page.get_by_role("link", name="More").click()
    assert shown(page)[0] == facts.classes()[60].name
    page.goto(f"{url}/class/train/n01440764")
    page.locator("[name=sort]").select_option("-bytes")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**sort=-bytes**")
    page.goto(f"{url}/labels")
    page.locator("[name=labels]").fill("65")
    page.get_by_role("button", name="Convert").click()
    assert page.get_by_role("link", name="sea snake").count() == 1


def test_page_of_another_site_reads_nothing(browser: Any, url: str) -> None:
    """A page of another origin can neither read an answer nor show one in a frame."""
    window = Watched(browser)
    window.page.route("http://evil.example/", lambda route: route.fulfill(body="<p>hello", content_type="text/html"))
    window.page.goto("http://evil.example/")
    read = f"fetch('{url}/').then((answer) => answer.text()).catch(() => 'refused')"
    assert window.page.evaluate(read) == "refused"
    picture = f"""new Promise((end) => {{
      const image = new Image();
      image.onload = () => end("shown");
      image.onerror = () => end("refused");
      image.src = "{url}/thumb/train/0";
    }})"""
    assert window.page.evaluate(picture) == "refused"
    form = f"fetch('{url}/labels/detect', {{method: 'POST', mode: 'no-cors', body: 'x'}}).catch(() => 'refused')"
    window.page.evaluate(form)
    window.close()


def test_scripts_say_why_nothing_came(browser: Any, url: str, tmp_path: Path) -> None:
    """A filter that fits no image, a file that is too large, and a server that has ended."""
    window = Watched(browser)
    page = window.page
    page.goto(f"{url}/class/train/n01440764")
    page.locator("[name=size]").select_option("large")
    page.get_by_text("is like that").wait_for()
    assert page.locator("a.cell").count() == 0
    page.route("**/class/**", lambda route: route.abort())
    page.locator("[name=size]").select_option("small")
    page.get_by_text("The server does not answer").wait_for()
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(LARGEST_UPLOAD + 1)
    page.goto(f"{url}/labels")
    page.locator("#predictions").set_input_files(large)
    page.get_by_text("more than 64 MiB is not read here").wait_for()
    window.close()


def test_image_is_shown_as_it_is_stored(browser: Any, tmp_path: Path) -> None:
    """EXIF may say that it should be turned; its pixels, its thumbnail and what loaders read are not."""
    folder = tmp_path / "train" / "n01440764"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (60, 40)).save(folder / "n01440764_1.JPEG", "JPEG", exif=exif)
    with serving(tmp_path) as url:
        window = Watched(browser)
        window.page.goto(f"{url}/image/train/0")
        box = window.page.locator("figure img").bounding_box()
        assert (box["width"], box["height"]) == (60, 40)
        assert (
            window.page.evaluate("getComputedStyle(document.querySelector('figure img')).imageOrientation") == "none"
        )
        window.close()


def test_controls_of_a_form_are_as_wide_as_their_use(browser: Any, url: str) -> None:
    """A field for many labels is wider than the choice beside it; on a phone the choices of a class are alike."""
    window = Watched(browser)
    width = "([...names]) => names.map((name) => document.querySelector(`[name=${name}]`).offsetWidth)"
    window.page.goto(f"{url}/labels")
    labels, scheme = window.page.evaluate(width, ["labels", "from"])
    assert labels > 2 * scheme
    window.close()
    window = Watched(browser, width=PHONE)
    window.page.goto(f"{url}/class/train/n01440764")
    assert len(set(window.page.evaluate(width, ["sort", "shape", "size", "oddity"]))) == 1
    window.close()


def test_arrows_walk_on_where_a_page_of_images_ends(browser: Any, scrolling: str) -> None:
    window = Watched(browser)
    page = window.page
    page.goto(f"{scrolling}/class/train/n01440764")
    assert page.locator("a.cell").count() == 60
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    until(page, "document.querySelectorAll('a.cell').length > 60")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("[...document.querySelectorAll('a.cell')].indexOf(document.activeElement)") >= 60
    window.close()
