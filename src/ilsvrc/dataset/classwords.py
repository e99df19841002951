"""The classes by the words that name them, as torchvision's ImageNet has them, but with no two merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ilsvrc.facts import Synset


def class_words(synsets: Sequence[Synset]) -> list[tuple[str, ...]]:
    """Return the words of each class."""
    return [tuple(synset.words.split(", ")) for synset in synsets]


def word_positions(synsets: Sequence[Synset]) -> dict[str, int]:
    """Return the position of each class by each of its words that tell it from the others, and by its unique name.

    `crane` names a bird and a machine: neither has it, they are `crane (wading bird)` and `crane (lifting device)`.
    """
    words = class_words(synsets)
    times = Counter(word for of_class in words for word in set(of_class))
    found = {word: at for at, of_class in enumerate(words) for word in of_class if times[word] == 1}
    return found | {synset.name: at for at, synset in enumerate(synsets)}
