"""Progress as values: the library sends events, the caller decides how to show them.

A listener is any function of one event. The work waits while it runs, so it should return soon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """A stage of work began: `total_bytes` and `total_images` are 0 where they are not known."""

    stage: str
    total_bytes: int = 0
    total_images: int = 0


@dataclass(frozen=True, slots=True)
class Advanced:
    """A stage advanced by `bytes` and `images` since its last event.

    `detail` is a few words on the progress (speed, connections, time left), where the sender can say more than the
    numbers do. `worker` is the host and process that did it, where several do.
    """

    stage: str
    bytes: int = 0
    images: int = 0
    detail: str = ""
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage is over."""

    stage: str


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that the user should read; `warning` if ignoring it can do harm."""

    text: str
    warning: bool = False


Event = Started | Advanced | Finished | Note
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore an event: the default listener of every library call."""
