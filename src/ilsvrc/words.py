"""Numbers and their nouns in messages."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "class"), counted(1000, "class"), counted(0, "image")
    ('1 class', '1,000 classes', '0 images')
    """
    plural = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural}"
