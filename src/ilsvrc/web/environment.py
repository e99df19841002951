"""Where a check was made: versions and kind of the machine, and nothing that names its owner."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ilsvrc.version import __version__

_PACKAGES = ("numpy", "pyarrow", "xxhash", "simplejpeg", "pillow")
"""Packages that results depend on."""


def environment() -> dict[str, str]:
    """Return versions and the kind of the machine, by name; no names of hosts, users or folders."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "ilsvrc": __version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {memory:.0f} GiB of memory",
        **{name: found for name in _PACKAGES if (found := _version(name))},
        "time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def without_owner(text: str) -> str:
    """Return a text with the current folder as `.` and the home folder as `~`: paths in it may name a user."""
    here, home = str(Path.cwd()), str(Path.home())
    if len(here) > 1:
        text = text.replace(f"{here}/", "").replace(here, ".")
    return text.replace(home, "~") if len(home) > 1 else text


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
