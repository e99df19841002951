"""Every command and program that README and docs show is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ilsvrc.facts import TRAIN, VAL
from ilsvrc.sinks.formats.registry import FORMATS
from tests.cli.forking import call
from tests.fetch.nginx import Nginx
from tests.fetch.swarm import swarm
from tests.oracles import needs

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
LABELS = {"labels.md", "detect.md", "which-mapping.md"}
"""Pages whose commands and examples tests/labels/test_docs.py runs, with what they print."""

IN_PLACE = {"object-stores.md", "read-in-place.md", "dataset.md"}
"""Pages that tests/docs/test_read_in_place.py runs, with the frameworks that they need."""

FETCHING = {"fetch.md"}
"""Pages that tests/docs/test_fetch.py runs, with the servers that they name."""

IN_STORES = {"object-stores.md"}
"""Pages that tests/docs/test_object_stores.py runs, with a server of objects."""

CLUSTERS = {"cluster.md", "slurm.md", "kubernetes.md"}
"""Pages that tests/docs/test_clusters.py runs, on real clusters: commands, job scripts, manifests."""

PRELUDES = {"which-mapping.md": "import torch\nmodel = torch.nn.Sequential()\nmodel.fc = torch.nn.Linear(8, 1000)\n"}
"""What programs shown on a page take for granted."""

ELSEWHERE = ("pip install", "make test", "make demo", "ilsvrc fetch", "ilsvrc view")
"""Beginnings of commands that other tests run, or the CI: they install packages, run this test, or need servers."""

SHELL = re.compile(r"[|&;<>$`*?~(){}\[\]]")
"""Characters that mean something to a shell."""

NOT_RUN = {"text", "csv"}
"""Languages of blocks that show output or a file; they hold no command."""


def of_format(page: Path) -> bool:
    """Whether tests/docs/test_formats.py runs a page, where the training libraries are."""
    return page.parent.name == "how-to" and page.stem in FORMATS


def fenced(page: Path) -> list[tuple[str, str]]:
    """Return language and text of every block of a page."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for tag, text in fenced(page) if tag == language]


def all_commands(page: Path) -> list[str]:
    return [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]


def commands(page: Path) -> list[str]:
    return [line for line in all_commands(page) if not line.startswith(ELSEWHERE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_hides_in_a_block_that_is_not_run(page: Path) -> None:
    if page.name in {"fetch.md"} | CLUSTERS:
        return  # tests of their own run their commands
    if page.name != "README.md":
        assert not [line for line in all_commands(page) if line.startswith("ilsvrc fetch")], "only README's are run"
    for language, text in fenced(page):
        assert language in {"console", "python"} | NOT_RUN, f"{page.name}: a block of {language or 'no language'}"
        if language in NOT_RUN:
            shown = [line for line in text.splitlines() if re.match(r"(\$ |ilsvrc |make |pip |python)", line)]
            assert not shown, f"{page.name} shows {shown[0]} in a block that no test runs"


def test_every_page_with_commands_is_run() -> None:
    """The pages that the tests of labels and of reading in place take over are pages that there are."""
    assert {page.name for page in PAGES} >= LABELS | IN_PLACE | IN_STORES


def test_fetch_commands_of_the_readme_work(mini_with_dogs: Path, tmp_path: Path) -> None:
    """They run as they are shown, but on a server and swarms of our own; the server insists on the cookie."""
    with_cookies, with_torrents = (c for c in all_commands(PAGES[0]) if c.startswith("ilsvrc fetch"))
    (tmp_path / "nginx").mkdir()
    server = Nginx(tmp_path / "nginx")
    for archive in mini_with_dogs.glob("ILSVRC2012_*"):
        shutil.copy(archive, server.root)
    cookie = "127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tletmein\n"
    (tmp_path / "cookies.txt").write_text(f"# Netscape HTTP Cookie File\n{cookie}")
    try:
        run_fetch(f"{with_cookies} --url {server.url('cookie', '')}", tmp_path / "http", mini_with_dogs)
    finally:
        server.close()
    assert len(list((tmp_path / "http/imagenet/train").iterdir())) == 260
    with swarm(mini_with_dogs / TRAIN) as train, swarm(mini_with_dogs / VAL) as val:
        torrents = {"train.torrent": train.torrent, "val.torrent": val.torrent}
        for name, torrent in torrents.items():
            (tmp_path / name).write_bytes(torrent)
        ours = with_torrents.replace("--torrent academic", " ".join(f"--torrent {name}" for name in torrents))
        assert ours != with_torrents
        run_fetch(f"{ours} --no-dht", tmp_path / "torrent", mini_with_dogs)


def run_fetch(command: str, data: Path, original: Path) -> None:
    """Run a command with `data` in place of /data; require the archives of `original`."""
    (data / "archives").mkdir(parents=True)
    shutil.copy(original / "MD5SUMS", data / "archives")
    here = command.replace("/data/", f"{data}/")
    done = subprocess.run(
        ["bash", "-c", here], env=environment(), cwd=data.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{here}\n{done.stdout}\n{done.stderr}"
    for name in (TRAIN, VAL):
        assert (data / "archives" / name).read_bytes() == (original / name).read_bytes()


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
    [
        page
        for page in PAGES
        if commands(page)
        and page.name not in LABELS | IN_PLACE | FETCHING | IN_STORES | CLUSTERS
        and not of_format(page)
    ],
    ids=lambda page: page.name,
)
def test_commands_shown_work(page: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    for command in commands(page):
        done = run_shown(re.sub(r"(?<![\w.])/data/", f"{data}/", command))
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def run_shown(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command: a call of ilsvrc alone without Python's start and imports, anything else in a shell.

    `make demo` below, and the commands with redirections and pipes, start the installed program.
    """
    program, *arguments = shlex.split(command, comments=True)
    if program == "ilsvrc" and not SHELL.search(command.partition(" #")[0]):
        return call(arguments)
    return subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if blocks(page, "python") and page.name not in IN_PLACE | CLUSTERS and not of_format(page)
    ],
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
