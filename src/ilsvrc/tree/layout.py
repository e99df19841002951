"""The path of an image in a prepared tree: a naming template."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import xxhash

from ilsvrc import facts
from ilsvrc.errors import LayoutError

TEMPLATES = {
    "wnid": "{split}/{wnid}/{name}",
    "index": "{split}/{index}/{name}",
    "padded": "{split}/{index:04}/{name}",
    "flat": "{split}/{name}",
}
"""The layouts that have a name."""

FIELDS = ("split", "wnid", "index", "devkit_id", "word", "name")
"""The fields that a template may use."""

_SPLIT = "{split}/"
_LONGEST = 255
"""The longest file name that file systems accept, in bytes."""
_UNSAFE = re.compile(r"[^\w().,'&+-]+")
_EXAMPLE = {"split": "train", "wnid": "n01440764", "index": 0, "devkit_id": 449, "word": "tench", "name": "a.JPEG"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A naming template for the images of a tree.

    template : starts with `{split}/`, so that every split is a folder of its own

    >>> Layout.parse("padded").path("val", 65, "ILSVRC2012_val_00000001.JPEG")
    'val/0065/ILSVRC2012_val_00000001.JPEG'
    """

    template: str

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Return the layout of a name (wnid, index, padded, flat) or of a template.

        Raises
        ------
        LayoutError
            If the template names an unknown field, or could lead out of the tree.
        """
        template = TEMPLATES.get(text, text)
        _refuse_unusable(text, template)
        return cls(template)

    @property
    def name(self) -> str:
        """The layout's name, or its template where it has none."""
        return next((name for name, template in TEMPLATES.items() if template == self.template), self.template)

    def path(self, split: str, label: int, name: str) -> str:
        """Return the path of an image below the tree's folder; an image without label goes to `{split}/{name}`."""
        if label < 0:
            return f"{split}/{name}"
        return self.template.format(split=split, name=name, **_class_fields(label))


@cache
def _class_fields(label: int) -> dict[str, str | int]:
    """Return the fields of a class; cached, since a million images share a thousand classes."""
    synset = facts.classes()[label]
    word = folder_word(synset.name)
    return {"wnid": synset.wnid, "index": label, "devkit_id": synset.devkit_id, "word": word}


def folder_word(name: str) -> str:
    """Return a class's display name as a folder name: `great_white_shark`."""
    return _UNSAFE.sub("_", name)


def refuse_collisions(layout: Layout, paths: Iterable[str]) -> None:
    """Refuse a layout that gives two images the same path, or paths that differ in case only, or too long a name.

    Raises
    ------
    LayoutError
        The message says how many places would hold more than one image, or which name is too long.
    """
    digests = np.fromiter((xxhash.xxh3_64_intdigest(_short(path).casefold().encode()) for path in paths), np.uint64)
    unique, counts = np.unique(digests, return_counts=True)
    if len(unique) == len(digests):
        return
    twice = set(unique[counts > 1].tolist())
    hint = "let the template use {name}, which is different for every image"
    detail = f"the layout {layout.template!r} puts {len(digests):,} images in {len(unique):,} places"
    raise LayoutError(f"{detail}; {len(twice):,} of them would hold more than one", hint=hint)


def _short(path: str) -> str:
    """Return a path; refuse it if one of its parts is too long for file systems."""
    if len(path) > _LONGEST // 4 and any(len(part.encode()) > _LONGEST for part in path.split("/")):
        raise LayoutError(
            f"the layout gives a name of more than {_LONGEST} bytes: {path[:80]}...", hint="make it shorter"
        )
    return path


def _refuse_unusable(text: str, template: str) -> None:
    hint = f"use one of {', '.join(TEMPLATES)}, or a template such as {TEMPLATES['padded']!r} of {', '.join(FIELDS)}"
    try:
        parsed = list(string.Formatter().parse(template))
        example = template.format(**_EXAMPLE)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise LayoutError(f"{text!r} is no layout: {type(error).__name__} {error}", hint=hint) from None
    fields = {field for _, field, _, _ in parsed if field is not None}
    if not fields <= set(FIELDS):
        raise LayoutError(
            f"{text!r} is no layout: unknown field {', '.join(sorted(fields - set(FIELDS)))}", hint=hint
        )
    if not template.startswith(_SPLIT):
        raise LayoutError(f"the layout {text!r} does not start with {_SPLIT!r}", hint=hint)
    if "name" not in fields:
        raise LayoutError(f"the layout {text!r} gives all images of a class one path: it lacks {{name}}", hint=hint)
    if any(not part or part.startswith(".") for part in example.split("/")):
        raise LayoutError(f"the layout {text!r} has an empty part, or one that begins with a dot", hint=hint)
