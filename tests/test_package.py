"""The names of the package, and what is imported for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ilsvrc


@pytest.mark.parametrize("name", ilsvrc.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(ilsvrc, name) is not None
    assert name in dir(ilsvrc)


@pytest.mark.parametrize("part", ["facts", "testing"])
def test_its_parts_need_no_import_of_their_own(part: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import ilsvrc; ilsvrc.{part}.__name__"], check=False)
    assert done.returncode == 0


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="unpack"):
        ilsvrc.unpack  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "spared"),
    [
        ("import ilsvrc", {"numpy", "pyarrow", "PIL", "rich"}),
        (
            "from ilsvrc.cli.main import main; main(['fetch', '--help'])",
            {"pyarrow", "PIL", "ilsvrc.prepare.prepare"},
        ),
        (
            "from ilsvrc.cli.main import main; main(['prepare', '--help'])",
            {"ilsvrc.fetch.aria2", "ilsvrc.labels.detect"},
        ),
    ],
)
def test_only_what_is_used_is_imported(statement: str, spared: set[str]) -> None:
    code = f"import sys; {statement}; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    imported = set(done.stderr.split())
    assert "ilsvrc" in imported
    assert not spared & imported
