"""The only source of randomness: it depends on the seed and a name, never on the order of work or on threads."""

from __future__ import annotations

import random
from collections.abc import Iterable


def chance(seed: int, name: str) -> random.Random:
    """Return the generator of random numbers that belongs to this name alone."""
    return random.Random(f"{seed}/{name}")  # noqa: S311  -- pictures, not secrets


def out_of_order(items: Iterable[str], generator: random.Random) -> list[str]:
    """Return the items shuffled, and never sorted where there are two or more."""
    drawn = sorted(items)
    generator.shuffle(drawn)
    return drawn[1:] + drawn[:1] if drawn == sorted(drawn) else drawn
