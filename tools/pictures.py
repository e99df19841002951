"""Take the pictures of `ilsvrc view` that the docs show: of a miniature, in the system's chromium.

python tools/pictures.py
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from ilsvrc.testing import MiniSpec, write_mini

FOLDER = Path(__file__).parents[1] / "docs/how-to"
PICTURES = {"view-classes.jpg": "/?from=120", "view-image.jpg": "/image/train/403"}
WIDTH, HEIGHT = 960, 600


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_mini(Path(folder, "archives"), MiniSpec(per_class=3, mean_bytes=30_000)).folder
        command = [sys.executable, "-m", "ilsvrc", "--json", "view", str(data), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as driver:
            assert server.stdout is not None
            url = json.loads("".join(iter(server.stdout.readline, "}\n")) + "}")["url"].rstrip("/")
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            for name, path in PICTURES.items():
                page.goto(url + path)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=FOLDER / name, type="jpeg", quality=72)
            browser.close()
            server.terminate()


if __name__ == "__main__":
    main()
