"""Build the report of a full-size data set with many faults, and open it in a browser: bytes, seconds, memory."""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.data import DATA, simulated
from bench.table import aligned, machine
from ilsvrc.check.check import check
from ilsvrc.check.places import rows_of
from ilsvrc.check.report import CheckReport, PartReport
from ilsvrc.issues import Code, Issue
from ilsvrc.readers.locate import find_splits
from ilsvrc.readers.reader import Reader
from ilsvrc.testing.images import Camera
from ilsvrc.web.environment import environment
from ilsvrc.web.listing import LISTED
from ilsvrc.web.report import write_report

CODES = (Code.TRUNCATED_IMAGE, Code.UNDECODABLE, Code.CHANGED_IMAGE, Code.ZERO_BYTES, Code.CMYK)
_TIMES = """(() => {
  const [times] = performance.getEntriesByType("navigation");
  return [times.domContentLoadedEventEnd, times.loadEventEnd];
})()"""


def chosen(reader: Reader, count: int) -> list[int]:
    """Return the rows of the images that are called faulty, from all classes."""
    rows: list[int] = np.linspace(0, len(reader) - 1, count).astype(np.int64).tolist()
    return rows


def picture(reader: Reader, rows: list[int]) -> None:
    """Write a picture in place of the zeros of some images, for thumbnails; those of an earlier run stay."""
    camera = Camera(0, 20_000)
    with reader.path.open("r+b") as file:
        for row in rows:
            place = reader.where(row).offset
            file.seek(place)
            if file.read(2) != b"\xff\xd8":
                file.seek(place)
                file.write(camera.jpeg(reader.name(row), reader.labels.item(row))[: reader.sizes.item(row)])


def prepared(archive: Path, faults: int) -> None:
    """Write pictures to an archive, and index it."""
    reader = find_splits(archive)["train"].open()
    picture(reader, chosen(reader, faults)[:LISTED])
    find_splits(archive)["train"].open()


def faulty(part: PartReport, count: int) -> PartReport:
    """Return a part with as many faults, each of an image of its own, of all kinds of CODES, in all classes."""
    assert part.overview is not None
    reader = part.overview.images
    detail = "its bytes are not those that were recorded"
    issues = tuple(
        Issue(reader.where(row).key, CODES[number % len(CODES)], detail)
        for number, row in enumerate(chosen(reader, count))
    )
    return replace(part, issues=issues, overview=replace(part.overview, rows=rows_of(reader, issues)))


def opened(file: Path, runs: int) -> list[tuple[float, float]]:
    """Return seconds until the document is parsed and its script has run, and until it is loaded, of each opening."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        found = []
        for _ in range(runs):
            page = browser.new_page()
            page.goto(file.as_uri())
            ready, loaded = page.evaluate(_TIMES)
            found.append((ready / 1e3, loaded / 1e3))
            page.close()
        browser.close()
    return found


def main() -> None:
    """Measure as the command line says and print the table."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--fraction", type=float, default=1.0, help="part of the full 1,281,167 images (%(default)g)")
    made.add_argument("--faults", type=int, default=50_000, help="(%(default)s)")
    made.add_argument("--runs", type=int, default=5, help="openings of the page (%(default)s)")
    options = made.parse_args()
    archive = simulated(options.fraction)
    prepared(archive, options.faults)
    begun = time.perf_counter()
    report = check(archive, overview=True)
    checked = time.perf_counter()
    report = CheckReport(report.path, report.deep, tuple(faulty(part, options.faults) for part in report.parts))
    found = time.perf_counter()
    target = DATA / "report.html"
    write_report(target, report, command="ilsvrc check ARCHIVE --report report.html", environment=environment())
    written = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    times = opened(target, options.runs)
    ready, loaded = (sorted(column)[len(times) // 2] for column in zip(*times, strict=True))
    lines = [
        ("report", "measured"),
        ("images, faults", f"{report.parts[0].images:,}, {options.faults:,}"),
        ("check with figures, index there", f"{checked - begun:.1f} s"),
        ("figures again, with a place for each fault", f"{found - checked:.1f} s"),
        ("page written", f"{written - found:.1f} s"),
        ("page", f"{target.stat().st_size / 1e6:.2f} MB"),
        ("peak memory, mapped files included", f"{memory / 1e6:.0f} MB"),
        ("opened: document ready, median (wanted <= 1 s)", f"{ready:.2f} s"),
        ("opened: loaded, median", f"{loaded:.2f} s"),
    ]
    print(aligned(lines), machine(DATA), sep="\n\n")


if __name__ == "__main__":
    main()
