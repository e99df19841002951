"""ByteSource implementations under their contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from ilsvrc.archive.source import FileSource
from ilsvrc.testing.contracts import CONTENT, ByteSourceContract


class TestFileSource(ByteSourceContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> FileSource:
        (tmp_path / "a.tar").write_bytes(CONTENT)
        return FileSource(tmp_path / "a.tar")
