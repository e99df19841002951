"""Show the library's events: bars on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich import progress as bars
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from ilsvrc.events import Advanced, Event, Finished, Note, Started
from ilsvrc.words import counted

PLAIN_INTERVAL = 5.0
"""Seconds between two plain lines of one stage."""


class Progress:
    """A listener for events, used as a context manager around the call that sends them."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._bars = bars.Progress(*_columns(), console=console) if console.is_terminal and not quiet else None
        self._stages: dict[str, _Stage] = {}

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Take one event from the library."""
        match event:
            case Note():
                self._note(event)
            case Started() if not self._quiet:
                self._start(event)
            case Advanced() if event.stage in self._stages:
                self._advance(event)
            case Finished() if event.stage in self._stages:
                self._finish(self._stages.pop(event.stage))

    def _note(self, event: Note) -> None:
        if event.warning:
            self._console.print("warning:", event.text, style="yellow", markup=False)
        elif not self._quiet:
            self._console.print(event.text, markup=False)

    def _start(self, event: Started) -> None:
        stage = _Stage(event)
        self._stages[event.stage] = stage
        if self._bars:
            total = event.total_bytes or event.total_images or None
            stage.bar = self._bars.add_task(event.stage, total=total, stage=stage)

    def _advance(self, event: Advanced) -> None:
        stage = self._stages[event.stage]
        stage.bytes += event.bytes
        stage.images += event.images
        stage.detail = event.detail
        if self._bars and stage.bar is not None:
            self._bars.update(stage.bar, completed=stage.done)
        elif time.monotonic() - stage.printed >= PLAIN_INTERVAL:
            stage.printed = time.monotonic()
            self._console.print(stage.line(), markup=False)

    def _finish(self, stage: _Stage) -> None:
        if self._bars and stage.bar is not None:
            self._bars.remove_task(stage.bar)
        self._console.print(stage.summary(), markup=False)


class _Stage:
    """The state of one stage of work."""

    def __init__(self, event: Started) -> None:
        self.name = event.stage
        self.total_bytes = event.total_bytes
        self.total_images = event.total_images
        self.bytes = 0
        self.images = 0
        self.detail = ""
        self.started = self.printed = time.monotonic()
        self.bar: bars.TaskID | None = None

    @property
    def done(self) -> int:
        """The quantity that the bar shows: bytes if their total is known, else images."""
        return self.bytes if self.total_bytes else self.images

    def rates(self) -> str:
        """Return bytes and images per second, or the detail that the sender gave instead."""
        if self.detail:
            return self.detail
        seconds = max(time.monotonic() - self.started, 1e-3)
        rates = [f"{decimal(int(self.bytes / seconds))}/s"] if self.bytes else []
        rates += [f"{self.images / seconds:,.0f} images/s"] if self.images else []
        return ", ".join(rates)

    def line(self) -> str:
        """Return one plain line: share done, rates, time left."""
        total = self.total_bytes or self.total_images
        share = self.done / total if total else 0.0
        seconds = time.monotonic() - self.started
        left = f", {seconds * (1 - share) / share:,.0f} s left" if share and not self.detail else ""
        return f"{self.name}: {share:.0%}, {self.rates()}{left}" if total else f"{self.name}: {self.rates()}"

    def summary(self) -> str:
        """Return the last line of a stage."""
        parts = [counted(self.images, "image")] if self.images else []
        parts += [decimal(self.bytes)] if self.bytes else []
        parts += [f"{time.monotonic() - self.started:.1f} s"]
        return f"{self.name}: " + ", ".join(parts)


class _RateColumn(bars.ProgressColumn):
    """Bytes/s and images/s of a stage."""

    def render(self, task: bars.Task) -> Text:
        """Return the rates as text."""
        stage: _Stage = task.fields["stage"]
        return Text(stage.rates())


def _columns() -> tuple[bars.ProgressColumn, ...]:
    return (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        _RateColumn(),
        bars.TimeRemainingColumn(),
    )
