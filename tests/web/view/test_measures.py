from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ilsvrc.errors import ArchiveError
from ilsvrc.images.measure import KINDS
from ilsvrc.issues import Code
from ilsvrc.readers.locate import open_reader
from ilsvrc.web.view.measures import Measures, Progress


class Reading:
    """A reader that counts what is read, and can't read one row."""

    def __init__(self, reader: Any, broken: int = -1) -> None:
        self._reader, self._broken = reader, broken
        self.rows: list[int] = []

    def __len__(self) -> int:
        return len(self._reader)

    def read(self, row: int) -> bytes:
        self.rows.append(row)
        if row == self._broken:
            raise ArchiveError(Code.CHANGED_IMAGE, "it is gone", "/archive")
        data: bytes = self._reader.read(row)
        return data


def finished(measures: Measures, rows: Any) -> Progress:
    while not (found := measures.want(rows)).complete:
        time.sleep(0.01)
    return found


def test_measures_are_those_of_pillow_and_are_read_once(mini: Path) -> None:
    reader = open_reader(mini, "train")
    reading = Reading(reader)
    measures, rows = Measures(reading), np.arange(4, 9)  # type: ignore[arg-type]
    assert measures.want(rows).of == 5
    assert finished(measures, rows) == Progress(5, 5)
    for row in rows.tolist():
        with Image.open(io.BytesIO(reader.read(row))) as image:
            kind, width, height = measures.records[row].item()
            assert (width, height) == image.size
            assert KINDS[kind - 1] == ("JPEG" if image.mode == "RGB" else "grey JPEG")
    finished(measures, np.arange(0, 9))
    assert sorted(reading.rows) == list(range(9))
    assert not measures.known[9:].any()


def test_image_that_cannot_be_read_is_measured_as_none(mini: Path) -> None:
    reading = Reading(open_reader(mini, "train"), broken=2)
    measures = Measures(reading)  # type: ignore[arg-type]
    assert finished(measures, np.arange(5)).complete
    assert measures.records[2].item() == (0, 0, 0)
    assert measures.records[3].item() != (0, 0, 0)


def test_no_images_are_measured_at_once() -> None:
    assert Measures([]).want(np.arange(0)) == Progress(0, 0)  # type: ignore[arg-type]
