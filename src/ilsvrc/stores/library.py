"""The library that speaks with stores, usable in every process."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from ilsvrc.errors import MachineError

_NAME = "obstore"
_COMPILED = "obstore._obstore"

_LOADED: dict[int, Any] = {}
"""The library of each process, by its number; a child that was forked has its parent's entry besides."""

_LOADING = threading.Lock()


def library() -> Any:
    """Return obstore, loaded for this process.

    Its threads begin with its first request and don't survive a fork: a child waits for ever for its parent's
    (developmentseed/obstore pull request 441 says so). DataLoader forks its workers. So a child loads a copy of the
    compiled module of its own, which starts threads of its own.

    Raises
    ------
    MachineError
        If it is not installed.
    """
    found = _LOADED.get(os.getpid())
    if found is None:
        with _LOADING:
            found = _LOADED.get(os.getpid())
            if found is None:
                found = _LOADED[os.getpid()] = _copied() if _LOADED else _installed()
    return found


def _installed() -> ModuleType:
    try:
        return importlib.import_module(_NAME)
    except ImportError as error:
        hint = "pip install 'ilsvrc[cloud]'"
        raise MachineError(
            "reading and writing object stores needs obstore, which is not installed", hint=hint
        ) from error


class _Copy:
    """Finds the compiled module at another path: the system loads a file that it has loaded already only once."""

    def __init__(self, path: str) -> None:
        self._path = path

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
        /,
    ) -> ModuleSpec | None:
        """Return where the compiled module is; None for every other module."""
        if fullname != _COMPILED:
            return None
        return spec_from_file_location(fullname, self._path, loader=ExtensionFileLoader(fullname, self._path))


def _copied() -> ModuleType:
    """Return the library anew, with a copy of its compiled module."""
    parents = {name: module for name, module in sys.modules.items() if name == _NAME or name.startswith(f"{_NAME}.")}
    for name in parents:
        del sys.modules[name]
    with tempfile.NamedTemporaryFile(suffix=".so") as copy:
        copy.write(Path(str(parents[_COMPILED].__file__)).read_bytes())
        copy.flush()
        finder = _Copy(copy.name)
        sys.meta_path.insert(0, finder)
        try:
            return importlib.import_module(_NAME)
        finally:
            sys.meta_path.remove(finder)


def _begin_anew() -> None:
    """Let go of a lock that another thread of the parent may hold."""
    global _LOADING  # noqa: PLW0603
    _LOADING = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
