"""Paths as users give them: the empty text is not the current folder, in any function that takes a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import ilsvrc
from ilsvrc.digests import record_digests
from ilsvrc.errors import UsageError
from ilsvrc.paths import given_path
from ilsvrc.testing import write_mini


@pytest.mark.parametrize("path", [".", "/", "a b", Path(), Path("/data")])
def test_a_path_is_returned_as_it_is(path: Path | str) -> None:
    assert given_path(path) == Path(path)


@pytest.mark.parametrize(
    "call",
    [ilsvrc.index, ilsvrc.relabel, ilsvrc.ImageNet, record_digests, write_mini],
    ids=lambda call: call.__name__,
)
def test_the_empty_text_is_refused(
    call: Callable[[str], object], mini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mini)
    with pytest.raises(UsageError, match="is empty") as caught:
        call("")
    assert "shell variable" in caught.value.hint
