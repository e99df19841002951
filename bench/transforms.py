"""Transform images in one process, against the same codec calls in a bare loop: images a second and core.

Both take the same images from memory, alternating; the bare loop decodes with simplejpeg, resizes and encodes with
Pillow. Images a second are those of a second of processor time.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Sequence

import simplejpeg
from PIL import Image

from bench.command import SIZE, run
from bench.data import miniature
from bench.harness import Spread
from bench.table import Row
from ilsvrc.prepare.transforms import transform_of
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.units import Sample

IMAGES = 400
SHORTER = 256


def rows(size: float, runs: int) -> list[Row]:
    """Return the lines of the table about images of an archive of so many bytes."""
    archive = miniature(size)
    reader = open_reader(archive, "train")
    step = max(1, len(reader) // IMAGES)
    chosen = reader.storage_order()[::step][:IMAGES]
    samples = [Sample(reader.name(row), reader.name(row), None, data) for row, data in reader.take(chosen)]
    speeds = [(_rate(_bare, samples), _rate(_ours, samples)) for _ in range(runs)]
    found = Spread.of([ours / bare for bare, ours in speeds])
    bare = statistics.median(bare for bare, _ in speeds)
    return [Row(f"transform to {SHORTER}, images a second", f"bare loop, {bare:.0f} a second", found, runs)]


def _rate(work: Callable[[Sequence[Sample]], None], samples: Sequence[Sample]) -> float:
    """Return images per second of processor time."""
    begun = time.process_time()
    work(samples)
    return len(samples) / (time.process_time() - begun)


def _ours(samples: Sequence[Sample]) -> None:
    transform = transform_of(resize=SHORTER)
    assert transform is not None
    for sample in samples:
        transform(sample)


def _bare(samples: Sequence[Sample]) -> None:
    for sample in samples:
        image = Image.fromarray(simplejpeg.decode_jpeg(sample.data, "RGB"))
        side = min(image.size)
        if side > SHORTER:
            width, height = (int(SHORTER * length / side) for length in image.size)
            file = io.BytesIO()
            image.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)


if __name__ == "__main__":
    run(__doc__, SIZE, rows, runs=3)
