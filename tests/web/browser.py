"""The system's chromium, driven by Playwright, and axe-core, which looks for what keeps people from using a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


def axe_script() -> Path:
    """Return axe.min.js: in the folder node_modules of the repository, or where ILSVRC_AXE says."""
    beside = REPOSITORY / "node_modules/axe-core/axe.min.js"
    path = Path(os.environ.get("ILSVRC_AXE") or beside)
    if not path.is_file():
        pytest.skip("axe-core is not here: npm install --no-save axe-core, or set ILSVRC_AXE to its axe.min.js")
    return path


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield the system's chromium without a window, or skip."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page of a browser of its own, of which every message, error and request is kept.

    Parameters
    ----------
    browser
        The browser.
    width
        Pixels of the window.
    scheme
        `light` or `dark`.
    scripts
        Whether the page's scripts are run.
    """

    def __init__(self, browser: Any, *, width: int = 1_200, scheme: str = "light", scripts: bool = True) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        self.page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, file: Path) -> Any:
        """Open a file and return the page."""
        self.page.goto(file.as_uri())
        return self.page

    def violations(self, axe: Path) -> list[str]:
        """Return what axe-core objects to, with the places."""
        self.page.evaluate(axe.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run()")["violations"]
        return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]

    def close(self) -> None:
        """Close it."""
        self.context.close()
