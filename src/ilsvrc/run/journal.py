"""What has been done, one line a unit, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
import os
import queue
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from ilsvrc.files import make_own_folder, named, open_own, read_own, write_text
from ilsvrc.issues import Code, Issue
from ilsvrc.run.threads import Thread
from ilsvrc.sinks.base import Output, Receipt, Sink


class Log(Protocol):
    """Text that grows: a file, or objects of a store."""

    def read(self) -> str:
        """Return all text; raises FileNotFoundError if there never was any."""

    def append(self, text: str) -> None:
        """Append some lines; they survive a power cut when this returns."""

    def replace(self, text: str) -> None:
        """Put other text in the place of all that there is."""


class FileLog:
    """Text that grows, in a file of ours. A line that a power cut tore stays on a line of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str:
        """Return all text."""
        return read_own(self.path)

    def append(self, text: str) -> None:
        """Append some lines, durably."""
        make_own_folder(self.path.parent)
        try:
            self._append(text)
        except OSError as error:
            raise named(error, self.path) from None

    def replace(self, text: str) -> None:
        """Put other text in the place of all that there is."""
        write_text(self.path, text)

    def _append(self, text: str) -> None:
        with open(open_own(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab+") as file:
            torn = file.tell() > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read() != b"\n"
            file.write((b"\n" if torn else b"") + text.encode())
            file.flush()
            os.fsync(file.fileno())


class Journal:
    """JSON lines: a header for every plan, a receipt for every unit that is durably done.

    A line torn by a power cut is the last one, and is left out.

    Parameters
    ----------
    log
        Keeps the lines: a file by its path, or another `Log`.
    """

    def __init__(self, log: Path | Log) -> None:
        self._log = FileLog(log) if isinstance(log, Path) else log
        self._plan = ""
        self._state: object = None

    def plans(self, split: str) -> list[dict[str, Any]]:
        """Return the headers of the plans of a split that were begun, oldest first."""
        return [line for line in self._lines() if line.get("split") == split]

    def begin(self, digest: str, header: dict[str, object], state: object) -> dict[str, Receipt]:
        """Resume a plan, or begin it; return the receipts of its units, by unit.

        They say what was done once: whoever trusts one looks whether it still holds. Only those are returned that
        were written while the archive was in this state: images of another state may be other images.

        Parameters
        ----------
        digest
            The plan's digest.
        header
            What is to be recorded of a plan that is begun.
        state
            The archive's state, as plain values.
        """
        lines = [line for line in self._lines() if line.get("plan") == digest]
        self._plan, self._state = digest, json.loads(json.dumps(state))
        if not lines:
            self._write({"plan": digest, **header})
        return {r.unit: r for line in lines if line.get("state") == self._state and (r := _receipt(line))}

    def done_units(self, digest: str) -> set[str]:
        """Return the units of a plan that have a receipt."""
        lines = [line for line in self._lines() if line.get("plan") == digest]
        return {receipt.unit for receipt in map(_receipt, lines) if receipt}

    def issues(self, split: str) -> list[Issue]:
        """Return what was found in the images of a split's latest plan."""
        plans = self.plans(split)
        lines = [line for line in self._lines() if plans and line.get("plan") == plans[-1].get("plan")]
        return [issue for receipt in map(_receipt, lines) if receipt for issue in receipt.issues]

    def append(self, receipts: Sequence[Receipt]) -> None:
        """Record that units are done; their outputs are durable already."""
        lines = ({"plan": self._plan, "state": self._state, **_document(receipt)} for receipt in receipts)
        self._write(*lines)

    def forget(self, split: str) -> None:
        """Leave out all that was recorded of a split."""
        plans = [line.get("plan") for line in self.plans(split)]
        kept = [line for line in self._lines() if line.get("plan") not in plans]
        self._log.replace("".join(json.dumps(line) + "\n" for line in kept))

    def _lines(self) -> list[dict[str, Any]]:
        found: list[object] = []
        try:
            text = self._log.read()
        except FileNotFoundError:
            return []
        for line in text.splitlines():
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError):
                continue
        return [line for line in found if isinstance(line, dict)]

    def _write(self, *lines: dict[str, Any]) -> None:
        """Append lines durably."""
        self._log.append("".join(json.dumps(line) + "\n" for line in lines))


def _document(receipt: Receipt) -> dict[str, Any]:
    return {
        "unit": receipt.unit,
        "outputs": [asdict(output) for output in receipt.outputs],
        "samples": receipt.samples,
        "bytes": receipt.bytes,
        "issues": [asdict(issue) for issue in receipt.issues],
        "worker": receipt.worker,
        "synced": receipt.synced,
    }


def _receipt(line: dict[str, Any]) -> Receipt | None:
    """Return the receipt in a line, without its worker, who is gone; None for a line that is none."""
    try:
        issues = tuple(Issue(**{**issue, "code": Code(issue["code"])}) for issue in line["issues"])
        outputs = tuple(Output(**output) for output in line["outputs"])
        receipt = Receipt(line["unit"], outputs, line["samples"], line["bytes"], issues)
        texts = [receipt.unit, *(text for output in outputs for text in (output.path, output.digest))]
        numbers = [receipt.samples, receipt.bytes, *(output.size for output in outputs)]
    except (KeyError, TypeError, ValueError):
        return None
    sound = all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
    return receipt if sound else None


class Committer:
    """Syncs what the sink wrote, then appends receipts to the journal: used as a context manager.

    One sync confirms every unit that was finished before it began; units that their workers synced need none. While
    it runs, which may be long on a disk that others write to, workers go on and receipts gather for the next. Leaving
    the block waits for the last.
    """

    def __init__(self, sink: Sink, journal: Journal | None) -> None:
        self._sink = sink
        self._journal = journal
        self._waiting: queue.SimpleQueue[Receipt | None] = queue.SimpleQueue()
        self._failed: BaseException | None = None
        self._thread = Thread(self._run)

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
        BaseException
            Whatever the sink or the journal raised for an earlier receipt.
        """
        if self._failed:
            raise self._failed
        self._waiting.put(receipt)

    def _run(self) -> None:
        last = False
        while not last and self._failed is None:
            batch = [self._waiting.get()]
            batch += [
                self._waiting.get() for _ in range(self._waiting.qsize())
            ]  # those that are there now, and no more
            last = None in batch
            try:
                self._commit([receipt for receipt in batch if receipt is not None])
            except BaseException as error:  # a thread that dies in silence would let the run publish
                self._failed = error

    def _commit(self, receipts: list[Receipt]) -> None:
        if not receipts:
            return
        if not all(receipt.synced for receipt in receipts):
            self._sink.sync()
        if self._journal:
            self._journal.append(receipts)
