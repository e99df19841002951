"""Which classes a user means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from ilsvrc import facts
from ilsvrc.errors import UsageError


def select_classes(items: Iterable[str]) -> frozenset[int]:
    """Return the labels of classes given as wnids, indices 0 to 999, or words.

    Raises
    ------
    UsageError
        For what names no class, or more than one.
    """
    labels = frozenset(_label(item.strip()) for item in items if item.strip())
    if not labels:
        raise UsageError("no class is selected", hint="give wnids, indices 0 to 999 or words")
    return labels


def read_selection(text: str) -> frozenset[int]:
    """Return the labels in a file of one class a line (the first column counts), or in a list with commas."""
    path = Path(text)
    if path.is_file():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise UsageError(f"{path} is no list of classes", hint="give a text file of one class a line") from None
        return select_classes(line.partition("\t")[0] for line in lines if not line.startswith("#"))
    return select_classes(text.split(","))


def _label(item: str) -> int:
    classes = facts.classes()
    synset = classes.get(item)
    if synset:
        return synset.index
    if item.isdecimal() and int(item) < len(classes):
        return int(item)
    word = item.casefold().replace("_", " ")
    named = [s for s in classes if word in (s.name.casefold(), *s.words.casefold().split(", "))]
    exact = [s for s in named if s.name.casefold() == word]
    if len(named) == 1 or len(exact) == 1:
        return (exact or named)[0].index
    if named:
        which = ", ".join(f"{s.wnid} {s.name}" for s in named)
        raise UsageError(f"{item!r} names {len(named)} classes: {which}", hint="give the wnid")
    close = difflib.get_close_matches(word, [w for s in classes for w in s.words.casefold().split(", ")], n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "give wnids, indices 0 to 999 or words"
    raise UsageError(f"{item!r} is no class of ILSVRC 2012", hint=hint)
