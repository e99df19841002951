"""Tell a file by its size: which release or task a wrong file really is."""

from __future__ import annotations

from functools import cache

from ilsvrc.facts.archives import archives
from ilsvrc.facts.tables import read_rows


def known_by_size(size: int) -> str | None:
    """Return the name and contents of the ImageNet file that has this size in bytes, or None.

    Exact where the size is published; elsewhere a range, since those who hold the file list it rounded.
    """
    exact = next((a for a in archives() if a.size == size), None)
    if exact:
        return f"{exact.name}, {exact.contents}"
    return next((text for low, high, text in _ranges() if low <= size <= high), None)


@cache
def _ranges() -> tuple[tuple[int, int, str], ...]:
    rows = read_rows("sizes.tsv")
    return tuple((int(r["smallest"]), int(r["largest"]), f"{r['name']}, {r['contents']}") for r in rows)
