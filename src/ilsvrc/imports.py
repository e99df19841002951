"""Imports that ilsvrc's own processes do without."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Hidden(MetaPathFinder):
    """Says of pandas that it is not installed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
        /,
    ) -> ModuleSpec | None:
        """Raise the error of a module that is not there, if it is pandas; else let the next finder look."""
        if fullname == "pandas":
            raise ModuleNotFoundError("ilsvrc's own processes do without pandas", name=fullname)
        return None


def hide_pandas() -> None:
    """Make pandas look absent in this process, which must be one of ilsvrc's own: the program, or a worker.

    Wherever pandas is installed, pyarrow imports it at the first array that is made, only to ask whether a value is a
    Series (pyarrow/array.pxi, `_is_array_like`): 0.4 seconds of processor time and 30 MB for each process. No code of
    ilsvrc uses it. A process of the user's is left as it is.
    """
    if "pandas" not in sys.modules and not any(isinstance(finder, _Hidden) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Hidden())
