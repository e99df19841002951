"""The names below a tree's `.ilsvrc`."""

from __future__ import annotations

from pathlib import Path

from ilsvrc import prepare
from ilsvrc.tree import paths


def test_names_are_those_that_prepare_writes(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path, jobs=1)
    written = {path for path in paths.own(tmp_path).iterdir() if not path.name.startswith(".")}
    manifests = {paths.manifest(tmp_path, split) for split in ("train", "val")}
    assert written == {*manifests, paths.journal(tmp_path), paths.report(tmp_path), paths.lock(tmp_path)}
    assert len({*written, paths.staging(tmp_path), paths.intent(tmp_path)}) == 7
