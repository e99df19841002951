"""The whole mapping in the exact forms that other tools read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from ilsvrc.errors import UsageError
from ilsvrc.facts import LabelScheme, Synset, classes, schemes


def table(form: str, chosen: Sequence[LabelScheme] = ()) -> str:
    """Return the mapping as text.

    Parameters
    ----------
    form
        A key of FORMS: csv and json have a column for each scheme, the others are in the order of the first scheme.
    chosen
        The schemes; by default all of them for csv and json, and `index` for the others.

    Raises
    ------
    UsageError
        If there is no such form.
    """
    if form not in FORMS:
        close = get_close_matches(form, FORMS, n=2)
        hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(FORMS)}"
        raise UsageError(f"no form of table is called {form!r}", hint=hint)
    return FORMS[form](chosen)


def rows(chosen: Sequence[LabelScheme] = ()) -> list[dict[str, Any]]:
    """Return one row per class: its label in each scheme, then its name and words."""
    columns = chosen or schemes()
    return [
        {s.name: s.labels[synset.index].item() for s in columns} | {"name": synset.name, "words": synset.words}
        for synset in ordered(columns)
    ]


def ordered(chosen: Sequence[LabelScheme]) -> list[Synset]:
    """Return the classes in the order of the first scheme, or of the index."""
    order = np.argsort((chosen or schemes())[0].labels)
    return [classes()[int(index)] for index in order]


def keras_name(synset: Synset) -> str:
    """Return Keras' name of a class; crane and maillot each name two classes.

    >>> keras_name(classes()[2])
    'great_white_shark'
    """
    return synset.words.partition(", ")[0].replace(" ", "_")


def _csv(chosen: Sequence[LabelScheme]) -> str:
    found = rows(chosen)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def _json(chosen: Sequence[LabelScheme]) -> str:
    return json.dumps(rows(chosen), indent=2) + "\n"


def _class_index(chosen: Sequence[LabelScheme]) -> str:
    """Write Keras' file to the byte: one line, no newline at its end."""
    labels = (chosen or schemes())[0].labels
    return json.dumps({str(labels[s.index]): [s.wnid, keras_name(s)] for s in ordered(chosen)})


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


FORMS: dict[str, Callable[[Sequence[LabelScheme]], str]] = {
    "csv": _csv,
    "json": _json,
    "classes.txt": lambda chosen: _lines(s.name for s in ordered(chosen)),
    "synsets": lambda chosen: _lines(s.wnid for s in ordered(chosen)),
    "synset_words": lambda chosen: _lines(f"{s.wnid} {s.words}" for s in ordered(chosen)),
    "class_index": _class_index,
}
"""One unique name per line; Caffe's synsets.txt and synset_words.txt; Keras' imagenet_class_index.json."""
