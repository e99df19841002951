"""What the process pool makes of the 1000-class miniature: every engine must make the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.engines.clusters import FORMATS, command, contents, run


@pytest.fixture(scope="module")
def by_processes(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The digest of every file that worker processes write, for each format."""
    made = {}
    for kind in FORMATS:
        target = tmp_path_factory.mktemp("pool") / kind
        run(command(thousand, target, kind))
        made[kind] = contents(target)
    assert len(made["folders"]) > 3000
    return made
