"""A data set of as many images as the real one, of which a sample has its bytes: as an archive, and as folders.

What a random read costs depends on how many names and inodes there are, and on the bytes of the images that are read,
not on those of the others: so it fits on the disk of a test machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data import DATA
from ilsvrc.facts import TRAIN, classes
from ilsvrc.testing.images import REAL_MEAN_BYTES
from ilsvrc.testing.tarball import Entry, TarWriter

SAMPLE = 20_000


@dataclass(frozen=True, slots=True)
class Sampled:
    """The same images twice.

    archive : a train archive
    folders : a folder a class, as ImageFolder reads them
    sample : a file of the indices of the images that have bytes, for numpy.load; the others are empty
    """

    archive: Path
    folders: Path
    sample: Path


def sampled(fraction: float) -> Sampled:
    """Return the data set at this fraction of the full number of images, making it at first: some minutes."""
    home = DATA / f"sampled-{fraction:g}"
    made = Sampled(home / TRAIN, home / "folders", home / "sample.npy")
    if not made.sample.exists():
        shutil.rmtree(home, ignore_errors=True)
        made.folders.mkdir(parents=True)
        _write(made, fraction)
    return made


def _write(made: Sampled, fraction: float) -> None:
    generator = np.random.default_rng(2012)
    counts = [max(1, round(synset.train_images * fraction)) for synset in classes()]
    rows = generator.choice(sum(counts), min(SAMPLE, sum(counts)), replace=False)
    images = _images(sum(counts), set(rows.tolist()), generator)
    with open(made.archive, "wb") as file:
        outer = TarWriter(file)
        for synset, count in zip(classes(), counts, strict=True):
            folder = made.folders / synset.wnid
            folder.mkdir()
            with outer.nested(f"{synset.wnid}.tar"):
                inner = TarWriter(file)
                for name in sorted(f"{synset.wnid}_{number}.JPEG" for number in range(count)):
                    image = next(images)
                    inner.add(Entry(name), image)
                    (folder / name).write_bytes(image)
                inner.close()
        outer.close()
    np.save(made.sample, rows)


def _images(count: int, rows: set[int], generator: np.random.Generator) -> Iterator[bytes]:
    """Yield the bytes of every image: of those rows as many as real ones have, of the others none."""
    for row in range(count):
        yield generator.bytes(round(REAL_MEAN_BYTES * generator.lognormal(-0.18, 0.6))) if row in rows else b""
