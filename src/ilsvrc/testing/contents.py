"""Which members the archives of a miniature have, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ilsvrc.facts import Synset, val_labels
from ilsvrc.testing.chance import chance, out_of_order
from ilsvrc.testing.images import Camera
from ilsvrc.testing.spec import MiniSpec
from ilsvrc.testing.tarball import Entry

_SPREAD = 12
"""Candidates that were numbered for each image that was kept: why the K of WNID_K.JPEG has gaps."""


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


def _picture(camera: Camera, name: str, label: int) -> Callable[[], bytes]:
    return partial(camera.jpeg, name, label)
