"""Make finished units durable behind the driver's back, as many at a time as have come together."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

from ilsvrc.run.journal import Journal
from ilsvrc.sinks.base import Receipt, Sink


class Committer:
    """Syncs what the sink wrote, then appends receipts to the journal: used as a context manager.

    One sync confirms every unit that was finished before it began. While it runs, which may be long on a disk that
    others write to, workers go on and receipts gather for the next. Leaving the block waits for the last.
    """

    def __init__(self, sink: Sink, journal: Journal | None) -> None:
        self._sink = sink
        self._journal = journal
        self._waiting: queue.SimpleQueue[Receipt | None] = queue.SimpleQueue()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        if self._failed and kind is None:
            raise self._failed

    def add(self, receipt: Receipt) -> None:
        """Take a receipt; it is in the journal once its outputs are durable.

        Raises
        ------
        OSError
            If an earlier receipt could not be committed.
        """
        if self._failed:
            raise self._failed
        self._waiting.put(receipt)

    def _run(self) -> None:
        last = False
        while not last and self._failed is None:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            last = None in batch
            try:
                self._commit([receipt for receipt in batch if receipt is not None])
            except OSError as error:
                self._failed = error

    def _commit(self, receipts: list[Receipt]) -> None:
        if not receipts:
            return
        self._sink.sync()
        if self._journal:
            self._journal.append(receipts)
