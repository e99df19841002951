"""Format, width and height of images, by their headers: read in the background, class by class, as pages ask."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ilsvrc.errors import IlsvrcError
from ilsvrc.images.measure import measure
from ilsvrc.readers.reader import Int, Reader
from ilsvrc.sinks.measuring import RECORD, record_of


@dataclass(frozen=True, slots=True)
class Progress:
    """How far some images are measured.

    done : images measured
    of : images wanted
    """

    done: int
    of: int

    @property
    def complete(self) -> bool:
        """Whether all are."""
        return self.done == self.of


class Measures:
    """The measures of a split: known of no image at first. Safe to use from many threads.

    Parameters
    ----------
    reader
        The split.

    Attributes
    ----------
    records
        A RECORD of each image; zeros where none is known, or it is no image. Shape (N,).
    known
        Whether an image was measured, shape (N,), bool.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.records = np.zeros(len(reader), RECORD)
        self.known: npt.NDArray[np.bool_] = np.zeros(len(reader), np.bool_)
        self._wanted: queue.LifoQueue[Int] = queue.LifoQueue()
        self._asked = set[tuple[int, int]]()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def want(self, rows: Int) -> Progress:
        """Let some rows be measured, those that were asked for last before others; return how far they are."""
        if len(rows) and not self.known[rows].all():
            self._ask(rows)
        return Progress(int(self.known[rows].sum()), len(rows))

    def keep(self, row: int, data: bytes) -> None:
        """Measure an image that was read anyway."""
        self.records[row] = record_of(measure(data))
        self.known[row] = True

    def _ask(self, rows: Int) -> None:
        asked = rows.item(0), rows.item(-1)
        with self._lock:
            if asked in self._asked:
                return
            self._asked.add(asked)
            self._wanted.put(rows)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="measure", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            for row in self._wanted.get().tolist():
                if not self.known[row]:
                    self._measure(row)

    def _measure(self, row: int) -> None:
        try:
            self.keep(row, self._reader.read(row))
        except (IlsvrcError, OSError):  # its own page says why
            self.known[row] = True
