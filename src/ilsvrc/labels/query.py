"""Look up a class by wnid, number, word, or the name of an image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ilsvrc.errors import UsageError
from ilsvrc.facts import Synset, classes, hierarchy, scheme, schemes
from ilsvrc.facts.names import true_label, val_name, val_number

_SYNSET = re.compile(r"n\d{8}")
_NUMBER = re.compile(r"\d{1,9}")
_NUMBERED = re.compile(r"(?P<scheme>[A-Za-z]\w*):(?P<label>\w+)")


@dataclass(frozen=True, slots=True)
class Match:
    """A class that a query finds.

    synset : the class
    found_as : how it was found, such as `devkit 490`
    """

    synset: Synset
    found_as: str

    @property
    def labels(self) -> dict[str, int | str]:
        """Its label in every scheme."""
        return {s.name: s.labels[self.synset.index].item() for s in schemes()}

    @property
    def place(self) -> tuple[str, ...]:
        """The first words of its ancestors in WordNet, from entity down."""
        return tuple(first_word(hierarchy().words[wnid]) for wnid in hierarchy().paths(self.synset.wnid)[0][:-1])

    @property
    def namesakes(self) -> tuple[Synset, ...]:
        """Other classes whose first word is the same, whatever its case."""
        head = first_word(self.synset.words).casefold()
        return tuple(s for s in classes() if s != self.synset and first_word(s.words).casefold() == head)

    def to_json(self) -> dict[str, Any]:
        """Return the class as a JSON document."""
        return {
            "found_as": self.found_as,
            "wnid": self.synset.wnid,
            "name": self.synset.name,
            "words": self.synset.words.split(", "),
            "train_images": self.synset.train_images,
            "labels": self.labels,
            "place": list(self.place),
            "namesakes": [s.wnid for s in self.namesakes],
        }


def find(query: str) -> tuple[Match, ...]:
    """Return the classes that match a query, the best match first.

    Parameters
    ----------
    query
        A wnid, of a class or of an ancestor of classes; `SCHEME:LABEL`; a bare number, which is read under every
        scheme; the name of a validation or train image; a word or part of one.

    Raises
    ------
    UsageError
        If nothing matches; the hint names close words.

    Examples
    --------
    >>> [(match.synset.words, match.found_as) for match in find("devkit:490")]
    [('sea snake', 'devkit 490')]
    """
    text = query.strip()
    numbered = _NUMBERED.fullmatch(text)
    if numbered:
        return _by_label(numbered["scheme"], numbered["label"])
    matches = _by_number(int(text)) if _NUMBER.fullmatch(text) else _by_name(text) or _by_word(text)
    if not matches:
        raise UsageError(f"no class matches {query!r}", hint=_close(text))
    return matches


def first_word(words: str) -> str:
    """Return the first of the words of a synset."""
    return words.partition(", ")[0]


def _by_label(name: str, label: str) -> tuple[Match, ...]:
    known = scheme(name)
    index = int(known.indices(int(label) if known.numeric and _NUMBER.fullmatch(label) else label))
    return (Match(classes()[index], f"{name} {label}"),)


def _by_number(number: int) -> tuple[Match, ...]:
    """Return the classes that a number means, each with all the schemes under which it does."""
    meanings: dict[int, list[str]] = {}
    for known in schemes():
        if known.numeric and (index := int(known.lookup(number))) >= 0:
            meanings.setdefault(index, []).append(known.name)
    return tuple(Match(classes()[index], f"{', '.join(names)} {number}") for index, names in meanings.items())


def _by_name(text: str) -> tuple[Match, ...]:
    """Find by wnid, or by the name of an image."""
    if _SYNSET.fullmatch(text):
        return _by_wnid(text)
    index = true_label(text)
    number = val_number(text)
    found_as = f"label of {val_name(number) if number else text}"
    return () if index is None else (Match(classes()[index], found_as),)


def _by_wnid(wnid: str) -> tuple[Match, ...]:
    if wnid in classes().wnids:
        return (Match(classes().by_wnid(wnid), "wnid"),)
    if wnid not in hierarchy().words:
        return ()
    kind = f"a kind of {first_word(hierarchy().words[wnid])}"
    return tuple(Match(s, kind) for s in classes() if wnid in hierarchy().ancestors(s.wnid))


def _by_word(text: str) -> tuple[Match, ...]:
    """Find by words: whole names first, then whole words of names, then parts of words."""
    wanted = text.replace("_", " ").casefold()
    word = re.compile(rf"\b{re.escape(wanted)}\b")
    ranked = [(_rank(wanted, word, s), s) for s in classes()]
    found = sorted(((rank, s.index) for rank, s in ranked if rank is not None))
    kinds = ("name", "word in its names", "part of a word")
    return tuple(Match(classes()[index], kinds[rank]) for rank, index in found) if wanted else ()


def _rank(wanted: str, word: re.Pattern[str], synset: Synset) -> int | None:
    words = synset.words.casefold()
    if wanted in (*words.split(", "), synset.name.casefold()):
        return 0
    return 1 if word.search(words) else 2 if wanted in words else None


def _close(text: str) -> str:
    names = [word for s in classes() for word in s.words.casefold().split(", ")]
    close = get_close_matches(text.casefold(), [*dict.fromkeys(names), *classes().wnids], n=4)
    forms = "give a wnid, a number, SCHEME:NUMBER, a word or an image's name"
    return f"did you mean {', '.join(close)}?" if close else forms
