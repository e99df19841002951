"""Which images a miniature has, and in which order its archives hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ilsvrc.facts import Synset, classes, val_labels
from ilsvrc.testing.chance import chance, out_of_order
from ilsvrc.testing.images import Camera
from ilsvrc.testing.spec import MiniSpec
from ilsvrc.testing.tarball import Entry

_SPREAD = 12
"""Candidates numbered per image that was kept: the reason for the gaps in the K of WNID_K.JPEG."""


@dataclass(frozen=True, slots=True, eq=False)
class InnerTar:
    """The tar of one class.

    synset : its class
    entries : its members, in archive order
    gzipped : it is compressed, though its name does not say so
    """

    synset: Synset
    entries: tuple[Entry, ...]
    gzipped: bool = False

    @property
    def name(self) -> str:
        """Its name in the train archive."""
        return f"{self.synset.wnid}.tar"


def inner_tar(spec: MiniSpec, synset: Synset, camera: Camera) -> InnerTar:
    """Return the train images of a class: WNID_K.JPEG with gaps in K, not in order."""
    drawn = chance(spec.seed, synset.wnid)
    numbers = drawn.sample(range(1, _SPREAD * (spec.per_class + 1)), spec.per_class)
    names = out_of_order((f"{synset.wnid}_{k}.JPEG" for k in numbers), drawn)
    return InnerTar(synset, tuple(Entry(name, _picture(camera, name, synset.index)) for name in names))


def val_entries(spec: MiniSpec, camera: Camera) -> tuple[Entry, ...]:
    """Return the first validation images of each class by the real ground truth, not in order."""
    labels = val_labels()
    label_of = {
        f"ILSVRC2012_val_{place + 1:08}.JPEG": synset.index
        for synset in spec.synsets
        for place in np.flatnonzero(labels == synset.index)[: spec.val_per_class]
    }
    names = out_of_order(label_of, chance(spec.seed, "val"))
    return tuple(Entry(name, _picture(camera, name, label_of[name])) for name in names)


def test_entries(spec: MiniSpec, camera: Camera) -> tuple[Entry, ...]:
    """Return the test images, in a folder as in the official archive and not in order; they have no label."""
    names = out_of_order(
        (f"test/ILSVRC2012_test_{k + 1:08}.JPEG" for k in range(spec.test_images)), chance(spec.seed, "test")
    )
    return tuple(Entry(name, _picture(camera, name, 0)) for name in names)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image of a miniature, in whatever form.

    split : train, val or test
    label : its index, or -1 for an image of test
    name : official file name
    payload : makes its bytes, when they are needed
    """

    split: str
    label: int
    name: str
    payload: Callable[[], bytes]

    @property
    def wnid(self) -> str:
        """The wnid of its class; KeyError for an image of test."""
        if self.label < 0:
            raise KeyError(self.name)
        return classes()[self.label].wnid

    @property
    def stem(self) -> str:
        """Its name without the ending."""
        return self.name.removesuffix(".JPEG")

    def at(self, path: str) -> Entry:
        """Return the entry that has it under this path."""
        return Entry(path, self.payload, image=self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """All images of a miniature, with the faults that were planted in them; iterated over as often as is wanted.

    spec : what the miniature is
    camera : takes its pictures
    damaged : the inner tars that have a fault, by wnid
    val : the members of the val archive, in archive order
    """

    spec: MiniSpec
    camera: Camera
    damaged: Mapping[str, InnerTar]
    val: tuple[Entry, ...]

    def inner_tars(self) -> Iterator[InnerTar]:
        """Yield the tar of each class, by index; one that is missing has no entries."""
        for synset in self.spec.synsets:
            yield self.damaged.get(synset.wnid) or inner_tar(self.spec, synset, self.camera)

    def test(self) -> tuple[Entry, ...]:
        """Return the members of the test archive, in archive order."""
        return test_entries(self.spec, self.camera)

    def pictures(self, split: str) -> Iterator[Picture]:
        """Yield the images of a split, by name: those of train by wnid first."""
        if split == "train":
            for inner in self.inner_tars():
                yield from _sorted(Picture(split, inner.synset.index, e.name, e.payload) for e in inner.entries)
        elif split == "val":
            truth = val_labels()
            yield from _sorted(Picture(split, int(truth[_number(e) - 1]), e.name, e.payload) for e in self.val)
        else:
            yield from _sorted(Picture(split, -1, e.name.rpartition("/")[2], e.payload) for e in self.test())

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that it has."""
        return ("train", "val", "test") if self.spec.test_images else ("train", "val")


def _sorted(pictures: Iterable[Picture]) -> list[Picture]:
    return sorted(pictures, key=lambda picture: picture.name)


def _number(entry: Entry) -> int:
    """Return the number in the name of a validation image."""
    return int(entry.name[-13:-5])


def _picture(camera: Camera, name: str, label: int) -> Callable[[], bytes]:
    return partial(camera.jpeg, name, label)
