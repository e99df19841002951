"""What the benchmarks work on: archives that are made once and kept, and a state that is the same for every run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from ilsvrc.facts import TRAIN
from ilsvrc.files import OWN_FOLDER
from ilsvrc.testing import MiniSpec, write_mini, write_simulated
from ilsvrc.testing.images import REAL_MEAN_BYTES

HERE = Path(__file__).parent
DATA = Path(os.environ.get("BENCH_DATA") or HERE / "data")
"""Where archives and trees go: the disk that is measured."""

PEERS = HERE / "peers"
PER_CLASS = 900
FFCV = "apt-get install python3-ffcv python3-numba python3-opencv python3-torch"
ILSVRC = (sys.executable, "-m", "ilsvrc", "-q")


def miniature(size: float) -> Path:
    """Return a train archive of about so many bytes, with classes of a realistic size, making it at first."""
    classes = min(1000, max(1, round(size / PER_CLASS / REAL_MEAN_BYTES)))
    folder = DATA / f"mini-{classes}"
    if not (folder / "MD5SUMS").exists():
        write_mini(folder, MiniSpec(classes, PER_CLASS, val_per_class=1))
    return folder / TRAIN


def simulated(fraction: float) -> Path:
    """Return a train archive of true headers without images, at a fraction of the full scale, making it at first."""
    folder = DATA / f"simulated-{fraction:g}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TRAIN).exists():
        write_simulated(folder / TRAIN, fraction)
    return folder / TRAIN


def forget(archive: Path) -> None:
    """Throw away what `ilsvrc` remembers of an archive: its index, and that it was verified."""
    shutil.rmtree(archive.parent / OWN_FOLDER, ignore_errors=True)


def cool(archive: Path) -> None:
    """Take a file out of the page cache, so that the next read of it is from the disk."""
    fd = os.open(archive, os.O_RDONLY)
    try:
        os.fsync(fd)  # the cache gives up clean pages only
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def warm(archive: Path) -> None:
    """Read a file, so that the next read of it is from memory."""
    with archive.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def remove(tree: Path) -> None:
    """Remove a tree, and let the disk finish with it before the next run."""
    shutil.rmtree(tree, ignore_errors=True)
    os.sync()


def compiled(name: str, folder: Path = DATA) -> Path:
    """Return a program of `peers`, compiled from C into a folder."""
    source, program = PEERS / f"{name}.c", folder / name
    folder.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = ["cc", "-O2", "-Wall", "-Wextra", "-pthread", "-o", program, source]
    subprocess.run(command, check=True)
    return program


def peer_python() -> Path:
    """Return a Python that has the peers of pyproject's group `bench`, in an environment of their own."""
    python = DATA / "peers-venv" / "bin" / "python"
    if not python.exists():
        project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        packages = project["dependency-groups"]["bench"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def training(program: str, *arguments: str | Path) -> tuple[str | Path, ...]:
    """Return the command of a program of `peers` in the environment that has its training library.

    FFCV is Debian's package, for the system's Python; all others are where `make readers` puts them.

    Raises
    ------
    SystemExit
        If the environment is not there.
    """
    here = HERE.parent
    python, hint = Path(os.environ.get("ILSVRC_READERS") or here / ".venv-readers/bin/python"), "make readers"
    if program.endswith("_ffcv"):
        python, hint = Path(os.environ.get("ILSVRC_FFCV") or "/usr/bin/python3"), FFCV
    if not python.exists() or (
        hint == FFCV and subprocess.run([python, "-c", "import ffcv"], check=False).returncode
    ):
        raise SystemExit(f"{program} needs training libraries that are not installed: {hint}; or choose --formats")
    settings = (f"PYTHONPATH={here}", "TF_CPP_MIN_LOG_LEVEL=3", "CUDA_VISIBLE_DEVICES=", "HF_HUB_OFFLINE=1")
    return ("env", *settings, "OMP_NUM_THREADS=1", python, "-m", f"bench.peers.{program}", *arguments)
