"""Send the library's events to a program: one JSON object a line, on standard error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from ilsvrc.cli.process import write_error
from ilsvrc.events import Advanced, Event, Finished, Started

SCHEMA = "ilsvrc.event/1"

INTERVAL = 1.0
"""Seconds between two lines about a stage that no worker is named for; their sums lose nothing."""


class EventLines:
    """A listener for events, used as a context manager around the call that sends them."""

    def __init__(self, write: Callable[[str], None] = write_error) -> None:
        self._write = write
        self._stages: dict[str, _Stage] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stage in list(self._stages.values()):
            self._tell(stage)

    def __call__(self, event: Event) -> None:
        """Take one event from the library."""
        match event:
            case Started():
                self._stages[event.stage] = _Stage(event)
                self._write(line("started", asdict(event)))
            case Advanced() if event.stage in self._stages:
                stage = self._stages[event.stage]
                stage.add(event)
                if event.worker or time.monotonic() - stage.written >= INTERVAL:
                    self._tell(stage, event)
            case Finished():
                if event.stage in self._stages:
                    self._tell(self._stages.pop(event.stage))
                self._write(line("finished", asdict(event)))
            case _:
                self._write(line(type(event).__name__.lower(), asdict(event)))

    def _tell(self, stage: _Stage, event: Advanced | None = None) -> None:
        """Write what a stage has advanced by since its last line."""
        if stage.images or stage.bytes:
            detail, worker = (event.detail, event.worker) if event else ("", "")
            self._write(line("advanced", stage.fields() | {"detail": detail, "worker": worker}))
            stage.begin_line()


class _Stage:
    """What a stage has done, and what it has not told yet."""

    def __init__(self, event: Started) -> None:
        self._begun = event
        self.done_bytes = self.done_images = 0
        self.begin_line()

    def begin_line(self) -> None:
        """Count anew."""
        self.bytes = self.images = 0
        self.written = time.monotonic()

    def add(self, event: Advanced) -> None:
        """Count an event."""
        self.bytes, self.images = self.bytes + event.bytes, self.images + event.images
        self.done_bytes, self.done_images = self.done_bytes + event.bytes, self.done_images + event.images

    def fields(self) -> dict[str, object]:
        """Return the counts."""
        return {
            "stage": self._begun.stage,
            "bytes": self.bytes,
            "images": self.images,
            "done_bytes": self.done_bytes,
            "done_images": self.done_images,
            "total_bytes": self._begun.total_bytes,
            "total_images": self._begun.total_images,
        }


def line(event: str, fields: dict[str, Any]) -> str:
    """Return one line."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"schema": SCHEMA, "event": event, "time": now, **fields}) + "\n"
