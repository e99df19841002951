"""What a miniature is to be, decided before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ilsvrc.errors import UsageError
from ilsvrc.facts import Synset, classes
from ilsvrc.testing.faults import Fault
from ilsvrc.testing.images import REAL_MEAN_BYTES

_RANGES = {
    "classes": (1, 1000),
    "per_class": (1, 1300),
    "val_per_class": (1, 50),
    "seed": (0, 2**32 - 1),
    "mean_bytes": (2_000, 400_000),
    "test_images": (0, 100_000),
}


@dataclass(frozen=True, slots=True)
class MiniSpec:
    """A miniature; a UsageError where a number is out of range.

    classes : the first so many of the 1000, by wnid
    per_class : train images of each class, up to 1300 as in the real set
    val_per_class : validation images of each class, up to 50 as in the real set
    seed : the same seed and numbers give the same archives
    mean_bytes : of an image file, 2,000 to 400,000; smaller pictures where it is less than ImageNet's
    faults : what is wrong with it
    test_images : images of the test archive, which is left out with 0
    """

    classes: int = 1000
    per_class: int = 3
    val_per_class: int = 1
    seed: int = 0
    mean_bytes: int = REAL_MEAN_BYTES
    faults: frozenset[Fault] = field(default_factory=frozenset)
    test_images: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} is {value:,}, which is not in {low:,} to {high:,}")

    @property
    def synsets(self) -> Sequence[Synset]:
        """The chosen classes, by index."""
        return classes()[: self.classes]

    @property
    def images(self) -> int:
        """How many images it has when it has no faults."""
        return self.classes * (self.per_class + self.val_per_class) + self.test_images
