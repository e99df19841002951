"""Every command and program that README and docs show is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracles import needs

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
LABELS = {"labels.md", "detect.md", "which-mapping.md"}
"""Pages whose commands and examples tests/labels/test_docs.py runs, with what they print."""

IN_PLACE = {"read-in-place.md", "dataset.md"}
"""Pages that tests/docs/test_read_in_place.py runs, with the frameworks that they need."""

FETCHING = {"fetch.md"}
"""Pages that tests/docs/test_fetch.py runs, with the servers that they name."""

PRELUDES = {"which-mapping.md": "import torch\nmodel = torch.nn.Sequential()\nmodel.fc = torch.nn.Linear(8, 1000)\n"}
"""What programs shown on a page take for granted."""

INSTALL = ("pip install", "make test")
"""Commands that are not run here: they install packages, or would run this test again; the CI runs them."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    return [line for line in lines if not line.startswith(INSTALL)]


@pytest.fixture
def data(mini_with_dogs: Path, tmp_path: Path) -> Path:
    """A folder to stand for /data: its archives hold the classes that the pages speak of."""
    shutil.copytree(mini_with_dogs, tmp_path / "data/archives")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def mini_with_dogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import hashlib

    from ilsvrc.testing.mini import MiniSpec, write_mini

    folder = tmp_path_factory.mktemp("dogs")
    write_mini(folder, MiniSpec(classes=260, per_class=2, mean_bytes=2_500))
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in sorted(folder.glob("*.tar"))]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if commands(page) and page.name not in LABELS | IN_PLACE | FETCHING],
    ids=lambda page: page.name,
)
def test_commands_shown_work(page: Path, data: Path) -> None:
    ran = 0
    for command in commands(page):
        if command.startswith("make "):
            continue
        here = re.sub(r"(?<![\w.])/data/", f"{data}/", command)
        done = subprocess.run(
            ["bash", "-c", here], env=environment(), cwd=data, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if blocks(page, "python") and page.name not in IN_PLACE],
    ids=lambda page: page.name,
)
def test_programs_shown_work(page: Path, data: Path) -> None:
    if page.name in PRELUDES:
        needs("torch")
    for block in blocks(page, "python"):
        if block.startswith(">>>") or ">>> " in block:
            continue  # tests/labels/test_docs.py runs these
        if "@pytest.fixture" in block:
            assert _fixture_works(block, data)
            continue
        program = PRELUDES.get(page.name, "") + block.replace("/data/", f"{data}/")
        (data / "shown.py").write_text(program)  # without a guard, as it is shown
        command = [sys.executable, "shown.py"]
        done = subprocess.run(command, cwd=data, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr


def _fixture_works(block: str, folder: Path) -> bool:
    """Run a fixture that a page shows, in a test of its own."""
    (folder / "test_shown.py").write_text(f"{block}\n\ndef test_it(imagenet):\n    assert any(imagenet.iterdir())\n")
    command = [sys.executable, "-m", "pytest", "-q", "test_shown.py"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 0


def test_make_demo_works_and_is_quick_to_run_again(tmp_path: Path) -> None:
    if not (REPOSITORY / ".venv/installed").exists():
        pytest.skip("not set up by make: there is no .venv/installed")
    for _ in range(2):
        command = ["make", "demo", f"DEMO={tmp_path / 'demo'}"]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nothing is wrong" in done.stdout
        assert f"The class folders are in {tmp_path / 'demo'}" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
