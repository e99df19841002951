"""Code blocks of the documentation, as a reader would run them."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block.

    page : path of its page below docs
    line : of the page, where it begins
    language : python or console
    code : its text
    """

    page: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def packages(self) -> set[str]:
        """What a Python block imports besides ilsvrc."""
        nodes = ast.walk(ast.parse(self.code))
        names = [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]
        names += [
            alias.name for n in ast.walk(ast.parse(self.code)) if isinstance(n, ast.Import) for alias in n.names
        ]
        return {name for name in names if not name.startswith("ilsvrc")}

    @property
    def commands(self) -> list[list[str]]:
        """The words of every command in a console block."""
        return [line[2:].split() for line in self.code.splitlines() if line.startswith("$ ")]


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [Block(page, text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in _BLOCK.finditer(text)]
